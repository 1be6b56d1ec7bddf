import type { Address, Hex } from 'viem'
import type { AttemptId, Hash } from './ids.ts'
import type { Call, Plan, SignedApproval } from './lifecycle.ts'
import type { BlockRef } from './snapshot.ts'
import type { Wei } from './units.ts'

export type { Journal } from './journal.ts'

/**
 * Structured log. Musts: never given a secret, a prompt, a completion or calldata; never throws.
 * pino satisfies it.
 */
export type Logger = {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** A contract call to be answered by `eth_call`. */
export type ReadCall = { readonly target: Address; readonly data: Hex }
export type ReadResult = { readonly success: boolean; readonly data: Hex }

export type ReceiptLog = { readonly address: Address; readonly topics: readonly Hex[]; readonly data: Hex }

/** A mined transaction. */
export type Receipt = {
  readonly hash: Hash
  readonly status: 'success' | 'reverted'
  readonly block: { readonly number: bigint; readonly hash: Hash }
  readonly gasUsed: bigint
  readonly effectiveGasPrice: Wei
  readonly logs: readonly ReceiptLog[]
}

export type SimulatedCall = {
  readonly status: 'success' | 'reverted'
  readonly returnData: Hex
  readonly gasUsed: bigint
  readonly logs: readonly ReceiptLog[]
}

/** What `eth_simulateV1` is asked: calls in one block on top of a known one. */
export type SimulationRequest = {
  readonly on: BlockRef
  /** The imagined block. */
  readonly timestamp: bigint
  readonly baseFeePerGas: Wei
  /** Code put at an address for the simulation: a delegation that is not there yet. */
  readonly code: readonly { readonly address: Address; readonly code: Hex }[]
  readonly calls: readonly (Call & { readonly from: Address; readonly gas?: bigint })[]
}

/** A block by number and hash. */
export type BlockId = { readonly number: bigint; readonly hash: Hash }

/** `public`: the pool that everybody sees. `private`: the route that the configuration names, where there is one. */
export type SubmissionRoute = 'public' | 'private'

/**
 * A chain.
 *
 * Musts:
 * - where it is several nodes, `head`, `block`, `nonce`, `receipt`, `transaction` and `transactionAt` are what a quorum
 *   of them says; where they do not agree, it throws `NoQuorumError`, which is retryable;
 * - every read is answered from the state of exactly the block that is named, or throws;
 * - `read` batches its calls into one request;
 * - `sendRaw` of bytes that the node already knows succeeds; an outcome that cannot be known throws
 *   `OutcomeUnknownError`, a clear refusal `TransactionRefusedError`;
 * - errors name the method and the endpoint's host, never a key in its URL.
 */
export type Chain = {
  readonly chainId: number
  genesisHash(): Promise<Hash>
  head(): Promise<BlockRef>
  block(number: bigint): Promise<BlockRef>
  read(calls: readonly ReadCall[], at: Hash): Promise<readonly ReadResult[]>
  code(account: Address, at: Hash): Promise<Hex>
  balance(account: Address, at: Hash): Promise<Wei>
  /** Transactions sent by the account up to and including the block. */
  nonce(account: Address, at: Hash): Promise<bigint>
  simulate(request: SimulationRequest): Promise<readonly SimulatedCall[]>
  /** @throws {RouteMissingError} for `private` where no such route is configured: it never falls back by itself. */
  sendRaw(raw: Hex, route?: SubmissionRoute): Promise<Hash>
  receipt(hash: Hash): Promise<Receipt | null>
  /** Whether a transaction is in a block, in a pool (`block` null), or nowhere that can be seen (null). */
  transaction(hash: Hash): Promise<{ readonly block: BlockId | null } | null>
  /**
   * The transaction that used a nonce of an account, up to and including a block. Null when none can be named: the
   * nonce is not used there, or an EIP-7702 authorisation used it.
   */
  transactionAt(
    account: Address,
    nonce: bigint,
    at: BlockRef,
  ): Promise<{ readonly hash: Hash; readonly block: BlockId } | null>
  /** The newest block that the chain calls final; null where it has no such notion. */
  finalized(): Promise<BlockRef | null>
  /** Why a mined transaction reverted, decoded as far as it can be; a plain statement when the node cannot tell. */
  revertReason(hash: Hash): Promise<string>
}

export type SignRequest = {
  readonly attemptId: AttemptId
  /** One without calls is an empty transaction of the sender to itself: it cancels, or fills a nonce. */
  readonly plan: Plan
  readonly planHash: Hash
  readonly nonce: bigint
  /**
   * The fencing token of the account's lease. `protector`: holds no lease, because what would grant it may be down;
   * gets nothing signed but what reduces risk.
   */
  readonly fence: bigint | 'protector'
  /** Where the policy asks for a person. */
  readonly approval?: SignedApproval
}

export type SignedTransaction = {
  readonly raw: Hex
  readonly hash: Hash
  readonly noncesUsed: 1 | 2
}

/** A signature as the signer's ledger keeps it. */
export type LedgerAttempt = SignedTransaction & {
  readonly attemptId: AttemptId
  readonly plan: Plan
  readonly planHash: Hash
  readonly nonce: bigint
  /** By the signer's clock, in seconds since 1970. */
  readonly signedAt: bigint
  readonly fence: bigint | 'protector'
}

/**
 * The one who holds keys.
 *
 * Musts:
 * - recomputes the plan's hash and refuses another one;
 * - decodes the calldata itself and refuses what its own policy does not allow, approvals of a person included;
 * - counts what it signs in a ledger of its own against the policy's allowances, of all on one nonce the most;
 * - appends what it signed, and the plan, to a durable ledger before it answers;
 * - the same request again gives the same bytes; an attempt that was abandoned is refused;
 * - an intent has signatures on one nonce only, ever, and on a nonce that has one another is signed only with both
 *   fees at least a tenth higher than all before, and only when it is the same calls with the same last valid block,
 *   an empty transaction, or something that reduces risk;
 * - refuses a fencing token lower than one it has seen for the account;
 * - refuses a plan under a step of its policy that the account has not earned, by its own count.
 */
export type Signer = {
  accounts(): Promise<readonly Address[]>
  sign(request: SignRequest): Promise<SignedTransaction>
  /** What was signed for an attempt, by the ledger; null when nothing was. */
  lookup(account: Address, attempt: AttemptId): Promise<SignedTransaction | null>
  /**
   * Gives an attempt up: tells what was signed for it, or, when nothing was, records durably that nothing ever will
   * be, and answers null. Only then is its nonce free again, whatever request for it is still on its way.
   */
  abandon(account: Address, attempt: AttemptId): Promise<SignedTransaction | null>
  /** Everything that was signed for an account (a plan's sender) from a nonce on, in the order it was signed. */
  signedFrom(account: Address, nonce: bigint): Promise<readonly LedgerAttempt[]>
  /**
   * Seconds for which an account has been served without a plan of it that was denied, by the signer's own count: under
   * no step of its policy that takes more is anything signed. 0 where the policy has no steps.
   */
  goodFor(account: Address): Promise<bigint>
  /**
   * The time by which it takes an approval for expired, in seconds since 1970. It is never before anything that it has
   * signed: where the machine's clock was ahead then, it stays ahead of that clock.
   */
  time(): Promise<bigint>
}
