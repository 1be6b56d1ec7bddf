import { InvariantError } from '../../../../runtime/core/errors.ts'
import { hexDigests } from '../change/changeDigest.ts'
import { requireSpend, type Spend } from '../change/spend.ts'
import { TokenError } from '../errors.ts'

/**
 * Whether a settlement is one at all, whatever was reserved.
 *
 * @returns the change digests as hexadecimal
 * @throws {TokenError} `NULLIFIER_TWICE` or `TOKEN_FORMAT`
 */
export function requireSettlement(
  spend: Spend,
  change: number,
  changeDigests: readonly Uint8Array[],
): readonly string[] {
  requireSpend(spend)
  if (!Number.isInteger(change) || change < 0 || change > spend.nullifiers.length)
    throw new InvariantError('Change is at most what was spent.', { change })
  const digests = hexDigests(changeDigests)
  if (digests.length !== change || new Set(digests).size !== change)
    throw new InvariantError('Change has as many different digests as tokens.', {
      change,
      digests: digests.length,
    })
  return digests
}

export const spendUnknown = (): TokenError =>
  new TokenError('SPEND_UNKNOWN', 'What is to be settled was never reserved.', {
    fix: 'Reserve the tokens before work begins.',
  })

/** @param recorded tokens that the spend was settled with first */
export const spendSettled = (recorded: number, given: number): TokenError =>
  new TokenError('SPEND_SETTLED', `The spend was settled with ${recorded} tokens already.`, {
    fix: 'Return the change that was recorded first.',
    details: { recorded, given },
  })
