import { policyOn, stepsOn } from '../../../runtime/guards/graduation.ts'
import { asksNobody, describeGraduation, type Graduation } from '../../../runtime/live/standings.ts'
import type { AgentConfig } from '../../config/loadConfig.ts'
import { shownPath } from '../../config/shownPath.ts'

type Described = Pick<AgentConfig, 'id' | 'policy' | 'policyPath'>

/** What keeps an agent from acting by itself, and what its owner may write to change that. */
export type Obstacle = { readonly detail: string; readonly fix: string }

/** Steps as a policy states them, for whoever has none yet. */
const EXAMPLE_STEPS =
  '"graduation": [{ "days": 0, "mode": "propose", "partBps": 1000 }, { "days": 7, "mode": "execute", "partBps": 2500 }, { "days": 30, "mode": "execute", "partBps": 10000 }]'

/**
 * What speaks against an agent ever acting by itself on a chain: a policy without steps where the chain is real, and one
 * that has to ask and names nobody who could say yes.
 */
export function obstaclesOf({ id, policy, policyPath }: Described, chainId: number): readonly Obstacle[] {
  const file = shownPath(policyPath)
  const held = policyOn(policy, chainId)
  const [first] = stepsOn(policy, chainId)
  return [
    ...(held.version === policy.version
      ? []
      : [
          {
            detail: `${id} proposes, and never acts by itself: chain ${chainId} is real, and its policy states no steps by which it could rise.`,
            fix: `To have it rise, write ${EXAMPLE_STEPS} in ${file}.`,
          },
        ]),
    ...(asksNobody(first?.policy ?? held)
      ? [
          {
            detail: `${id} begins by asking, and its policy names no owners: nobody can approve what it asks.`,
            fix: `Name them in approvals.owners of ${file}.`,
          },
        ]
      : []),
  ]
}

/** How far an agent may go, as a start says it. */
export function describeMode(agent: Described, chainId: number, at: Graduation | null): readonly string[] {
  const { id, policy } = agent
  return policyOn(policy, chainId).version === policy.version
    ? [describeGraduation(id, policy, at)]
    : obstaclesOf(agent, chainId).map(({ detail, fix }) => `${detail} ${fix}`)
}
