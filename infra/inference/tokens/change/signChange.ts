import { InvariantError } from '../../../../runtime/core/errors.ts'
import type { TokenKeyPair } from '../blindRsa/keys.ts'
import { toHex } from '../bytes.ts'
import { TokenError } from '../errors.ts'
import { issueToken, requireIssuable, type TokenRequest } from '../privacyPass/issuance.ts'

/**
 * How many tokens go back.
 *
 * @param paid tokens that were redeemed for the request
 * @param used tokens that the node's signed usage comes to, rounded up; null when the node signed none within its
 * time, and then all goes back and the node gets nothing. Usage beyond what was paid leaves no change and no debt:
 * the ceiling is all that the client agreed to.
 * @example changeDue({ paid: 4, used: 1 }) // 3
 */
export function changeDue({ paid, used }: { readonly paid: number; readonly used: number | null }): number {
  if (used === null) return paid
  if (!Number.isSafeInteger(used) || used < 0)
    throw new InvariantError('Usage is a whole number of tokens.', { used })
  return Math.max(0, paid - used)
}

export type ChangeRequest = {
  /** The gateway's change keys, not the mint's. */
  readonly keys: readonly TokenKeyPair[]
  readonly requests: readonly TokenRequest[]
  /** Tokens that were redeemed for the request. */
  readonly paid: number
}

/**
 * Whether what asks for change fits the payment and can be signed; to be called before the nullifiers are reserved,
 * so that nobody pays for a request whose change nobody can sign. A request asks for as many as it paid, always: how
 * many are signed then shows only to those who open the answer.
 *
 * @throws {TokenError} `CHANGE_REQUEST`, `TOKEN_KEY_UNKNOWN` or `BLINDED_MESSAGE`
 */
export function requireChangeRequests({ keys, requests, paid }: ChangeRequest): void {
  const distinct = new Set(requests.map(({ blindedMessage }) => toHex(blindedMessage)))
  if (requests.length !== paid || distinct.size !== paid)
    throw new TokenError('CHANGE_REQUEST', `${requests.length} blinded messages came with ${paid} tokens.`, {
      fix: 'Send as many different blinded messages as tokens.',
      details: { paid, requests: requests.length },
    })
  for (const request of requests) requireIssuable(keys, request)
}

/**
 * Signs change with the gateway's **own** key: the mint, which sees no spending, has no part in it, and since never
 * more is signed than was redeemed, a gateway makes no money. The first `due` requests are signed, in order, so that
 * signing again for the same spend gives the same tokens and no further ones.
 *
 * @param due from {@link changeDue}
 * @returns `due` blind signatures
 * @throws {TokenError} `CHANGE_REQUEST`, `TOKEN_KEY_UNKNOWN`, `BLINDED_MESSAGE` or `SIGNING_FAILED`
 */
export function signChange(request: ChangeRequest & { readonly due: number }): readonly Uint8Array[] {
  requireChangeRequests(request)
  const { keys, requests, paid, due } = request
  if (!Number.isInteger(due) || due < 0 || due > paid)
    throw new InvariantError('Change is at most what was paid.', { paid, due })
  return requests.slice(0, due).map((each) => issueToken(keys, each))
}
