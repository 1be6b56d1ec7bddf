import { hkdfSync } from 'node:crypto'
import { InvariantError } from '../../../../runtime/core/errors.ts'
import { toInteger } from '../blindRsa/integers.ts'
import type { TokenPublicKey } from '../blindRsa/keys.ts'
import { concat, uint } from '../bytes.ts'
import type { TokenSecrets } from '../privacyPass/issuance.ts'

/** Bytes of a wallet's seed. */
export const SEED_LENGTH = 32

/**
 * The nonce, salt and blind of one token, out of the seed, so that a lost wallet asks for the very same signatures
 * again:
 *
 *     context = token_key_id || challenge_digest || uint64 counter
 *     nonce || salt = HKDF-SHA256(seed, info = "rialto wallet v1 token" || 0x00 || context, 32 + 48)
 *     blind = HKDF-SHA256(seed, info = "rialto wallet v1 blind" || 0x00 || context || uint8 attempt, 256)
 *
 * with the first attempt whose blind is from 1 to n - 1, which draws evenly (RFC 9474 section 4.2: "this is typically
 * done via rejection sampling"). One that has a factor in common with n is not drawn again: for a modulus of two large
 * primes there is none, and for any other blinding fails. Key and challenge are in the context, so that a counter that
 * is used with two keys gives two tokens that have nothing in common.
 */
export function deriveSecrets(position: TokenPosition): TokenSecrets {
  const { publicKey } = position
  const { nonce, salt } = deriveNonce(position)
  // Half of all draws fit at worst: to fail 256 times is as likely as to guess a key.
  for (let attempt = 0; attempt < 256; attempt++) {
    const octets = derive(position, 'rialto wallet v1 blind', publicKey.length, uint(attempt, 1))
    const blind = toInteger(octets)
    if (blind > 0n && blind < publicKey.n) return { nonce, salt, blind }
  }
  throw new InvariantError('No blind fits the modulus.')
}

/** The nonce and salt alone, which are all that a signed token needs. */
export function deriveNonce(position: TokenPosition): Omit<TokenSecrets, 'blind'> {
  const secrets = derive(position, 'rialto wallet v1 token', 80)
  return { nonce: secrets.subarray(0, 32), salt: secrets.subarray(32) }
}

/** Which token of a wallet. */
export type TokenPosition = {
  /** 32 bytes. */
  readonly seed: Uint8Array
  readonly publicKey: TokenPublicKey
  readonly challengeDigest: Uint8Array
  /** From 0; using one twice gives the same token twice. */
  readonly counter: number
}

function derive(
  position: TokenPosition,
  label: string,
  length: number,
  ...more: readonly Uint8Array[]
): Buffer {
  const { seed, publicKey, challengeDigest, counter } = position
  const info = concat(Buffer.from(`${label}\0`), publicKey.id, challengeDigest, uint(counter, 8), ...more)
  return Buffer.from(hkdfSync('sha256', seed, '', info, length))
}
