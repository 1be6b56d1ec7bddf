import { execFile } from 'node:child_process'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { promisify } from 'node:util'
import { sign as signRandomly } from 'ox/Secp256k1'
import { toDerBytes } from 'ox/Signature'
import { type Hex, hexToBigInt, hexToBytes, parseTransaction, recoverTransactionAddress } from 'viem'
import { privateKeyToAccount, sign } from 'viem/accounts'
import { recoverAuthorizationAddress } from 'viem/utils'
import { describe, expect, test } from 'vitest'
import { tsxModule } from '../../process/entryPoint.ts'
import type { UnsignedTransaction } from '../keyHolder.ts'
import { type AwsKmsModule, createAwsKms } from './awsKms.ts'
import { HALF_ORDER } from './checkSigned.ts'
import { type Kms, openKmsKey } from './kmsKey.ts'

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

/** A key as OpenSSL has it, so that public keys and their encoding are not of our making. */
function opensslKey(privateKey: Hex): { readonly spki: Uint8Array } {
  const { publicKey } = privateKeyToAccount(privateKey)
  const [x, y] = [publicKey.slice(4, 68), publicKey.slice(68)].map((hex) =>
    Buffer.from(hex, 'hex').toString('base64url'),
  )
  const key = createPublicKey({ key: { kty: 'EC', crv: 'secp256k1', x: x ?? '', y: y ?? '' }, format: 'jwk' })
  return { spki: new Uint8Array(key.export({ type: 'spki', format: 'der' })) }
}

/** A KMS that makes real signatures. It gives the higher `s` when told to, as real ones do half of the time. */
function fakeKms(privateKey: Hex, options: { high?: boolean; signsWith?: Hex; spki?: Uint8Array } = {}): Kms {
  const { high = false, signsWith = privateKey, spki = opensslKey(privateKey).spki } = options
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
    const kms: Kms = {
      ...fakeKms(KEY),
      async sign(_keyId, digest) {
        const { r, s } = signRandomly({ payload: digest, privateKey: KEY, extraEntropy: true })
        return toDerBytes({ r, s: r % 2n === 0n ? s : 2n * HALF_ORDER + 1n - s })
      },
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
    const { spki } = opensslKey(KEY)
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

describe('createAwsKms', () => {
  class Command {
    readonly input: Record<string, unknown>
    constructor(input: Record<string, unknown>) {
      this.input = input
    }
  }
  class GetPublicKeyCommand extends Command {}
  class SignCommand extends Command {}

  /** As much of the SDK as is used, in front of a fake that makes real signatures. */
  function fakeSdk(answer?: (command: unknown) => unknown) {
    const seen: { region?: string; commands: Record<string, unknown>[] } = { commands: [] }
    const kms = fakeKms(KEY)
    class KMSClient {
      constructor({ region }: { region?: string }) {
        if (region !== undefined) seen.region = region
      }
      async send(command: Command) {
        seen.commands.push(command.input)
        if (answer !== undefined) return answer(command)
        return command instanceof GetPublicKeyCommand
          ? { PublicKey: await kms.publicKey('') }
          : { Signature: await kms.sign('', command.input.Message as Uint8Array) }
      }
    }
    const sdk = { KMSClient, GetPublicKeyCommand, SignCommand } as unknown as AwsKmsModule
    return { seen, load: async () => sdk }
  }

  test('asks AWS for what it needs, and signs', async () => {
    const { seen, load } = fakeSdk()
    const key = await openKmsKey(await createAwsKms({ region: 'eu-central-1', load }), 'alias/one')
    const raw = await key.signTransaction(transaction)
    expect(await recoverTransactionAddress({ serializedTransaction: raw as `0x02${string}` })).toBe(address)
    expect(seen).toMatchObject({
      region: 'eu-central-1',
      commands: [
        { KeyId: 'alias/one' },
        { KeyId: 'alias/one', MessageType: 'DIGEST', SigningAlgorithm: 'ECDSA_SHA_256' },
      ],
    })
    expect(seen.commands[1]?.Message).toHaveLength(32)
  })

  test('says what went wrong by its name alone', async () => {
    const { load } = fakeSdk(() => {
      throw Object.assign(new Error('User: arn:aws:iam::123:user/x is not authorized'), {
        name: 'AccessDeniedException',
      })
    })
    await expect(openKmsKey(await createAwsKms({ load }), 'alias/one')).rejects.toMatchObject({
      code: 'KEY_HOLDER',
      retryable: true,
      message: 'AWS KMS did not sign: AccessDeniedException.',
    })
    const empty = fakeSdk(() => ({}))
    await expect(openKmsKey(await createAwsKms(empty), 'alias/one')).rejects.toMatchObject({
      code: 'KEY_HOLDER',
      retryable: false,
    })
  })

  test('says what to do when the SDK is not installed', async () => {
    // In a process of its own: the test runner has a word of its own for optional packages that are missing.
    const script = `import { createAwsKms } from ${JSON.stringify(new URL('./awsKms.ts', import.meta.url).href)}
      createAwsKms().catch(({ code, fix }) => console.log(JSON.stringify({ code, fix })))`
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...['--import', tsxModule('dist/loader.mjs').href],
      ...['--input-type=module', '--eval', script],
    ])
    expect(JSON.parse(stdout)).toEqual({
      code: 'SIGNER_CONFIGURATION',
      fix: 'Install it beside Rialto: npm install @aws-sdk/client-kms',
    })
  })
})
