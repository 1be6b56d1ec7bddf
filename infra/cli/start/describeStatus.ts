import type { Agent } from '../../../runtime/core/agent.ts'
import type { Journal } from '../../../runtime/core/journal.ts'
import type { Chain } from '../../../runtime/core/ports.ts'
import { formatUsd } from '../../../runtime/core/units.ts'
import type { Standings } from '../../../runtime/live/standings.ts'
import { slotsOf } from '../../../runtime/stages/slot.ts'
import type { Status } from '../../api/status.ts'
import { version } from '../../version.ts'
import { formatHealthFactor } from '../../world/measurePlay.ts'
import type { Report } from '../report.ts'
import type { PlayRequest } from './openWorld.ts'

/** What of a session its status is made of. */
type Described = {
  readonly chain: Chain
  readonly journal: Journal
  readonly agents: readonly { readonly agent: Agent }[]
  /** Where agents rise by steps. */
  readonly standings?: Pick<Standings, 'graduationOf'>
}

/** The status of a play, or of what comes before it. */
export async function describeStatus(
  session: Described | null,
  request: PlayRequest,
  report: Report | null,
): Promise<Status> {
  const scenario = {
    name: request.found.scenario.name,
    seed: request.seed,
    blocks: request.found.blocks,
    passed: report?.passed ?? null,
  }
  if (session === null) return { ...blank('starting', 0), scenario }
  return { ...(await describeAgents(session, report === null ? 'playing' : 'done')), scenario }
}

const blank = (phase: Status['phase'], chainId: number): Status => ({
  version,
  pid: process.pid,
  phase,
  chainId,
  block: null,
  scenario: null,
  agents: [],
  inFlight: 0,
})

/** What every session has: a chain, a journal and agents. */
export async function describeAgents(session: Described, phase: Status['phase']): Promise<Status> {
  const { chain, journal } = session
  const [head, inFlight] = await Promise.all([chain.head(), journal.inFlight()])
  const agents = await Promise.all(
    session.agents.map(async ({ agent }) => {
      const [tradingState, runs] = await Promise.all([
        journal.tradingState(agent.id, agent.account),
        journal.runs(agent.id),
      ])
      const last = runs.findLast(({ decision }) => decision !== null)
      const decision = last?.decision ?? null
      return {
        id: agent.id,
        account: agent.account,
        tradingState,
        healthFactor: decision === null ? null : formatHealthFactor(decision.healthFactor),
        equityUsd: decision === null ? null : formatUsd(decision.equity),
        ...graduationOf(session, agent),
        lastDecision:
          last === undefined || decision === null
            ? null
            : { block: Number(last.blockNumber), intent: decision.intent, reason: decision.reason },
      }
    }),
  )
  return {
    ...blank(phase, chain.chainId),
    block: Number(head.number),
    agents,
    // Of several attempts on one nonce one at most is mined.
    inFlight: slotsOf(inFlight).length,
  }
}

/** Where an agent stands on the steps of its policy, if it has any. */
function graduationOf({ standings }: Described, { id }: Agent): Pick<Status['agents'][number], 'graduation'> {
  const at = standings?.graduationOf(id) ?? null
  if (at === null) return {}
  const { goodSince, ...rest } = at
  return { graduation: { ...rest, goodSince: goodSince === null ? null : Number(goodSince) } }
}
