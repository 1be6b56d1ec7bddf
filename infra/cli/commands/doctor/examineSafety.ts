import { join } from 'node:path'
import { stepsOn } from '../../../../runtime/guards/graduation.ts'
import type { Config } from '../../../config/loadConfig.ts'
import { type OwnerOrder, openOrders } from '../../../orders/ownerOrders.ts'
import { isProtected, isUnprotected, listGuarded } from '../../../protector/findGuarded.ts'
import { memberOf } from '../../../protector/memberOf.ts'
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
    ...(await examineProtector(config, isRunning)),
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

async function examineProtector(config: Config, isRunning: boolean): Promise<readonly Finding[]> {
  const { chain, agents, directory } = config
  if (chain.kind === 'world') return []
  const unprotected = agents
    .filter(isUnprotected)
    .map(({ id, safe }) =>
      warn(
        'protector',
        `nobody protects the Safe ${safe?.safe} (${id}), for which its policy reserves nothing`,
        'Reserve something in protector of its policy, then: rialto policy apply',
      ),
    )
  if (!agents.some(isProtected)) return unprotected
  return [...unprotected, ...(await examineKeys(config)), examineProcess(directory, isRunning)]
}

/**
 * Whether every protector of a Safe has its key, and which agent's own is not known. That it is a member of its role is for
 * "rialto policy check" to say. Where an agent's own key belongs into the keystore, the start makes it.
 */
async function examineKeys(config: Config): Promise<readonly Finding[]> {
  const name = 'protector key'
  let missing: readonly Finding[] = []
  const found = await look(name, () => {
    const { guarded, keyless } = listGuarded(config)
    missing = keyless
      .filter(({ config: agent }) => memberOf(agent) !== null || agent.key.kind !== 'keystore')
      .map(({ config: { id }, error }) => ({
        ...{ name, ok: false, warning: false, fix: error.fix ?? null },
        detail: `${id} is not protected: ${error.message}`,
      }))
    return guarded
      .flatMap(({ config: { id }, route }) => (route === null ? [] : [`${route.sender} for ${id}`]))
      .join(', ')
  })
  return [...(found.detail === '' ? [] : [found]), ...missing]
}

function examineProcess(directory: string, isRunning: boolean): Finding {
  const name = 'protector'
  const pid = holderOf(join(directory, 'protector.lock'))
  if (pid !== null) return { name, ok: true, warning: false, detail: `runs, process ${pid}`, fix: null }
  return isRunning
    ? warn(name, 'none runs on this machine, though the runtime does', 'Start one: rialto protect')
    : { name, ok: true, warning: false, detail: 'none runs: "rialto start" starts one', fix: null }
}
