import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Address,
  type Hex,
  hexToBigInt,
  hexToNumber,
  numberToHex,
  parseTransaction,
  type TransactionSerializableEIP1559,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  book,
  GENESIS,
  planOf,
  policy,
  requestOf,
  STRANGER,
} from '../../../test/conformance/signerFixture.ts'
import { createSigner } from '../createSigner.ts'
import type { UnsignedTransaction } from '../keyHolder.ts'
import { createSigningHistory } from '../signingHistory.ts'
import { startSigner } from '../startSigner.ts'
import { HALF_ORDER } from './checkSigned.ts'
import { openRemoteKey, type RemoteKey, requireDelegated } from './remoteKey.ts'

const holder = privateKeyToAccount(`0x${'41'.repeat(32)}`)
const other = privateKeyToAccount(`0x${'42'.repeat(32)}`)

type Fields = Record<
  'from' | 'to' | 'data' | 'value' | 'gas' | 'nonce' | 'chainId' | 'maxFeePerGas' | 'maxPriorityFeePerGas',
  Hex
>
type Reply = (response: ServerResponse, method: string, fields: Fields) => unknown

/** A transaction as the fields of a request say, changed as a liar would. */
const signBy = (key: typeof holder, fields: Fields, changes: Partial<TransactionSerializableEIP1559> = {}) =>
  key.signTransaction({
    type: 'eip1559',
    chainId: hexToNumber(fields.chainId),
    nonce: hexToNumber(fields.nonce),
    to: fields.to,
    data: fields.data,
    value: hexToBigInt(fields.value),
    gas: hexToBigInt(fields.gas),
    maxFeePerGas: hexToBigInt(fields.maxFeePerGas),
    maxPriorityFeePerGas: hexToBigInt(fields.maxPriorityFeePerGas),
    ...changes,
  })

const say = (response: ServerResponse, body: unknown) =>
  response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: body }))
const lie =
  (changes: Partial<TransactionSerializableEIP1559>): Reply =>
  async (response, _method, fields) =>
    say(response, await signBy(holder, fields, changes))

/** Signs truly, unless a test has it answer otherwise. Everybody lists the account truly. */
const honest: Reply = async (response, _method, fields) => say(response, await signBy(holder, fields))
let reply: Reply = honest
let asked: { method: string; fields: Fields }[] = []
let server: Server
let url: string
beforeAll(async () => {
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { method, params } = JSON.parse(Buffer.concat(chunks).toString())
    if (method === 'eth_accounts') return void say(response, [other.address, holder.address.toLowerCase()])
    asked.push({ method, fields: params[0] })
    await reply(response, method, params[0])
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

const transaction: UnsignedTransaction = {
  type: 'eip1559',
  chainId: 31_337,
  nonce: 7,
  to: holder.address,
  data: '0x1234',
  value: 0n,
  gas: 500_000n,
  maxFeePerGas: 50n,
  maxPriorityFeePerGas: 1n,
}
const open = (changes: Partial<RemoteKey> = {}, timeout?: number) =>
  openRemoteKey({ kind: 'remote', url, address: holder.address, ...changes }, timeout)

/** What becomes of a transaction when the remote signer answers so. */
async function signWith(answer: Reply, timeout?: number): Promise<Hex> {
  const key = await open({}, timeout)
  reply = answer
  asked = []
  return key.signTransaction(transaction)
}
const refused = (why: string, retryable: boolean) => ({
  code: 'KEY_HOLDER',
  retryable,
  details: { why: expect.stringContaining(why) },
})

describe('openRemoteKey', () => {
  test('gets signed what it asks for, from web3signer and from Clef', async () => {
    const raw = await holder.signTransaction(transaction)
    expect(await signWith(honest)).toBe(raw)
    // What both read, by their names for it, and nothing that either passes over.
    const fields = {
      from: holder.address,
      to: holder.address,
      data: '0x1234',
      value: '0x0',
      gas: '0x7a120',
      nonce: '0x7',
      chainId: '0x7a69',
      maxFeePerGas: '0x32',
      maxPriorityFeePerGas: '0x1',
    }
    expect(asked).toEqual([{ method: 'eth_signTransaction', fields }])
    asked = []
    reply = async (response, _method, fields) => say(response, { raw: await signBy(holder, fields), tx: {} })
    const clef = await open({ dialect: 'clef' })
    expect(await clef.signTransaction(transaction)).toBe(raw)
    expect(asked).toEqual([{ method: 'account_signTransaction', fields }])
  })

  test('takes a signature whose numbers are shorter than others', async () => {
    // One in 256 has an r that begins with a zero byte, which no encoding keeps.
    for (let nonce = 0; ; nonce++) {
      const raw = await holder.signTransaction({ ...transaction, nonce })
      if (hexToBigInt(parseTransaction(raw).r ?? '0x') >> 248n !== 0n) continue
      reply = honest
      const key = await open()
      expect(await key.signTransaction({ ...transaction, nonce })).toBe(raw)
      return
    }
  })

  test('asks for nothing that they would sign only a part of', async () => {
    const authorization = await other.signAuthorization({
      contractAddress: STRANGER,
      chainId: 31_337,
      nonce: 0,
    })
    const accessList = [{ address: STRANGER, storageKeys: [] }]
    for (const dialect of ['web3signer', 'clef'] as const) {
      const key = await open({ dialect })
      asked = []
      for (const [partly, what] of [
        [{ ...transaction, type: 'eip7702', authorizationList: [authorization] }, 'type 4, EIP-7702'],
        [{ ...transaction, accessList }, 'access lists'],
      ] as const)
        await expect(key.signTransaction(partly as UnsignedTransaction)).rejects.toMatchObject({
          code: 'SIGNER_REQUEST',
          message: expect.stringContaining(what),
        })
      expect(asked).toEqual([])
    }
  })

  test.each<[string, Reply]>([
    ['it is another transaction', lie({ to: STRANGER })],
    ['it is another transaction', lie({ nonce: 8 })],
    ['it is another transaction', lie({ maxFeePerGas: 51n })],
    ['it is another transaction', lie({ maxPriorityFeePerGas: 2n })],
    ['it is another transaction', lie({ gas: 500_001n })],
    ['it is another transaction', lie({ value: 1n })],
    ['it is another transaction', lie({ data: '0x1235' })],
    ['it is for chain 1, not 31337', lie({ chainId: 1 })],
    ['it is another transaction', lie({ accessList: [{ address: STRANGER, storageKeys: [] }] })],
    [
      'it is another transaction',
      async (response) =>
        say(
          response,
          await holder.signTransaction({
            chainId: 31_337,
            nonce: 7,
            to: holder.address,
            gas: 500_000n,
            gasPrice: 50n,
            data: '0x1234',
            type: 'legacy',
          }),
        ),
    ],
    [
      `it is signed by ${other.address}`,
      async (response, _method, fields) => say(response, await signBy(other, fields)),
    ],
    [
      'nodes would not take its signature',
      async (response, _method, fields) => say(response, highS(await signBy(holder, fields))),
    ],
    ['it is no transaction', (response) => say(response, '0x1234')],
    ['it is no transaction', (response) => say(response, 'signed')],
    ['it is no transaction', (response) => say(response, null)],
    ['it is no JSON', (response) => response.end('<html>')],
    ['it is no answer of JSON-RPC', (response) => response.end('[]')],
    ['it has no end', (response) => response.end('x'.repeat(2 << 20))],
  ])('takes nothing else: %s (%#)', async (why, answer) => {
    await expect(signWith(answer)).rejects.toMatchObject(refused(why, false))
  })

  test.each<[string, Reply]>([
    [
      'it refused (code -32000)',
      (response) => response.end('{"error":{"code":-32000,"message":"0xsecret"}}'),
    ],
    ['it answered with status 503', (response) => response.writeHead(503).end()],
    [
      'it could not be reached, or led elsewhere',
      (response) => response.writeHead(307, { location: url }).end(),
    ],
    ['UND_ERR_SOCKET', (response) => response.destroy()],
    ['it took more than 100 ms', () => undefined],
  ])('says that it got no answer: %s', async (why, answer) => {
    // Only what never comes is waited for so shortly.
    const timeout = why.startsWith('it took') ? 100 : undefined
    await expect(signWith(answer, timeout)).rejects.toMatchObject(refused(why, true))
    // It asks once: whoever is led elsewhere does not follow, and what may have been signed is not asked for again.
    expect(asked).toHaveLength(1)
  })

  test('speaks to nobody in the clear over a network, and puts no password of a URL into an error', async () => {
    for (const [wrong, message] of [
      ['http://example.org:9000', 'The remote signer at example.org:9000 would be spoken to in the clear.'],
      ['https://user:secret@example.org', 'The URL of the remote signer at example.org carries a password.'],
      ['ftp://127.0.0.1', 'The remote signer at 127.0.0.1 would be spoken to in the clear.'],
      ['nonsense', 'The URL of a remote signer is none.'],
    ] as const)
      await expect(open({ url: wrong })).rejects.toMatchObject({ code: 'SIGNER_CONFIGURATION', message })
  })

  test('does not start without the account, or the signer', async () => {
    await expect(open({ address: STRANGER })).rejects.toMatchObject({ code: 'SIGNER_CONFIGURATION' })
    const closed = createServer().listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as AddressInfo
    closed.close()
    await once(closed, 'close')
    await expect(open({ url: `http://127.0.0.1:${port}` })).rejects.toMatchObject(
      refused('ECONNREFUSED', true),
    )
  })
})

describe('behind the judging signer', () => {
  const judging = async () => {
    const entries: string[] = []
    const signer = createSigner({
      book,
      accounts: [{ label: 'one', account: await open(), policies: [policy] }],
      history: createSigningHistory(),
      append: ({ kind }) => void entries.push(kind),
      now: () => 1_800_000_000n,
      orders: { stateFor: () => 'active', evacuates: () => false },
    })
    return { signer, entries }
  }

  test('what the policy refuses never reaches it, and what it signs is recorded', async () => {
    const { signer, entries } = await judging()
    reply = honest
    asked = []
    const plan = planOf(holder.address, { delegateTo: null })
    await expect(signer.sign(requestOf({ ...plan, gasLimit: 4_000_000n }))).rejects.toMatchObject({
      code: 'PLAN_REFUSED',
    })
    expect(asked).toEqual([])
    const { raw } = await signer.sign(requestOf(plan))
    expect(parseTransaction(raw)).toMatchObject({ nonce: 7, to: holder.address.toLowerCase() })
    expect(entries).toEqual(['signed'])
    // The same again is in the ledger: nobody is asked.
    expect((await signer.sign(requestOf(plan))).raw).toBe(raw)
    expect(asked).toHaveLength(1)
  })

  test('a lie is recorded nowhere, and the same request can be signed truly afterwards', async () => {
    const { signer, entries } = await judging()
    const request = requestOf(planOf(holder.address, { delegateTo: null }))
    reply = lie({ to: STRANGER })
    await expect(signer.sign(request)).rejects.toMatchObject({ code: 'KEY_HOLDER' })
    expect(entries).toEqual([])
    reply = honest
    await expect(signer.sign(request)).resolves.toMatchObject({ noncesUsed: 1 })
  })

  test('cannot make an account delegate, and says so before it asks', async () => {
    const { signer } = await judging()
    asked = []
    await expect(signer.sign(requestOf(planOf(holder.address)))).rejects.toMatchObject({
      code: 'SIGNER_REQUEST',
      message: `The key of ${holder.address} cannot sign a delegation (EIP-7702).`,
    })
    expect(asked).toEqual([])
  })
})

test('a signer whose keys are all elsewhere starts without a keystore', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'rialto-remote-'))
  const { signer, started, close } = await startSigner({
    directory,
    chainId: book.chainId,
    genesisHash: GENESIS,
    book,
    accounts: [{ label: 'one', key: { kind: 'remote', url, address: holder.address }, policies: [policy] }],
  })
  expect(started.accounts).toEqual([{ label: 'one', address: holder.address, created: false }])
  reply = honest
  await expect(signer.sign(requestOf(planOf(holder.address, { delegateTo: null })))).resolves.toMatchObject({
    noncesUsed: 1,
  })
  close()
  expect(readdirSync(directory)).toEqual(['signer'])
  rmSync(directory, { recursive: true })
})

test('an account behind it has to delegate already', () => {
  const batch: Address = book.rialto.batchAccount
  const account = holder.address
  expect(() => requireDelegated(account, `0xef0100${batch.slice(2)}`, batch)).not.toThrow()
  for (const code of ['0x', `0xef0100${STRANGER.slice(2)}`, `0xef0100${batch.slice(2)}00`])
    expect(() => requireDelegated(account, code, batch)).toThrow(
      expect.objectContaining({ code: 'SIGNER_CONFIGURATION' }),
    )
})

/** The other signature that holds for the same transaction and key. */
function highS(raw: Hex): Hex {
  const { s, yParity } = parseTransaction(raw as `0x02${string}`)
  const [low, parity] = [s ?? '0x', yParity ?? 0]
  const high = numberToHex(2n * HALF_ORDER + 1n - hexToBigInt(low), { size: 32 })
  // The parity stands before r and s, which take 33 bytes each with their lengths.
  const at = raw.length - 2 * 67
  expect([raw.slice(at, at + 2), GENESIS.length]).toEqual([parity === 0 ? '80' : '01', 66])
  return `${raw.slice(0, at)}${parity === 0 ? '01' : '80'}${raw.slice(at + 2, -64)}${high.slice(2)}` as Hex
}
