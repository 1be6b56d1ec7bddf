import type { Payment } from '../protocol/network/payment.ts'
import type { Refusal } from '../protocol/network/problem.ts'
import type { TokenKeyPair } from '../tokens/blindRsa/keys.ts'
import { sha256 } from '../tokens/bytes.ts'
import { isCeilingClass } from '../tokens/ceiling/ceilingClasses.ts'
import { requireChangeRequests } from '../tokens/change/signChange.ts'
import { bindSpend, type Spend } from '../tokens/change/spend.ts'
import { TokenError } from '../tokens/errors.ts'
import { decodeTokenRequest, type TokenRequest } from '../tokens/privacyPass/issuance.ts'
import type { createRedeemer } from '../tokens/privacyPass/redemption.ts'
import { refusals } from './problems.ts'

/** A payment whose tokens verify and whose change can be signed. Whether it was spent before is not known yet. */
export type CheckedPayment = {
  readonly spend: Spend
  /** What names the spend in memory and in the cache of answers: its binding together with its nullifiers. */
  readonly key: Uint8Array
  readonly changeRequests: readonly TokenRequest[]
  /** In tokens. */
  readonly paid: number
}

const LABEL = Buffer.from('rialto delivery v1\0')

/**
 * Checks a payment, with everything that can be known without looking at what was spent before.
 *
 * @param innerRequestHash SHA-256 of the request that it is for
 * @returns a refusal when it is none
 */
export function checkPayment(
  { tokens, changeRequests }: Payment,
  parameters: {
    readonly innerRequestHash: Uint8Array
    readonly redeem: ReturnType<typeof createRedeemer>
    readonly changePairs: readonly TokenKeyPair[]
  },
): CheckedPayment | Refusal {
  const { innerRequestHash, redeem, changePairs } = parameters
  const paid = tokens.length
  if (!isCeilingClass(paid)) return refusals.tokensRefused
  let nullifiers: readonly Uint8Array[]
  try {
    nullifiers = tokens.map((token) => redeem(token).nullifier)
  } catch (error) {
    if (error instanceof TokenError) return refusals.tokensRefused
    throw error
  }
  const sorted = nullifiers.toSorted(Buffer.compare)
  if (sorted.some((nullifier, at) => at > 0 && Buffer.compare(nullifier, sorted[at - 1] ?? nullifier) === 0))
    return refusals.tokensRefused
  try {
    const requests = changeRequests.map(decodeTokenRequest)
    requireChangeRequests({ keys: changePairs, requests, paid })
    const blindedMessages = requests.map(({ blindedMessage }) => blindedMessage)
    const binding = bindSpend({ innerRequestHash, blindedMessages })
    const key = sha256(LABEL, binding, ...sorted)
    return { spend: { nullifiers, binding }, key, changeRequests: requests, paid }
  } catch (error) {
    if (error instanceof TokenError) return refusals.changeRefused
    throw error
  }
}

export const isRefusal = (value: object): value is Refusal => 'status' in value && 'code' in value
