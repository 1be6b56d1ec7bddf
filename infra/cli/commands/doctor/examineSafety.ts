import { join } from 'node:path'
import { stepsOn } from '../../../../runtime/guards/graduation.ts'
import type { Config } from '../../../config/loadConfig.ts'
import { type OwnerOrder, openOrders } from '../../../orders/ownerOrders.ts'
import { holderOf } from '../../../signer/lock.ts'
import { obstaclesOf } from '../../start/describeMode.ts'
import { type Finding, look, warn } from './finding.ts'

/** What holds when all else fails: the owner's orders, and the protector where one is needed. */
export async function examineSafety(config: Config, isRunning: boolean): Promise<readonly Finding[]> {
  return [
    await look('orders', () => {
      const orders = openOrders(config.directory).list()
      return orders.length === 0 ? 'none: nobody is halted' : orders.map(describe).join('; ')
    }),
    ...examineModes(config),
    ...examineProtector(config, isRunning),
  ]
}

/** How far the agents may go, and what keeps them from going further. */
function examineModes({ chain, agents }: Config): readonly Finding[] {
  if (chain.kind === 'world') return []
  return agents.flatMap((agent) => {
    const { chainId } = chain
    const obstacles = obstaclesOf(agent, chainId)
    if (obstacles.length > 0) return obstacles.map(({ detail, fix }) => warn('mode', detail, fix))
    const steps = stepsOn(agent.policy, chainId)
    const begins = `${agent.id} begins in mode ${steps[0]?.policy.mode ?? agent.policy.mode}`
    const detail =
      steps.length === 1
        ? `${begins}, with all its limits`
        : `${begins}, on the first of ${steps.length} steps`
    return [{ name: 'mode', ok: true, warning: false, detail, fix: null }]
  })
}

const describe = ({ scope, state, at }: OwnerOrder): string =>
  `${scope === 'all' ? 'all' : 'agent' in scope ? scope.agent : scope.account} ${state} since ${at}`

function examineProtector({ chain, agents, directory }: Config, isRunning: boolean): readonly Finding[] {
  const guards = agents.some(({ role, policy }) => role === 'lending-guardian' && policy.mode === 'execute')
  if (chain.kind === 'world' || !guards) return []
  const pid = holderOf(join(directory, 'protector.lock'))
  if (pid !== null)
    return [{ name: 'protector', ok: true, warning: false, detail: `runs, process ${pid}`, fix: null }]
  return [
    isRunning
      ? warn('protector', 'none runs on this machine, though the runtime does', 'Start one: rialto protect')
      : {
          name: 'protector',
          ok: true,
          warning: false,
          detail: 'none runs: "rialto start" starts one',
          fix: null,
        },
  ]
}
