import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as sdk from '@aws-sdk/client-kms'
import { type Hex, hexToBigInt, parseTransaction, recoverTransactionAddress } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { recoverAuthorizationAddress } from 'viem/utils'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { book, GENESIS, planOf, policy, requestOf } from '../../../test/conformance/signerFixture.ts'
import { tsxModule } from '../../process/entryPoint.ts'
import { createSignerProcess } from '../createSignerProcess.ts'
import { SignerError } from '../errors.ts'
import type { UnsignedTransaction } from '../keyHolder.ts'
import { type AwsKmsModule, type CreateAwsKmsParameters, createAwsKms } from './awsKms.ts'
import { HALF_ORDER } from './checkSigned.ts'
import { openKmsKey } from './kmsKey.ts'
import { base64, derSignature, digestOf, fail, sayOk, spkiOf, startKmsServer } from './testKmsServer.ts'

const KEY: Hex = `0x${'4c'.repeat(32)}`
const OTHER: Hex = `0x${'4d'.repeat(32)}`
const { address } = privateKeyToAccount(KEY)
const SECRETS = ['AKIDOFATEST', 'the-secret-access-key', 'the-session-token', 'arn:aws', '123456789012']
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

const server = await startKmsServer(KEY)
afterAll(() => server.close())

/** As a machine of the owner's would have it: the SDK finds all of it by itself, and nothing of this machine. */
const environment = {
  AWS_ENDPOINT_URL_KMS: server.url,
  AWS_ACCESS_KEY_ID: SECRETS[0],
  AWS_SECRET_ACCESS_KEY: SECRETS[1],
  AWS_SESSION_TOKEN: SECRETS[2],
  AWS_REGION: 'eu-central-1',
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
}
beforeEach(() => {
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
  server.answerWith(null)
})
afterEach(() => {
  vi.unstubAllEnvs()
  server.hangUp()
})

const open = async (parameters: CreateAwsKmsParameters = {}) =>
  openKmsKey(await createAwsKms(parameters), 'alias/one')

/** What an operation fails with, and that nothing in it is anybody's secret. */
async function failureOf(work: Promise<unknown>): Promise<SignerError> {
  const error = await work.then(
    () => expect.unreachable('It has to fail.'),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof SignerError)) throw error
  const all = JSON.stringify([error.toLine(), error.stack, error.details, error.cause])
  for (const secret of SECRETS) expect(all).not.toContain(secret)
  return error
}

describe('AWS KMS, by the real SDK', () => {
  test('what is declared of the SDK is what it has', () => {
    const declared: AwsKmsModule = sdk
    expect(Object.keys(declared)).toEqual(
      expect.arrayContaining(['KMSClient', 'GetPublicKeyCommand', 'SignCommand']),
    )
  })

  test('signs, whichever s it gives, with what it asked for being what KMS takes', async () => {
    const key = await open()
    expect(key.address).toBe(address)
    const signed = [
      await key.signTransaction(transaction),
      await key.signTransaction(transaction),
    ] as `0x02${string}`[]
    expect(new Set(signed).size).toBe(2)
    for (const raw of signed) {
      expect(await recoverTransactionAddress({ serializedTransaction: raw })).toBe(address)
      expect(hexToBigInt(parseTransaction(raw).s ?? '0x')).toBeLessThanOrEqual(HALF_ORDER)
    }
    const authorization = await key.signAuthorization?.({ address, chainId: 31_337, nonce: 8 })
    if (authorization === undefined) expect.unreachable()
    expect(await recoverAuthorizationAddress({ authorization })).toBe(address)
    expect(server.asked.map(({ target }) => target)).toEqual([
      'TrentService.GetPublicKey',
      ...Array.from({ length: 3 }, () => 'TrentService.Sign'),
    ])
    expect(server.asked[0]?.authorization).toContain(`${SECRETS[0]}/`)
    expect(server.asked[0]?.authorization).toContain('/eu-central-1/kms/')
  })

  test('the region of the configuration goes before that of the environment', async () => {
    await open({ region: 'us-west-2' })
    expect(server.asked[0]?.authorization).toContain('/us-west-2/kms/')
  })

  test.each<[string, boolean, string]>([
    ['AccessDeniedException', false, 'kms:Sign'],
    ['NotFoundException', false, 'keyId and region'],
    ['DisabledException', false, 'Enable the key'],
    ['InvalidKeyUsageException', false, 'ECC_SECG_P256K1'],
    ['UnrecognizedClientException', false, 'credentials'],
    ['ExpiredTokenException', true, 'credentials'],
  ])('says what KMS says no with, and what to do: %s', async (name, retryable, fix) => {
    server.answerWith((response) => fail(response, name))
    const error = await failureOf(open())
    expect(error).toMatchObject({ code: 'KEY_HOLDER', retryable, details: { why: name } })
    expect(error.fix).toContain(fix)
    expect(server.asked).toHaveLength(1)
  })

  test('asks again where that may help, and no more than once', async () => {
    server.answerWith((response) => {
      server.answerWith(null)
      fail(response, 'KMSInternalException', 500)
    })
    await expect(open()).resolves.toMatchObject({ address })
    expect(server.asked).toHaveLength(1)
    for (const name of ['ThrottlingException', 'KMSInternalException', 'DependencyTimeoutException']) {
      server.answerWith((response) => fail(response, name, name === 'ThrottlingException' ? 400 : 500))
      const error = await failureOf(open())
      expect(error).toMatchObject({ retryable: true, details: { why: name } })
      expect(server.asked).toHaveLength(2)
    }
  })

  test.each<[string, string, (response: ServerResponse) => unknown]>([
    ['it took more than 300 ms', 'no answer', () => undefined],
    [
      'it took more than 300 ms',
      'half an answer',
      (response) => response.writeHead(200, { 'content-length': 100 }).write('{"Pub'),
    ],
    [
      'ECONNRESET',
      'an answer that breaks off',
      (response) => {
        response.writeHead(200, { 'content-length': 100 }).write('{"Pub', () => response.destroy())
      },
    ],
    ['it answered with status 307', 'another place', (r) => r.writeHead(307, { location: '/' }).end()],
    ['it answered with status 502', 'a page', (response) => response.writeHead(502).end('<html>')],
    ['it failed', 'a name that is none', (response) => fail(response, `x ${SECRETS[4]} \u001b[2J`)],
  ])('got no answer: %s (%s)', async (why, _what, answer) => {
    server.answerWith(answer)
    // Only what never comes is waited for so shortly.
    const parameters = why.startsWith('it took') ? { timeout: 300 } : {}
    await expect(failureOf(open(parameters))).resolves.toMatchObject({
      code: 'KEY_HOLDER',
      retryable: true,
      details: { why },
    })
  })

  test.each<[string, (response: ServerResponse) => unknown]>([
    ['it cannot be read', (response) => response.end('<html>')],
    ['it cannot be read', (response) => response.end('{"PublicKey":"AAA')],
    ['it cannot be read', (response) => sayOk(response, { PublicKey: '***' })],
    ['there is no public key in it', (response) => sayOk(response, { PublicKey: 5 })],
    ['there is no public key in it', (response) => sayOk(response, { PublicKey: '' })],
    ['there is no public key in it', (response) => sayOk(response, {})],
  ])('takes nothing else for an answer: %s (%#)', async (why, answer) => {
    server.answerWith(answer)
    await expect(failureOf(open())).resolves.toMatchObject({
      code: 'KEY_HOLDER',
      retryable: false,
      details: { why },
    })
  })

  test('takes no key of another curve', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    server.answerWith((response) =>
      sayOk(response, { PublicKey: base64(spkiOf(publicKey)), KeySpec: 'ECC_NIST_P256' }),
    )
    await expect(failureOf(open())).resolves.toMatchObject({
      code: 'SIGNER_CONFIGURATION',
      fix: 'Make one of the kind ECC_SECG_P256K1, for signing.',
    })
  })

  test('takes no signature that is none, or that another key has made', async () => {
    const key = await open()
    for (const [why, answer] of [
      ['its key has not signed it', (digest: Uint8Array) => derSignature(digest, OTHER, true)],
      ['it is no signature', (digest: Uint8Array) => derSignature(digest, KEY, false).slice(0, -1)],
      ['there is no signature in it', () => new Uint8Array()],
    ] as const) {
      server.answerWith((response, asked) => sayOk(response, { Signature: base64(answer(digestOf(asked))) }))
      await expect(failureOf(key.signTransaction(transaction))).resolves.toMatchObject({
        code: 'KEY_HOLDER',
        retryable: false,
        details: { why },
      })
    }
  })

  test('says when nobody is there, when it has no credentials, and waits for none longer than for an answer', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL_KMS', 'http://127.0.0.1:1')
    await expect(failureOf(open())).resolves.toMatchObject({
      retryable: true,
      details: { why: 'ECONNREFUSED' },
    })
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'])
      vi.stubEnv(name, undefined)
    await expect(failureOf(open())).resolves.toMatchObject({
      retryable: true,
      details: { why: 'CredentialsProviderError' },
      fix: expect.stringContaining('AWS_PROFILE'),
    })
    // Whoever is to give credentials takes the request, and says nothing.
    server.answerWith(() => undefined)
    vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `${server.url}/credentials`)
    await expect(failureOf(open({ timeout: 300 }))).resolves.toMatchObject({
      details: { why: 'it took more than 300 ms' },
    })
  })

  test('says at once when no region is said', async () => {
    vi.stubEnv('AWS_REGION', undefined)
    await expect(failureOf(createAwsKms())).resolves.toMatchObject({
      code: 'SIGNER_CONFIGURATION',
      fix: 'Set region of the key in the configuration, or AWS_REGION.',
    })
  })

  test("the signer's process finds SDK and credentials, and signs what it has judged", async () => {
    const directory = mkdtempSync(join(tmpdir(), 'rialto-kms-'))
    const signer = await createSignerProcess({
      ...{ directory, chainId: book.chainId, genesisHash: GENESIS, book },
      accounts: [{ label: 'one', key: { kind: 'kms', keyId: 'alias/one', address }, policies: [policy] }],
    })
    try {
      expect(signer.started.accounts).toEqual([{ label: 'one', address, created: false }])
      const { raw } = await signer.sign(requestOf(planOf(address)))
      expect(await recoverTransactionAddress({ serializedTransaction: raw as `0x04${string}` })).toBe(address)
      expect(parseTransaction(raw)).toMatchObject({ type: 'eip7702' })
    } finally {
      await signer.close()
      rmSync(directory, { recursive: true })
    }
  })

  test('says what to do when the SDK is not installed', async () => {
    // In a process of its own, which finds no package of that name: Node says so in its own words.
    const hide = `export const resolve = (name, context, next) =>
      next(name === '@aws-sdk/client-kms' ? '@aws-sdk/not-installed' : name, context)`
    const script = `import { register } from 'node:module'
      register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hide)}))
      const { createAwsKms } = await import(${JSON.stringify(new URL('./awsKms.ts', import.meta.url).href)})
      await createAwsKms({ region: 'eu-central-1' }).catch((error) => console.log(error.toLine()))`
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [
      ...['--import', tsxModule('dist/loader.mjs').href],
      ...['--input-type=module', '--eval', script],
    ])
    expect(stderr).toBe('')
    expect(stdout).toBe(
      'A key is in AWS KMS, and its SDK is not installed. Install it beside Rialto: npm install @aws-sdk/client-kms\n',
    )
  })
})
