import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import { generateTokenKey } from '../blindRsa/keys.ts'
import { toHex } from '../bytes.ts'
import { deriveNonce, deriveSecrets } from './deriveSecrets.ts'

it('derives secrets that differ by seed, key, challenge and counter, and the same again', async () => {
  const [one, other] = await Promise.all([generateTokenKey(), generateTokenKey()])
  const seed = randomBytes(32)
  const base = { seed, publicKey: one.publicKey, challengeDigest: new Uint8Array(32), counter: 0 }
  const variants = [
    base,
    { ...base, seed: randomBytes(32) },
    { ...base, publicKey: other.publicKey },
    { ...base, challengeDigest: new Uint8Array(32).fill(1) },
    { ...base, counter: 1 },
    { ...base, counter: 2 ** 32 },
  ].map(deriveSecrets)
  expect(deriveSecrets(base)).toEqual(variants[0])
  expect(deriveNonce(base)).toEqual({ nonce: variants[0]?.nonce, salt: variants[0]?.salt })
  expect(new Set(variants.map(({ nonce }) => toHex(nonce))).size).toBe(variants.length)
  expect(new Set(variants.map(({ blind }) => blind)).size).toBe(variants.length)
  for (const { nonce, salt, blind } of variants) {
    expect([nonce.length, salt.length]).toEqual([32, 48])
    expect(blind > 0n && blind < 1n << 2048n).toBe(true)
  }
})
