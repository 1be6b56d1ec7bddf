import type { Agent } from '../core/agent.ts'
import { describeError } from '../core/errors.ts'
import type { AgentId } from '../core/ids.ts'
import type { Chain, Journal, Logger } from '../core/ports.ts'
import type { BlockRef } from '../core/snapshot.ts'
import type { AgentMode } from '../guards/agentModes.ts'
import { graduatedPolicies, standing, WAITING } from '../guards/graduation.ts'
import type { Policy } from '../guards/policy.ts'
import { UnknownAgentError } from '../stages/errors.ts'

/** Where an agent stands on the steps of its policy. */
export type Graduation = {
  /** From 0, the strictest. */
  readonly step: number
  /** How many steps there are. */
  readonly of: number
  /** Chain time in seconds of its last denial or deviation, or of its first run; null before that. */
  readonly goodSince: bigint | null
  readonly mode: AgentMode
  /** Whole days until the next step, if nothing is denied and nothing deviates; null on the last. */
  readonly nextInDays: number | null
}

/** A step that was taken, up or down. */
export type Step = { readonly agent: AgentId; readonly from: number; readonly to: Graduation }

export type Standings = {
  /** The policy of the step that an agent stands on. @throws {UnknownAgentError} */
  policyOf(agent: AgentId): Policy
  /** Null for an agent whose policy has no steps. @throws {UnknownAgentError} */
  graduationOf(agent: AgentId): Graduation | null
  /**
   * Looks at every agent's standing anew, at a head. One that cannot be looked at keeps its step, and it is logged.
   *
   * @returns the steps that were taken
   */
  refresh(head: BlockRef): Promise<readonly Step[]>
}

export type StandingsOptions = {
  readonly chain: Pick<Chain, 'block'>
  readonly journal: Pick<Journal, 'goodSince'>
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly agents: readonly { readonly agent: Pick<Agent, 'id' | 'account'>; readonly policy: Policy }[]
}

type Standing = { readonly steps: readonly [Policy, ...Policy[]]; at: Graduation }

const DAY = 86_400n

/**
 * Keeps what agents may do as high as they have earned. Everybody begins on the strictest step, after a restart too,
 * until the first look at the journal.
 *
 * @example
 * const standings = createStandings({ chain, journal, logger, agents })
 * await standings.refresh(head)
 * standings.policyOf(agentId('guardian')).mode // 'propose'
 */
export function createStandings({ chain, journal, logger, agents }: StandingsOptions): Standings {
  const standings = new Map<AgentId, Standing>(
    agents.map(({ agent, policy }) => {
      const steps = graduatedPolicies(policy)
      return [agent.id, { steps, at: graduation(policy, steps, null, 0n) }]
    }),
  )
  /** When blocks were, by their number: a standing is asked for at every head, and changes once in weeks. */
  const times = new Map<bigint, bigint>()

  const of = (id: AgentId): Standing => {
    const found = standings.get(id)
    if (found === undefined) throw new UnknownAgentError(id)
    return found
  }

  async function timeOf(block: bigint, head: BlockRef): Promise<bigint> {
    if (block >= head.number) return head.timestamp
    const known = times.get(block)
    if (known !== undefined) return known
    const { timestamp } = await chain.block(block)
    times.set(block, timestamp)
    for (const [oldest] of times) if (times.size > agents.length) times.delete(oldest)
    return timestamp
  }

  async function look(
    { agent, policy }: StandingsOptions['agents'][number],
    head: BlockRef,
  ): Promise<Step | null> {
    const held = of(agent.id)
    if (held.steps.length === 1) return null
    const block = await journal.goodSince(agent.id, agent.account, [...WAITING])
    const goodSince = block === null ? null : await timeOf(block, head)
    const from = held.at.step
    held.at = graduation(policy, held.steps, goodSince, head.timestamp)
    return held.at.step === from ? null : { agent: agent.id, from, to: held.at }
  }

  return {
    policyOf(id) {
      const { steps, at } = of(id)
      return steps[at.step] ?? steps[0]
    },
    graduationOf(id) {
      const { steps, at } = of(id)
      return steps.length === 1 ? null : at
    },
    async refresh(head) {
      const taken: Step[] = []
      for (const one of agents)
        try {
          const step = await look(one, head)
          if (step === null) continue
          taken.push(step)
          const { step: to, mode } = step.to
          const fields = { agent: step.agent, from: step.from, to, mode }
          if (to > step.from) logger.info(fields, 'risen by a step')
          else logger.warn(fields, 'thrown back, after a denial or a deviation')
        } catch (error) {
          logger.error({ agent: one.agent.id, error: describeError(error) }, 'its standing cannot be told')
        }
      return taken
    },
  }
}

function graduation(
  policy: Policy,
  steps: readonly [Policy, ...Policy[]],
  goodSince: bigint | null,
  now: bigint,
): Graduation {
  const step = standing(policy, goodSince, now)
  const next = policy.graduation === 'none' ? undefined : policy.graduation[step + 1]
  const good = goodSince === null || now < goodSince ? 0n : now - goodSince
  return {
    step,
    of: steps.length,
    goodSince,
    mode: (steps[step] ?? steps[0]).mode,
    nextInDays: next === undefined ? null : Number((BigInt(next.days) * DAY - good + DAY - 1n) / DAY),
  }
}

/** What a person is told of how far an agent may go. */
export function describeGraduation(agent: AgentId, policy: Policy, at: Graduation | null): string {
  const asksNobody = (at?.mode ?? policy.mode) === 'propose' && policy.approvals.owners.length === 0
  const note = asksNobody ? ' Its policy names no owners, so nobody can approve what it asks.' : ''
  if (at === null)
    return policy.mode === 'observe'
      ? `${agent} only observes.`
      : `${agent} acts with its full limits from the first block (graduation "none"), in mode ${policy.mode}.${note}`
  const next =
    at.nextInDays === null
      ? 'the last'
      : `the next in ${at.nextInDays} day${at.nextInDays === 1 ? '' : 's'} without a denial or deviation`
  return `${agent} stands on step ${at.step + 1} of ${at.of}, in mode ${at.mode}; ${next}.${note}`
}
