import type { Address } from 'viem'
import type { RefusalReason } from '../../../runtime/core/chainErrors.ts'
import type { Hash } from '../../../runtime/core/ids.ts'
import { codeIn, type MarketState, nativeIn, nonceIn } from './marketState.ts'
import type { PooledTransaction } from './transactions.ts'

/** One node's pool of transactions that are in no block yet. */
export type Pool = {
  /** @returns why it would not take the transaction; null when it has taken it, or had it. */
  add(transaction: PooledTransaction, state: MarketState, baseFee: bigint): RefusalReason | null
  has(hash: Hash): boolean
  remove(hash: Hash): void
  all(): readonly PooledTransaction[]
  /** Forgets what can never be mined on top of a state. */
  prune(state: MarketState): void
  clear(): void
}

/** Real nodes want both fees a tenth higher. */
const BUMP = { numerator: 11n, denominator: 10n }

const INTRINSIC = 21_000n
/** A block's. */
const MAX_GAS = 30_000_000n
/** How far ahead of its account's next nonce a transaction may lie. */
const QUEUE = 64n

export type PoolRules = {
  /** Holds what is below the base fee until that falls, as geth does; otherwise it is refused, as by anvil. */
  readonly holdsUnderpriced: boolean
  /** Lets an account that delegates have one transaction at a time, as geth does since Prague. */
  readonly limitsDelegated: boolean
}

export function createPool(rules: PoolRules): Pool {
  const byHash = new Map<Hash, PooledTransaction>()
  const ofSender = (from: Address) => [...byHash.values()].filter((one) => one.from === from)

  function refusal(
    transaction: PooledTransaction,
    state: MarketState,
    baseFee: bigint,
  ): RefusalReason | null {
    const { from, nonce, gas, value, maxFeePerGas, maxPriorityFeePerGas } = transaction
    const next = nonceIn(state, from)
    if (maxPriorityFeePerGas > maxFeePerGas) return 'TIP_ABOVE_FEE_CAP'
    if (gas < INTRINSIC) return 'GAS_TOO_LOW'
    if (gas > MAX_GAS) return 'GAS_TOO_HIGH'
    if (nonce < next) return 'NONCE_TOO_LOW'
    if (nonce > next + QUEUE) return 'NONCE_TOO_HIGH'
    if (maxFeePerGas < (rules.holdsUnderpriced ? 1n : baseFee)) return 'FEE_TOO_LOW'
    if (nativeIn(state, from) < gas * maxFeePerGas + value) return 'INSUFFICIENT_FUNDS'
    const own = ofSender(from)
    const rival = own.find((one) => one.nonce === nonce)
    if (rival !== undefined) return isBump(transaction, rival) ? null : 'REPLACEMENT_UNDERPRICED'
    if (!rules.limitsDelegated) return null
    const delegates =
      codeIn(state, from) !== '0x' || own.some(({ authorizations }) => authorizations.length > 0)
    if (!delegates && transaction.authorizations.length === 0) return null
    // What waits behind a gap, as after a reorganisation, does not count.
    if (own.some((one) => one.nonce === next)) return 'ACCOUNT_BUSY'
    return nonce > next ? 'NONCE_TOO_HIGH' : null
  }

  return {
    add(transaction, state, baseFee) {
      if (byHash.has(transaction.hash)) return null
      const why = refusal(transaction, state, baseFee)
      if (why !== null) return why
      for (const { hash, nonce } of ofSender(transaction.from))
        if (nonce === transaction.nonce) byHash.delete(hash)
      byHash.set(transaction.hash, transaction)
      return null
    },
    has: (hash) => byHash.has(hash),
    remove: (hash) => void byHash.delete(hash),
    all: () => [...byHash.values()],
    prune(state) {
      for (const { hash, from, nonce } of byHash.values())
        if (nonce < nonceIn(state, from)) byHash.delete(hash)
    },
    clear: () => byHash.clear(),
  }
}

const isBump = (next: PooledTransaction, old: PooledTransaction): boolean =>
  next.maxFeePerGas * BUMP.denominator >= old.maxFeePerGas * BUMP.numerator &&
  next.maxPriorityFeePerGas * BUMP.denominator >= old.maxPriorityFeePerGas * BUMP.numerator
