import type { Address } from 'viem'
import type { Agent } from '../core/agent.ts'
import { describeError } from '../core/errors.ts'
import type { AgentId } from '../core/ids.ts'
import type { Chain, Journal, Logger, Signer } from '../core/ports.ts'
import type { BlockRef } from '../core/snapshot.ts'
import type { AgentMode } from '../guards/agentModes.ts'
import {
  graduatedPolicies,
  SECONDS_PER_DAY,
  secondsOf,
  standingAfter,
  WAITING,
} from '../guards/graduation.ts'
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
  /** Whole days in good standing by the signer's count, where that is what holds it back; null where it is not. */
  readonly signerDays: number | null
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
  /** Nothing is signed under a step that it does not count as earned. */
  readonly signer: Pick<Signer, 'goodFor'>
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly agents: readonly {
    readonly agent: Pick<Agent, 'id' | 'account'>
    readonly policy: Policy
    /** Who signs for it, where that is not its account. */
    readonly sender?: Address
  }[]
}

type Standing = { readonly steps: readonly [Policy, ...Policy[]]; at: Graduation }

/** Seconds in good standing: by the journal, and by the signer, which knows nothing of what guards denied. */
type Good = { readonly since: bigint | null; readonly byJournal: bigint; readonly bySigner: bigint | null }

const NOTHING: Good = { since: null, byJournal: 0n, bySigner: null }

/**
 * Keeps what agents may do as high as they have earned, by the journal and by the signer's own count, whichever says
 * less. Everybody begins on the strictest step, after a restart too, until the first look at both.
 *
 * @example
 * const standings = createStandings({ chain, journal, signer, logger, agents })
 * await standings.refresh(head)
 * standings.policyOf(agentId('guardian')).mode // 'propose'
 */
export function createStandings({ chain, journal, signer, logger, agents }: StandingsOptions): Standings {
  const standings = new Map<AgentId, Standing>(
    agents.map(({ agent, policy }) => {
      const steps = graduatedPolicies(policy)
      return [agent.id, { steps, at: graduation(policy, steps, NOTHING) }]
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
    { agent, policy, sender = agent.account }: StandingsOptions['agents'][number],
    head: BlockRef,
  ): Promise<Step | null> {
    const held = of(agent.id)
    if (held.steps.length === 1) return null
    const block = await journal.goodSince(agent.id, agent.account, [...WAITING])
    const since = block === null ? null : await timeOf(block, head)
    const byJournal = since === null || head.timestamp < since ? 0n : head.timestamp - since
    // Whoever only observes may have no key.
    const bySigner = policy.mode === 'observe' ? null : await signer.goodFor(sender)
    const from = held.at.step
    held.at = graduation(policy, held.steps, { since, byJournal, bySigner })
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
  { since, byJournal, bySigner }: Good,
): Graduation {
  const isHeldBack = bySigner !== null && bySigner < byJournal
  const good = isHeldBack ? bySigner : byJournal
  const step = standingAfter(policy, good)
  const next = policy.graduation === 'none' ? undefined : policy.graduation[step + 1]
  return {
    step,
    of: steps.length,
    goodSince: since,
    mode: (steps[step] ?? steps[0]).mode,
    nextInDays:
      next === undefined ? null : Number((secondsOf(next) - good + SECONDS_PER_DAY - 1n) / SECONDS_PER_DAY),
    signerDays: isHeldBack && step < standingAfter(policy, byJournal) ? Number(good / SECONDS_PER_DAY) : null,
  }
}

/** Whether an agent has to ask, and there is nobody to say yes. */
export const asksNobody = (policy: Policy, mode: AgentMode = policy.mode): boolean =>
  mode === 'propose' && policy.approvals.owners.length === 0

export const ASKS_NOBODY = 'Its policy names no owners, so nobody can approve what it asks.'

/** What a person is told of how far an agent may go. */
export function describeGraduation(agent: AgentId, policy: Policy, at: Graduation | null): string {
  const note = asksNobody(policy, at?.mode) ? ` ${ASKS_NOBODY}` : ''
  if (at === null)
    return policy.mode === 'observe'
      ? `${agent} only observes.`
      : `${agent} acts with its full limits from the first block (graduation "none"), in mode ${policy.mode}.${note}`
  const next =
    at.nextInDays === null
      ? 'the last'
      : `the next in ${at.nextInDays} day${at.nextInDays === 1 ? '' : 's'} without a denial or deviation`
  const held =
    at.signerDays === null
      ? ''
      : ` The signer's own count is what holds it there: ${at.signerDays} day${at.signerDays === 1 ? '' : 's'}, since its ledger began or it last refused a plan.`
  return `${agent} stands on step ${at.step + 1} of ${at.of}, in mode ${at.mode}; ${next}.${held}${note}`
}
