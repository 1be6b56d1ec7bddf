import type { Address, Hex } from 'viem'
import type { AttemptId, Hash } from './ids.ts'
import type { Call, Plan } from './lifecycle.ts'
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

/**
 * A chain.
 *
 * Musts:
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
  sendRaw(raw: Hex): Promise<Hash>
  receipt(hash: Hash): Promise<Receipt | null>
  /** Why a mined transaction reverted, decoded as far as it can be; a plain statement when the node cannot tell. */
  revertReason(hash: Hash): Promise<string>
}

export type SignRequest = {
  readonly attemptId: AttemptId
  readonly plan: Plan
  readonly planHash: Hash
  readonly nonce: bigint
  /** The fencing token of the account's lease. */
  readonly fence: bigint
}

export type SignedTransaction = {
  readonly raw: Hex
  readonly hash: Hash
  readonly noncesUsed: 1 | 2
}

/**
 * The one who holds keys.
 *
 * Musts:
 * - recomputes the plan's hash and refuses another one;
 * - decodes the calldata itself and refuses what its own policy does not allow;
 * - appends what it signed to a durable ledger before it answers;
 * - the same request again gives the same bytes; another plan on a nonce that it has signed is refused, and so is an
 *   attempt that was abandoned;
 * - refuses a fencing token lower than one it has seen for the account.
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
}
