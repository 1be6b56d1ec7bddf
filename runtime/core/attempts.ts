import type { Address, Hex } from 'viem'
import type { AttemptId, Hash, IntentId } from './ids.ts'
import type { Outcome, Plan } from './lifecycle.ts'
import type { Usd } from './units.ts'

/**
 * Where one set of signed bytes stands. `docs/attempts.md` draws the states; {@link attemptTransitions} is the law.
 *
 * | status | meaning |
 * |---|---|
 * | `prepared` | the journal holds nonce and plan; the signer may or may not have signed |
 * | `signed` | the journal holds the bytes: counts as broadcast |
 * | `broadcast` | a node took the bytes |
 * | `unknown` | nobody can say what became of them: keeps its nonce and its budget |
 * | `pending` | a node holds them in its pool |
 * | `mined` | in a block, not deep enough yet |
 * | `confirmed` | in a block deep enough, and succeeded |
 * | `failed` | in a block deep enough, and reverted: failed for good |
 * | `replaced` | another transaction on its nonce is in a block deep enough |
 * | `dropped` | never signed, and never will be: its nonce is free |
 * | `reorged` | was in a block that left the chain: the same bytes are sent again |
 */
export const attemptStatuses = [
  'prepared',
  'signed',
  'broadcast',
  'unknown',
  'pending',
  'mined',
  'confirmed',
  'failed',
  'replaced',
  'dropped',
  'reorged',
] as const
export type AttemptStatus = (typeof attemptStatuses)[number]

/** Statuses whose outcome is not known yet: they hold their nonce and their budget. */
export const openStatuses = [
  'prepared',
  'signed',
  'broadcast',
  'unknown',
  'pending',
  'mined',
  'reorged',
] as const satisfies readonly AttemptStatus[]

export const isOpen = (status: AttemptStatus): boolean =>
  (openStatuses as readonly AttemptStatus[]).includes(status)

/** Who may move an attempt: a stage, or the recovery at start. */
export type Mover = 'sign' | 'submit' | 'confirm' | 'reconcile' | 'recover'

/** One arrow of the state machine. `from` null is the beginning. */
export type AttemptTransition = {
  readonly from: AttemptStatus | null
  readonly to: AttemptStatus
  readonly by: Mover
  /** What has to be so, as one line. */
  readonly when: string
}

const each = (
  from: readonly (AttemptStatus | null)[],
  to: AttemptStatus,
  by: Mover,
  when: string,
): readonly AttemptTransition[] => from.map((one) => ({ from: one, to, by, when }))

/** Bytes that are out, or may be, and are in no block. */
const AFLOAT = ['signed', 'broadcast', 'unknown', 'pending', 'reorged'] as const

/** Every way an attempt can go; there is no other. */
export const attemptTransitions: readonly AttemptTransition[] = [
  ...each(
    [null],
    'prepared',
    'sign',
    'a plan was allowed, or a nonce has to be filled: the journal claims the nonce',
  ),
  ...each(
    [null, 'prepared'],
    'signed',
    'recover',
    'the signer’s ledger holds bytes that the journal does not',
  ),
  ...each(
    ['prepared'],
    'signed',
    'sign',
    'the signer answered: the bytes are in its ledger and in the journal',
  ),
  ...each(['prepared'], 'dropped', 'sign', 'the signer recorded that nothing was signed and nothing will be'),
  ...each(['signed', 'unknown', 'reorged', 'pending'], 'broadcast', 'submit', 'a node took the bytes'),
  ...each(
    ['signed', 'broadcast', 'pending', 'reorged'],
    'unknown',
    'submit',
    'a node’s answer leaves it open',
  ),
  ...each(['mined'], 'unknown', 'confirm', 'the nodes contradict one another about its block'),
  ...each(
    ['signed', 'broadcast', 'pending', 'reorged'],
    'unknown',
    'confirm',
    'its nonce is used, and nothing of ours on it has a receipt',
  ),
  ...each(
    ['signed', 'broadcast', 'unknown', 'reorged'],
    'pending',
    'confirm',
    'a node holds the bytes in its pool',
  ),
  ...each([...AFLOAT], 'mined', 'confirm', 'a quorum of nodes has its receipt'),
  ...each(['mined'], 'confirmed', 'reconcile', 'its block is deep enough, and it succeeded'),
  ...each(['mined'], 'failed', 'reconcile', 'its block is deep enough, and it reverted'),
  ...each(
    [...AFLOAT, 'mined'],
    'replaced',
    'reconcile',
    'another transaction on its nonce is in a block that is deep enough',
  ),
  ...each(
    [...AFLOAT],
    'replaced',
    'confirm',
    'a quorum proves something outside of Rialto on its nonce, in a block that is deep enough',
  ),
  ...each(
    ['mined', 'confirmed', 'failed', 'replaced'],
    'reorged',
    'confirm',
    'the block that decided it left the chain',
  ),
]

const ALLOWED: ReadonlySet<string> = new Set(attemptTransitions.map(({ from, to }) => `${from}>${to}`))

/**
 * Whether the state machine has this arrow.
 *
 * @example mayMove('signed', 'mined') // true
 * @example mayMove('dropped', 'signed') // false
 */
export const mayMove = (from: AttemptStatus | null, to: AttemptStatus): boolean =>
  ALLOWED.has(`${from}>${to}`)

/**
 * What an attempt is for.
 *
 * | purpose | plan |
 * |---|---|
 * | `act` | carries out its intent; a replacement has the same calls and higher fees |
 * | `cancel` | an empty transaction on the nonce of an intent that is not wanted any more |
 * | `fill` | an empty transaction on a nonce that nothing else will use |
 * | `adopted` | found in the signer's ledger, of an intent that the journal does not hold: the protector's, or lost |
 */
export type AttemptPurpose = 'act' | 'cancel' | 'fill' | 'adopted'

/** An attempt as it stands before anyone has signed it. */
export type PreparedAttempt = {
  readonly id: AttemptId
  /** Null exactly for `fill` and `adopted`. */
  readonly intentId: IntentId | null
  readonly purpose: AttemptPurpose
  /** The open attempt on the same nonce that it is to take the place of; null for the first on its nonce. */
  readonly replaces: AttemptId | null
  readonly chainId: number
  /** Whose nonces it uses. */
  readonly account: Address
  readonly nonce: bigint
  /** Two when the transaction carries an authorisation of its own sender. */
  readonly noncesUsed: 1 | 2
  /** The whole plan, so that a restart can have the very same bytes signed again. */
  readonly plan: Plan
  readonly planHash: Hash
  /** The chain's time, in seconds, of the block it was decided on. */
  readonly signedAt: bigint
  /** The most that it may cost: fall of equity plus gas at the fee cap. Of all on one nonce the highest counts. */
  readonly reserved: Usd
  /** What its simulation promised; null for everything but `act`. */
  readonly expected: Outcome | null
}

export type AttemptRecord = PreparedAttempt & {
  readonly status: AttemptStatus
  /** Null while `prepared`. */
  readonly raw: Hex | null
  readonly hash: Hash | null
  /**
   * The block it is in, from `mined` on; null while it is in none. Of one that something outside of Rialto replaced, the
   * block at which its nonce counts as used.
   */
  readonly blockNumber: bigint | null
  readonly blockHash: Hash | null
  /** Null until it is settled, and where the chain no longer had the state to measure it in. */
  readonly actual: Outcome | null
  /** What it did cost: fall of equity plus gas. Null until settled; nothing for `replaced` and `dropped`. */
  readonly spent: Usd | null
  /** Why it failed, was replaced or dropped, or why its outcome is unknown; null otherwise. */
  readonly failure: string | null
}

/** Bytes of the signer's ledger that the journal lacks, as it takes them up. */
export type AdoptedAttempt = Omit<PreparedAttempt, 'purpose' | 'replaces' | 'expected'> & {
  readonly raw: Hex
  readonly hash: Hash
}

/** A step that settles nothing yet. */
export type AttemptStep =
  | { readonly to: 'broadcast' }
  | { readonly to: 'pending' }
  | { readonly to: 'unknown'; readonly failure: string }
  | { readonly to: 'mined'; readonly block: { readonly number: bigint; readonly hash: Hash } }
  | { readonly to: 'reorged' }

/** What became of an attempt. The rest on its nonce is `replaced` with it, in the same transaction. */
export type Settlement =
  | {
      readonly status: 'confirmed'
      readonly blockNumber: bigint
      readonly blockHash: Hash
      /** Null when the chain no longer has the state that it would be measured in. */
      readonly actual: Outcome | null
      readonly spent: Usd
      readonly deviated: boolean
    }
  | {
      readonly status: 'failed'
      readonly blockNumber: bigint
      readonly blockHash: Hash
      /** As of `confirmed`. */
      readonly actual: Outcome | null
      readonly spent: Usd
      readonly failure: string
    }
  | { readonly status: 'dropped'; readonly failure: string }

/** A transaction outside of Rialto on a nonce that the journal holds, proven by a quorum at enough confirmations. */
export type OutsideTransaction = {
  readonly account: Address
  readonly nonce: bigint
  /** Null where an authorisation used the nonce, or no node could name the transaction. */
  readonly hash: Hash | null
  /** The block at which a quorum counts the nonce as used. */
  readonly block: { readonly number: bigint; readonly hash: Hash }
}
