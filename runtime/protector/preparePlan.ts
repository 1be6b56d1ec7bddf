import type { Address } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import { type AgentId, type IntentId, unaidedIntentId } from '../core/ids.ts'
import type { Action } from '../core/intent.ts'
import type { SimulatedPlan } from '../core/lifecycle.ts'
import type { Snapshot } from '../core/snapshot.ts'
import { type Usd, usd } from '../core/units.ts'
import { type DenialCode, denials, type TradingState, type Verdict } from '../core/verdict.ts'
import type { GuardContext } from '../guards/guard.ts'
import { judgeEffect, judgeIntent } from '../guards/index.ts'
import type { Policy } from '../guards/policy.ts'
import type { Fees } from '../stages/fees.ts'
import { type SimulationRuntime, simulate } from '../stages/simulate.ts'

export type PreparationOptions = Pick<
  SimulationRuntime,
  'chain' | 'blockSeconds' | 'explainRevert' | 'routeOf'
> & {
  readonly book: AddressBook
  /** Under whose name its intents are made: for one agent and account, no block may have two of one name. */
  readonly name: AgentId
  /** Whose account it is. */
  readonly agent: AgentId
  readonly account: Address
  readonly policy: Policy
  /** What the guards are told of the owner's orders, once whoever drives it has obeyed them. */
  readonly tradingState: TradingState
}

/**
 * `by` whom: the guards, the simulation, which may be one node's word, or the signer. `codes` are the guards', or the
 * signer's where it refused the plan itself.
 */
export type Denied = {
  readonly kind: 'denied'
  readonly by: 'guard' | 'simulation' | 'signer'
  readonly reason: string
  readonly codes: readonly DenialCode[]
}

export type Prepared = {
  readonly kind: 'prepared'
  readonly intentId: IntentId
  readonly plan: SimulatedPlan
}

/** What is on a nonce already, and what was spent within the policy's window. */
export type Before = { readonly fees: readonly Fees[]; readonly spent: Usd }

/** One intent, from its first judgement to a plan that every guard allows: no journal, no queue, no signer. */
export async function preparePlan(
  options: PreparationOptions,
  snapshot: Snapshot,
  action: Action,
  before: Before = { fees: [], spent: usd(0n) },
): Promise<Prepared | Denied> {
  const { policy, book, account, agent, name, tradingState } = options
  const context: GuardContext = {
    policy,
    book,
    snapshot,
    account,
    tradingState,
    // What others spent is not known here; the signer counts everything.
    history: { spent: before.spent, inFlight: 0, inert: 0, lastActionAt: null, peakEquity: null },
  }
  const first = judgeIntent(context, action)
  if (!first.allowed) return denied(first)
  const id = unaidedIntentId(name, { agent, account }, snapshot.block.hash)
  const simulation = await simulate(options, { id, agent, account, action }, snapshot, policy, before.fees)
  if (!simulation.ok) return { kind: 'denied', by: 'simulation', reason: simulation.reason, codes: [] }
  const verdict = judgeEffect(context, action, simulation.plan)
  return verdict.allowed ? { kind: 'prepared', intentId: id, plan: simulation.plan } : denied(verdict)
}

const denied = (verdict: Verdict): Denied => ({
  kind: 'denied',
  by: 'guard',
  reason: denials(verdict)
    .map(({ message }) => message)
    .join(' '),
  codes: denials(verdict).flatMap(({ code }) => (code === null ? [] : [code])),
})
