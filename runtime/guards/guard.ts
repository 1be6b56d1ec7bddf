import type { Address } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import type { Action } from '../core/intent.ts'
import type { History } from '../core/journal.ts'
import type { SimulatedPlan } from '../core/lifecycle.ts'
import type { Snapshot } from '../core/snapshot.ts'
import type { DenialCode, Finding, TradingState } from '../core/verdict.ts'
import type { Policy } from './policy.ts'

/** All that a guard may judge by besides the intent and its plan. */
export type GuardContext = {
  readonly policy: Policy
  readonly book: AddressBook
  /** Of the block that the plan is simulated on. */
  readonly snapshot: Snapshot
  /** Since the beginning of the policy's spend window. */
  readonly history: History & {
    /** How many of the attempts in flight can change nothing any more, although their outcome is unknown. */
    readonly inert: number
  }
  readonly tradingState: TradingState
  /** Blocks that a person is given to approve what is judged, by which it may be mined later. Absent: nobody is asked. */
  readonly patience?: bigint
  /** Whose money is moved. */
  readonly account: Address
}

/** A finding before it carries its guard's name. */
export type Ruling = Omit<Finding, 'guard'>

/**
 * A limit on what is wanted. It answers before the simulation, with no plan, and once more after it, because the
 * simulation may show that an intent is not what it claims to be, and because the owner may have spoken meanwhile.
 *
 * Musts: pure; never allows what it cannot judge (to throw is to deny).
 */
export type IntentGuard = (context: GuardContext, intent: Action, plan: SimulatedPlan | null) => Ruling

/** A limit on what the simulation measured. The same musts. */
export type EffectGuard = (context: GuardContext, intent: Action, plan: SimulatedPlan) => Ruling

/** What was compared: decimal strings or names for the record, and one line for a person. */
type Grounds = { readonly limit: string; readonly observed: string; readonly message: string }

export const allow = (grounds: Grounds): Ruling => ({ allowed: true, code: null, ...grounds })

export const deny = (code: DenialCode, grounds: Grounds): Ruling => ({ allowed: false, code, ...grounds })

/** Allows when the limit holds and denies with the code when it does not. */
export const rule = (holds: boolean, code: DenialCode, grounds: Grounds): Ruling =>
  holds ? allow(grounds) : deny(code, grounds)

/** The guard has nothing to say about this kind of intent. */
export const notConcerned = (kind: Action['kind']): Ruling =>
  allow({ limit: 'none', observed: kind, message: `Does not concern a ${kind}.` })
