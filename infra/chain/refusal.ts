import type { RefusalReason } from '../../runtime/core/chainErrors.ts'

/** The node has these very bytes already. geth, reth, erigon, anvil, Nethermind, Besu and OpenEthereum in turn. */
const KNOWN = /already known|already imported|alreadyknown|known transaction|same hash was already/i

/**
 * What nodes say when they clearly refuse a transaction, more specific wordings first: geth
 * (`core/txpool/errors.go`, `core/error.go`) and its kin, anvil, Nethermind (`AcceptTxResult`), Besu.
 */
const REFUSALS: readonly (readonly [RegExp, RefusalReason])[] = [
  [
    /replacement transaction underpriced|replacementnotallowed|replacement.*(?:too low|not allowed)/i,
    'REPLACEMENT_UNDERPRICED',
  ],
  [
    /delegated accounts?|authority already reserved|in-flight transaction limit|account limit exceeded/i,
    'ACCOUNT_BUSY',
  ],
  [/nonce ?too ?low|oldnonce|nonce has already been used/i, 'NONCE_TOO_LOW'],
  [/nonce ?too ?high|noncegap|noncetoofarinfuture|nonce too distant/i, 'NONCE_TOO_HIGH'],
  [/insufficient ?funds|insufficient balance|upfront cost exceeds/i, 'INSUFFICIENT_FUNDS'],
  [/priority fee per gas higher than max fee|tip (?:above|higher than) fee cap/i, 'TIP_ABOVE_FEE_CAP'],
  [
    /less than block base fee|underpriced|feetoolow|gas price below|below (?:configured )?minimum|fee too low/i,
    'FEE_TOO_LOW',
  ],
  [
    /exceeds block gas limit|gas ?limit ?exceeded|gas limit too high|exceeds.*gas (?:limit|cap)|intrinsic gas too high/i,
    'GAS_TOO_HIGH',
  ],
  [/intrinsic gas too low|insufficient gas for floor|gas floor|gas too low/i, 'GAS_TOO_LOW'],
  [/(?:txpool|pool|queue) is full|txpool full/i, 'POOL_FULL'],
  [
    /type not supported|unsupported transaction type|unknown transaction type|eip-?7702.*(?:not|un)/i,
    'UNSUPPORTED',
  ],
  [
    /failed to decode|invalid (?:sender|signature|chain ?id|transaction)|rlp|oversized data|size limit|no authorizations|empty authorization/i,
    'MALFORMED',
  ],
]

/**
 * What a node's refusal of a raw transaction means.
 *
 * @param code the JSON-RPC error code
 * @param said the node's words
 * @returns `known` when it has the bytes already; null when nothing certain follows: the outcome is unknown
 * @example judgeRefusal(-32000, 'nonce too low: next nonce 5, tx nonce 4') // 'NONCE_TOO_LOW'
 */
export function judgeRefusal(code: number, said: string): RefusalReason | 'known' | null {
  if (KNOWN.test(said)) return 'known'
  // Trouble inside the node, and rate limits of whoever stands before it: the words prove nothing.
  if (code === -32603 || code === -32005) return null
  for (const [wording, reason] of REFUSALS) if (wording.test(said)) return reason
  // The method, or what it was asked to do, does not exist there.
  return code === -32601 || code === -32004 ? 'UNSUPPORTED' : null
}
