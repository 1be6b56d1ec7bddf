import { Command } from 'commander'
import { compileRole } from '../../../safe/compileRole.ts'
import { describeRisk, riskToJson } from '../../../safe/describeRisk.ts'
import { explainRisk } from '../../../safe/explainRisk.ts'
import { readHoldings } from '../../../safe/readHoldings.ts'
import { openStateReader } from '../../../safe/stateReader.ts'
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

async function riskOf({ config, agent, policy, sender }: PolicyTarget) {
  const { chain } = config
  const account = agent.account ?? sender
  if (chain.kind === 'world' || account === null)
    return explainRisk({ account, policy, role: null, holdings: null })
  const { addressBook: book } = chain
  const { safe } = agent
  const role = safe === null ? null : compileRole(policy, book, { ...safe, sender })
  const reader = await openStateReader(openRpc(chain))
  const holdings = await readHoldings(reader, book, account, role === null ? account : sender)
  return explainRisk({ account, policy, role, holdings })
}
