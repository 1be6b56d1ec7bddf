import { Command } from 'commander'
import { openStateReader } from '../../../chain/stateReader.ts'
import { riskOfSafe } from '../../../protector/riskOfSafe.ts'
import { describeRisk, riskToJson } from '../../../safe/describeRisk.ts'
import { explainRisk } from '../../../safe/explainRisk.ts'
import { readHoldings } from '../../../safe/readHoldings.ts'
import { money } from '../../money.ts'
import type { Terminal } from '../../terminal.ts'
import { findPolicy, openRpc, type PolicyOptions, type PolicyTarget, policyOptions } from './policyTarget.ts'

/** `rialto policy explain`: the most that can be lost, before anything is signed. */
export function explainCommand(terminal: Terminal): Command {
  return policyOptions(
    new Command('explain').description(
      "print the most that can be lost by the policy, and the most that a thief of the agent's key could take",
    ),
  ).action(async (options: PolicyOptions) => {
    const target = await findPolicy(options)
    const risk = await riskOf(target)
    terminal.out(
      options.json === true
        ? JSON.stringify({ agent: target.agent.id, ...(riskToJson(risk) as object) })
        : describeRisk(target.agent.id, risk, money).join('\n'),
    )
  })
}

async function riskOf({ config, agent, policy, sender, protector }: PolicyTarget) {
  const { chain } = config
  const account = agent.account ?? sender
  if (chain.kind === 'world' || account === null)
    return explainRisk({ account, policy, role: null, holdings: null })
  const { addressBook: book } = chain
  const { safe } = agent
  const reader = await openStateReader(openRpc(chain))
  if (safe === null)
    return explainRisk({
      account,
      policy,
      role: null,
      holdings: await readHoldings(reader, book, account, account),
    })
  return riskOfSafe(reader, { safe, policy, book, sender, protector })
}
