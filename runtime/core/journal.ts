import type { Address, Hex } from 'viem'
import type { DecisionSource } from './agent.ts'
import type { ApprovalEnd, ApprovalRecord, ApprovalRequest } from './approvalRecords.ts'
import type {
  AdoptedAttempt,
  AttemptRecord,
  AttemptStatus,
  AttemptStep,
  OutsideTransaction,
  PreparedAttempt,
  Settlement,
} from './attempts.ts'
import { RialtoError } from './errors.ts'
import type { AgentId, AttemptId, EpochId, Hash, IntentId, RunId } from './ids.ts'
import type { Action, IntentKind } from './intent.ts'
import type { Usd, Wad } from './units.ts'
import type { DenialCode, TradingState, Verdict } from './verdict.ts'

export type { AttemptRecord, AttemptStatus, PreparedAttempt, Settlement } from './attempts.ts'

/** `decided` has an intent or nothing to do; `failed` ended with an error and may be run again. */
export type RunStatus = 'started' | 'decided' | 'failed'

export type RunRecord = {
  readonly id: RunId
  readonly agent: AgentId
  readonly account: Address
  readonly blockNumber: bigint
  readonly blockHash: Hash
  readonly status: RunStatus
  readonly decision: DecisionRecord | null
  /** Why it failed last, even if a later try decided; null if it never failed. */
  readonly error: string | null
}

/** What a run decided. */
export type DecisionRecord = {
  readonly snapshotHash: Hash
  readonly intent: IntentKind
  readonly reason: string
  readonly source: DecisionSource
  readonly fallbackReason: string | null
  readonly candidates: number
  readonly inferenceCalls: number
  readonly model: string | null
  /** Of the agent's own account at the run's block. */
  readonly equity: Usd
  readonly healthFactor: Wad
}

/**
 * Where an intent stands.
 *
 * `proposed` → `denied` | `expired` | `signed` → `done` (mined and as promised) | `reverted` | `deviated`
 * (mined, but worse than promised beyond the bound). `signed` is held until the outcome is known; it ends as `expired`
 * when something else was mined on its nonce. A reorganisation moves a settled one back to `signed`.
 */
export type IntentStatus = 'proposed' | 'denied' | 'expired' | 'signed' | 'done' | 'reverted' | 'deviated'

export type IntentRecord = {
  readonly id: IntentId
  readonly runId: RunId
  readonly agent: AgentId
  readonly account: Address
  readonly action: Action
  readonly status: IntentStatus
  readonly decidedOnBlock: bigint
  /** Verdicts in the order they were given. */
  readonly verdicts: readonly Verdict[]
}

/** A lease on an account: who writes its nonces. */
export type Lease = {
  readonly account: Address
  readonly holder: string
  /** Grows with every change of holder; a lower one is refused by the journal and the signer. */
  readonly token: bigint
}

/** What the guards need to know of the past. Times are the chain's, in seconds. */
export type History = {
  /**
   * Spent by settled attempts since `since`, plus what is reserved by those that are not settled, however old: of all
   * on one nonce the highest, since one of them alone can be mined.
   */
  readonly spent: Usd
  /** Nonces of the account that hold an attempt whose outcome is not known. */
  readonly inFlight: number
  /** Block time of the last attempt that was signed; null if there is none. */
  readonly lastActionAt: bigint | null
  /** Highest equity over the runs of the epoch; null if there is none. */
  readonly peakEquity: Usd | null
}

/** How much an epoch holds. */
export type JournalCounts = { readonly runs: number; readonly intents: number; readonly attempts: number }

/** A nonce that already belongs to another attempt. */
export class NonceTakenError extends RialtoError {
  override readonly name = 'NonceTakenError'
  constructor(account: Address, nonce: bigint, attempt: AttemptId) {
    super('NONCE_TAKEN', `Nonce ${nonce} of ${account} already belongs to another attempt than ${attempt}.`, {
      fix: 'The intent is judged again and takes the next free nonce.',
      retryable: true,
      details: { account, nonce, attempt },
    })
  }
}

/** A lease that another holder has taken over. */
export class FencedError extends RialtoError {
  override readonly name = 'FencedError'
  constructor(lease: Lease) {
    super('FENCED', `The lease of ${lease.holder} on ${lease.account} is no longer the newest.`, {
      fix: 'Acquire the lease again; the other holder may be at work until then.',
      retryable: true,
      details: { account: lease.account, holder: lease.holder, token: lease.token },
    })
  }
}

/** A record that the journal's epoch does not hold. */
export class UnknownRecordError extends RialtoError {
  override readonly name = 'UnknownRecordError'
  constructor(kind: 'run' | 'intent' | 'attempt' | 'approval', id: string) {
    super('UNKNOWN_RECORD', `The journal holds no ${kind} ${id}.`, {
      fix: 'Check that queue and journal belong together.',
      details: { kind, id },
    })
  }
}

/** A step that the record's status rules out: a status only moves forward. */
export class StatusConflictError extends RialtoError {
  override readonly name = 'StatusConflictError'
  constructor(kind: 'intent' | 'attempt', id: string, status: IntentStatus | AttemptStatus, step: string) {
    super('STATUS_CONFLICT', `The ${kind} ${id} is ${status}, so it cannot ${step}.`, {
      fix: 'Read the record again: someone else took it further.',
      details: { kind, id, status, step },
    })
  }
}

/** Whom an order of a person is for: one agent, whoever acts on one account, or all. */
export type TradingScope = 'all' | { readonly agent: AgentId } | { readonly account: Address }

/** One step that an attempt made. `from` null is the beginning. */
export type AttemptMove = { readonly from: AttemptStatus | null; readonly to: AttemptStatus }

/** What opens a journal for a chain. */
export type JournalStore = {
  /**
   * The journal of the epoch that belongs to this chain and genesis, made if it is new.
   *
   * Ids are unique within an epoch only: two local worlds that play the same seed have the same block hashes, so
   * the same run ids, and nothing that one did may be taken for done by the other.
   */
  open(chainId: number, genesisHash: Hash): Promise<Journal>

  /** The journals of all epochs that there are, oldest first: for whoever looks for something and has no chain. */
  all(): Promise<readonly Journal[]>

  /** Sets what a person ordered, in every epoch. */
  setTradingState(scope: TradingScope, state: TradingState, reason: string): Promise<void>
}

/**
 * The record of everything within one epoch, and the only truth about it: the queue is just a wake-up.
 *
 * Musts:
 * - each method is one database transaction: it happens whole or not at all;
 * - each writing method is idempotent by the id it is given, and returns what is stored: a second `decide` of a
 *   run returns the first decision and changes nothing;
 * - `sign` is durable when it returns, so that bytes are in the journal before they are on the wire;
 * - `prepare` throws `NonceTakenError` when one of its nonces already belongs to another attempt of the epoch that
 *   was not dropped, and is not the one it replaces; `prepare`, `sign` and `adopt` throw `FencedError` when the
 *   lease's token is not the newest;
 * - an attempt moves along the arrows of `attemptTransitions` and no others;
 * - a run has at most one intent; a status only moves forward: a step that a record's status rules out throws
 *   `StatusConflictError`, a record that is not there `UnknownRecordError`;
 * - addresses come back with their checksum, whatever the spelling they were given in;
 * - all figures are exact (`numeric`, never a float).
 */
export type Journal = {
  readonly epoch: EpochId

  /** A run that failed is started again; one that was started or decided is returned as it is. */
  startRun(run: {
    id: RunId
    agent: AgentId
    account: Address
    blockNumber: bigint
    blockHash: Hash
  }): Promise<RunRecord>
  /** Records the decision and, unless it is to do nothing, the intent. */
  decide(
    run: RunId,
    decision: DecisionRecord,
    intent: { id: IntentId; action: Action } | null,
  ): Promise<RunRecord>
  /** Records why a run failed. One that has decided keeps its decision and its status. */
  failRun(run: RunId, error: string): Promise<void>

  intent(id: IntentId): Promise<IntentRecord | null>
  /**
   * Appends a verdict to a proposed intent; the same verdict again right after itself is stored once. An intent that
   * is no longer proposed is returned as it is.
   */
  recordVerdict(id: IntentId, verdict: Verdict, status: 'proposed' | 'denied'): Promise<IntentRecord>
  /** Expires an intent that is proposed; any other is returned as it is. */
  expireIntent(id: IntentId): Promise<IntentRecord>
  /** Intents that were proposed but neither denied, expired nor signed: a restart takes them up. */
  openIntents(): Promise<readonly IntentRecord[]>

  /**
   * Asks a person about a plan, whose intent stays `proposed` meanwhile. An intent has one request at a time that waits.
   *
   * @throws {StatusConflictError} when the intent is not proposed.
   * @throws {InvariantError} when another request of the intent waits, or the request does not fit its plan.
   */
  requestApproval(request: ApprovalRequest): Promise<ApprovalRecord>
  /**
   * Stores an owner's signature; the one that makes them enough makes the request `approved`. An owner who signed before
   * changes nothing.
   *
   * @param signedAt seconds since 1970, by the clock of whoever takes it
   * @throws {ApprovalSignatureError} when it is none of an owner over exactly this request.
   * @throws {ApprovalClosedError} when the request does not wait any more, or its time is over.
   */
  addApproval(id: Hash, signature: Hex, signedAt: bigint): Promise<ApprovalRecord>
  /**
   * Ends a request that waits, and its intent with it: `rejected` makes that `denied`, all else `expired`. The same end
   * again returns what is stored.
   *
   * @throws {ApprovalClosedError} when it ended in another way, or the plan was signed.
   */
  endApproval(id: Hash, end: ApprovalEnd, reason: string): Promise<ApprovalRecord>
  approval(id: Hash): Promise<ApprovalRecord | null>
  /** All requests, oldest first; with `waiting` those whose intent is still proposed and that have not ended. */
  approvals(which?: 'waiting'): Promise<readonly ApprovalRecord[]>

  /**
   * Takes the lease if it is free, over, or the holder's own already, until `seconds` from now by the database's
   * clock; null when another holds it. `holder` must be unique to the life of one process. Tokens grow across epochs
   * too, since a signer remembers the highest it has seen.
   */
  acquireLease(account: Address, holder: string, seconds: number): Promise<Lease | null>
  /** Ends the lease before its time, if it is still the newest. */
  releaseLease(lease: Lease): Promise<void>

  /**
   * Claims the nonce and stores the plan, before the signer is asked. Moves the intent to `signed`: from here on
   * it may be on its way. With `replaces` the attempt joins the open one on its nonce, which must have its bytes.
   */
  prepare(lease: Lease, attempt: PreparedAttempt): Promise<AttemptRecord>
  /** Stores the signed bytes of a prepared attempt, before anyone broadcasts them. */
  sign(lease: Lease, id: AttemptId, signed: { raw: Hex; hash: Hash }): Promise<AttemptRecord>
  /**
   * Takes up bytes of the signer's ledger that the journal lacks, as `signed`: a prepared attempt gets its bytes; one
   * that is not there is made, of its intent if the journal holds that (`act`, or `cancel` for an empty plan) and has
   * it `proposed` or `signed`, and `adopted` or `fill` with no intent otherwise. What is there stays as it is.
   */
  adopt(lease: Lease, attempt: AdoptedAttempt): Promise<AttemptRecord>
  /**
   * Moves an attempt by one step of the state machine. `broadcast` and `pending` leave one alone that is further (in a
   * block, or settled), `unknown` one that is settled, `mined` one that is settled in the same block; the same step
   * again changes nothing but the reason. `reorged` of a settled attempt takes back its settlement, with all that was
   * `replaced` by it: they are `reorged` too, their intents `signed`, and what they spent is reserved again. What
   * another attempt of the journal replaced is taken back with that one only.
   */
  advance(id: AttemptId, step: AttemptStep): Promise<AttemptRecord>
  /**
   * Records what became of an attempt and moves its intent along: `confirmed` to `done` or `deviated`, `failed` to
   * `reverted`, `dropped` to `expired` with its nonces free again. Only what is `mined` can be confirmed or fail, and
   * only what is `prepared` can be dropped. All other open attempts on its nonce are `replaced` with it, and intents
   * that have nothing else open are `expired`; so is the intent of a `cancel` that is confirmed. A dropped replacement
   * leaves intent and nonce to the attempt it was to replace. What is only `prepared` is left to its signer: it cannot
   * be `replaced` before it has bytes. The same settlement again returns what is stored, and takes along what was signed
   * on the nonce since; a contradiction, another block included, throws `StatusConflictError`.
   */
  settle(id: AttemptId, settlement: Settlement): Promise<AttemptRecord>
  /**
   * Something that Rialto never signed was mined on a nonce that the journal holds: all open attempts on it are
   * `replaced`, their intents `expired` when they have nothing else open. A second nonce that they held is free again.
   * The block is kept with them, so that `settledFrom` finds them if it leaves the chain.
   *
   * @returns all on the nonce that are `replaced`
   * @throws {StatusConflictError} when an attempt on the nonce is settled as mined.
   * @throws {InvariantError} when the transaction is an attempt of the journal.
   */
  supersede(outside: OutsideTransaction): Promise<readonly AttemptRecord[]>
  /** Attempts whose outcome is not known (`openStatuses`), oldest nonce first, first on its nonce first. */
  inFlight(account?: Address): Promise<readonly AttemptRecord[]>
  /**
   * Settled attempts whose `blockNumber` is `block` or higher: a reorganisation may still take them back. It did when the
   * chain has another block than `blockHash` at that height; a receipt is no proof, since one that was superseded from
   * outside has none.
   */
  settledFrom(block: bigint, account?: Address): Promise<readonly AttemptRecord[]>
  /** The nonce after the highest that an attempt of the epoch uses, dropped ones left out; null if there is none. */
  nextNonce(account: Address): Promise<bigint | null>

  /**
   * Of the agent on the account, whoever's nonces were used (see `senderOf`), and of attempts on it that no agent
   * is known for: those may be its own, lost in a power cut. `inFlight` is the account's, whoever sent it; `fill` is no
   * action.
   *
   * @param apart by whose nonces something is sent for the account that has a budget of its own: it counts in all but
   * `spent`
   */
  history(agent: AgentId, account: Address, since: bigint, apart?: Address | null): Promise<History>

  /**
   * Since when an agent is in good standing on an account: the newest block in which it wanted what was denied for
   * another reason than the excused ones, or in which an action of it deviated; the block of its first run if neither
   * ever happened. Null when it has not run.
   *
   * @example await journal.goodSince(agent, account, [...WAITING]) // 21_000_000n
   */
  goodSince(agent: AgentId, account: Address, excused: readonly DenialCode[]): Promise<bigint | null>

  /** The strictest of what a person ordered for all, this agent or this account, and what `freeze` set in the epoch. */
  tradingState(agent: AgentId, account: Address): Promise<TradingState>
  /** Lets the agent only reduce risk, in this epoch, until a person sets it, or all agents, `active`. */
  freeze(agent: AgentId, reason: string): Promise<void>

  /** Runs, intents and attempts in the order they were first recorded. */
  runs(agent?: AgentId): Promise<readonly RunRecord[]>
  intents(agent?: AgentId): Promise<readonly IntentRecord[]>
  attempts(agent?: AgentId): Promise<readonly AttemptRecord[]>
  /**
   * How an attempt went: every status that it had, in order, kept for good.
   *
   * @throws {UnknownRecordError} when there is no such attempt.
   * @example await journal.steps(id) // [{ from: null, to: 'prepared' }, { from: 'prepared', to: 'signed' }]
   */
  steps(id: AttemptId): Promise<readonly AttemptMove[]>
  counts(): Promise<JournalCounts>
}
