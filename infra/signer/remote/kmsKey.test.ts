import { generateKeyPairSync } from 'node:crypto'
import { toDerBytes } from 'ox/Signature'
import { type Hex, hexToBigInt, hexToBytes, parseTransaction, recoverTransactionAddress } from 'viem'
import { privateKeyToAccount, sign } from 'viem/accounts'
import { recoverAuthorizationAddress } from 'viem/utils'
import { describe, expect, test } from 'vitest'
import type { UnsignedTransaction } from '../keyHolder.ts'
import { HALF_ORDER } from './checkSigned.ts'
import { type Kms, openKmsKey } from './kmsKey.ts'
import { derSignature, opensslKey, spkiOf } from './testKmsServer.ts'

const KEY: Hex = `0x${'4c'.repeat(32)}`
const { address } = privateKeyToAccount(KEY)
const OTHER: Hex = `0x${'4d'.repeat(32)}`
const transaction: UnsignedTransaction = {
  type: 'eip1559',
  chainId: 31_337,
  nonce: 7,
  to: address,
  data: '0x1234',
  value: 0n,
  gas: 500_000n,
  maxFeePerGas: 50n,
  maxPriorityFeePerGas: 1n,
}

/** A KMS that makes real signatures. It gives the higher `s` when told to, as real ones do half of the time. */
function fakeKms(privateKey: Hex, options: { high?: boolean; signsWith?: Hex; spki?: Uint8Array } = {}): Kms {
  const { high = false, signsWith = privateKey, spki = spkiOf(opensslKey(privateKey)) } = options
  return {
    publicKey: async () => spki,
    async sign(_keyId, digest) {
      const { r, s } = await sign({ hash: `0x${Buffer.from(digest).toString('hex')}`, privateKey: signsWith })
      const low = hexToBigInt(s)
      return toDerBytes({ r: hexToBigInt(r), s: high ? 2n * HALF_ORDER + 1n - low : low })
    },
  }
}

describe('openKmsKey', () => {
  test.each([false, true])('signs as the key itself would, whichever s it gives (high: %s)', async (high) => {
    const key = await openKmsKey(fakeKms(KEY, { high }), 'alias/one', address)
    expect(key.address).toBe(address)
    const raw = await key.signTransaction(transaction)
    expect(raw).toBe(await privateKeyToAccount(KEY).signTransaction(transaction))
    expect(await recoverTransactionAddress({ serializedTransaction: raw as `0x02${string}` })).toBe(address)
  })

  test('signs delegations', async () => {
    const key = await openKmsKey(fakeKms(KEY), 'alias/one')
    const authorization = await key.signAuthorization?.({ address, chainId: 31_337, nonce: 8 })
    if (authorization === undefined) expect.unreachable()
    expect(await recoverAuthorizationAddress({ authorization })).toBe(address)
    const raw = await key.signTransaction({
      ...transaction,
      type: 'eip7702',
      authorizationList: [authorization],
    })
    expect(parseTransaction(raw)).toMatchObject({ type: 'eip7702', nonce: 7 })
  })

  test('works with signatures that are never the same twice, as those of a KMS', async () => {
    let count = 0
    const kms: Kms = {
      ...fakeKms(KEY),
      sign: async (_keyId, digest) => derSignature(digest, KEY, (count++ & 1) === 0),
    }
    const key = await openKmsKey(kms, 'alias/one')
    const signed = await Promise.all(Array.from({ length: 16 }, () => key.signTransaction(transaction)))
    expect(new Set(signed).size).toBe(16)
    for (const raw of signed) {
      expect(await recoverTransactionAddress({ serializedTransaction: raw as `0x02${string}` })).toBe(address)
      expect(hexToBigInt(parseTransaction(raw as `0x02${string}`).s ?? '0x')).toBeLessThanOrEqual(HALF_ORDER)
    }
  })

  test('refuses a key of another kind, or of another account', async () => {
    const p256 = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).publicKey
    const spki = spkiOf(opensslKey(KEY))
    for (const wrong of [
      new Uint8Array(p256.export({ type: 'spki', format: 'der' })),
      spki.slice(0, -1),
      new Uint8Array([...spki, 0]),
      new Uint8Array(),
    ])
      await expect(openKmsKey(fakeKms(KEY, { spki: wrong }), 'alias/one')).rejects.toMatchObject({
        code: 'SIGNER_CONFIGURATION',
        message: 'The KMS key alias/one is not of the kind that Ethereum uses.',
      })
    await expect(
      openKmsKey(fakeKms(KEY), 'alias/one', privateKeyToAccount(OTHER).address),
    ).rejects.toMatchObject({ code: 'SIGNER_CONFIGURATION' })
  })

  test('takes no signature that its key has not made', async () => {
    const lying = await openKmsKey(fakeKms(KEY, { signsWith: OTHER }), 'alias/one')
    await expect(lying.signTransaction(transaction)).rejects.toMatchObject({
      code: 'KEY_HOLDER',
      details: { why: 'its key has not signed it' },
    })
    for (const bytes of [new Uint8Array(), new Uint8Array(64), hexToBytes('0x3003020101')]) {
      const key = await openKmsKey({ ...fakeKms(KEY), sign: async () => bytes }, 'alias/one')
      await expect(key.signTransaction(transaction)).rejects.toMatchObject({ code: 'KEY_HOLDER' })
    }
  })
})
