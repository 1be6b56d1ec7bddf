import { RialtoError } from './errors.ts'
import type { Hash } from './ids.ts'

/** No answer came, and nothing was done: a read that failed, or bytes that never left this machine. */
export class RpcUnreachableError extends RialtoError {
  override readonly name = 'RpcUnreachableError'
  /**
   * @param method the JSON-RPC method
   * @param host the endpoint's host and port, never its path or query, which may hold a key
   * @param reason what happened, as one short phrase
   */
  constructor(method: string, host: string, reason: string) {
    super('RPC_UNREACHABLE', `No answer to ${method} from the RPC at ${host}: ${reason}.`, {
      fix: 'Check that the node runs and that its URL is right.',
      retryable: true,
      details: { method, host, reason },
    })
  }
}

/**
 * The node has no such block or no state for it: reorganised away, pruned, or, behind a load balancer, not there
 * yet. Retryable for the last of the three only, so retry it a few times at most.
 */
export class BlockGoneError extends RialtoError {
  override readonly name = 'BlockGoneError'
  readonly block: Hash | bigint
  constructor(block: Hash | bigint, host: string) {
    super('BLOCK_GONE', `The RPC at ${host} does not know block ${block} or no longer has its state.`, {
      fix: 'Read again at the newest block.',
      retryable: true,
      details: { block, host },
    })
    this.block = block
  }
}

/** Why a node would not take a transaction, and what to do. Programs match on the reasons; never rename one. */
const REFUSALS = {
  NONCE_TOO_LOW: 'Another transaction was mined on this nonce: find out which before signing anything.',
  NONCE_TOO_HIGH: 'An earlier nonce is still free: send what belongs there first.',
  INSUFFICIENT_FUNDS: 'Fund the account with native coin for gas.',
  FEE_TOO_LOW: 'Wait for the base fee to fall, or replace the transaction with a higher fee cap.',
  TIP_ABOVE_FEE_CAP: 'Set the priority fee at or below the fee cap.',
  REPLACEMENT_UNDERPRICED: 'Replace with fees at least 10 % above those of the pending transaction.',
  GAS_TOO_LOW: 'Raise the gas limit.',
  GAS_TOO_HIGH: 'Lower the gas limit under that of a block.',
  POOL_FULL: 'Send the same bytes again later.',
  ACCOUNT_BUSY: 'Wait until the pending transaction of the delegated account is mined.',
  UNSUPPORTED: 'Use a node that takes this type of transaction on this chain (EIP-7702 needs Prague).',
  MALFORMED: 'This is a defect in Rialto or a wrong chain id: please report it.',
} as const
export type RefusalReason = keyof typeof REFUSALS

/** Refusals after which the very same bytes may be taken later. */
const PASSING: ReadonlySet<RefusalReason> = new Set([
  'NONCE_TOO_HIGH',
  'FEE_TOO_LOW',
  'POOL_FULL',
  'ACCOUNT_BUSY',
])

/**
 * The node clearly refused the bytes: it does not hold them. The bytes stay valid all the same, and whoever has
 * them can still send them elsewhere.
 */
export class TransactionRefusedError extends RialtoError {
  override readonly name = 'TransactionRefusedError'
  readonly reason: RefusalReason
  readonly hash: Hash
  /** @param message what the node said, redacted and shortened */
  constructor(reason: RefusalReason, hash: Hash, host: string, message: string) {
    super('TRANSACTION_REFUSED', `The RPC at ${host} refused transaction ${hash} (${reason}: ${message}).`, {
      fix: REFUSALS[reason],
      retryable: PASSING.has(reason),
      details: { reason, hash, host },
    })
    this.reason = reason
    this.hash = hash
  }
}

/** The bytes may or may not have reached the network. The attempt keeps its nonce and its budget until it is known. */
export class OutcomeUnknownError extends RialtoError {
  override readonly name = 'OutcomeUnknownError'
  readonly hash: Hash
  constructor(hash: Hash, host: string, reason: string) {
    super('OUTCOME_UNKNOWN', `Whether the RPC at ${host} took transaction ${hash} is unknown: ${reason}.`, {
      fix: 'Look for its receipt; sending the very same bytes again is safe.',
      retryable: true,
      details: { hash, host, reason },
    })
    this.hash = hash
  }
}

/** The nodes do not agree, or too few of them answer, on something that money hangs on. */
export class NoQuorumError extends RialtoError {
  override readonly name = 'NoQuorumError'
  /** @param hosts the nodes' hosts and ports, with what each said as one short phrase */
  constructor(method: string, needed: number, hosts: readonly string[]) {
    super('NO_QUORUM', `No ${needed} RPCs agree on ${method}: ${hosts.join('; ')}.`, {
      fix: 'Wait until the nodes have caught up with one another; if it stays so, replace the one that differs.',
      retryable: true,
      details: { method, needed, hosts },
    })
  }
}

/** The policy sends transactions privately, and no private route is configured. */
export class RouteMissingError extends RialtoError {
  override readonly name = 'RouteMissingError'
  constructor(chainId: number) {
    super('ROUTE_MISSING', `No private route is configured on chain ${chainId}.`, {
      fix: 'Name one in the configuration (chain.private), or set submission.route of the policy to "public".',
      details: { chainId },
    })
  }
}
