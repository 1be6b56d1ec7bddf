import { type Hex, keccak256, parseEther, parseGwei } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { type CreateChainParameters, createChain } from '../../infra/chain/createChain.ts'
import { testWorld } from '../../infra/world/testWorld.ts'
import { describeError, RialtoError } from '../../runtime/core/errors.ts'
import { type Fault, startRpcProxy } from '../proxy/rpcProxy.ts'

// What a local node does not do by itself: lose answers, lack methods, lie, and speak as other nodes do.

const world = await testWorld({ automine: false })
const proxy = await startRpcProxy(world.url)
afterAll(() => proxy.close())
beforeEach(() => proxy.reset())

/** What a test that has to sit a time-out out allows: enough for an honest answer on a busy machine. */
const STALL = 2_000

const open = (changes: Partial<CreateChainParameters> = {}) =>
  createChain({
    rpcUrl: proxy.url,
    chainId: world.chainId,
    multicall3: world.addressBook.multicall3,
    timeout: 20_000,
    retries: 0,
    ...changes,
  })

async function failureOf(promise: Promise<unknown>): Promise<RialtoError> {
  const outcome = await promise.catch((error: unknown) => error)
  expect(outcome).toBeInstanceOf(RialtoError)
  return outcome as RialtoError
}

async function signedTransfer(): Promise<{ raw: Hex; hash: Hex }> {
  const account = privateKeyToAccount(generatePrivateKey())
  await world.client.setBalance({ address: account.address, value: parseEther('1') })
  const raw = await account.signTransaction({
    chainId: world.chainId,
    type: 'eip1559',
    to: account.address,
    nonce: 0,
    gas: 21_000n,
    maxFeePerGas: parseGwei('50'),
    maxPriorityFeePerGas: 0n,
  })
  return { raw, hash: keccak256(raw) }
}

const isKnown = async (hash: Hex) => (await world.rpc('eth_getTransactionByHash', hash)) !== null

describe('opening a chain', () => {
  test('refuses a text that is no URL, without repeating it', async () => {
    const error = await failureOf(open({ rpcUrl: 'not-a-url-but-a-secret' }))
    expect(error.code).toBe('RPC_URL_INVALID')
    expect(error.toLine()).not.toContain('secret')
    expect((await failureOf(open({ rpcUrl: 'ftp://127.0.0.1/' }))).code).toBe('RPC_URL_INVALID')
  })

  test('says when nobody answers', async () => {
    const gone = await startRpcProxy(world.url)
    await gone.close()
    const error = await failureOf(open({ rpcUrl: gone.url }))
    expect(error).toMatchObject({ code: 'RPC_UNREACHABLE', retryable: true })
    expect(error.message).toContain('ECONNREFUSED')
  })

  test('refuses another chain', async () => {
    proxy.on({ method: 'eth_chainId', fault: { kind: 'result', result: '0x1' } })
    const error = await failureOf(open())
    expect(error.code).toBe('WRONG_CHAIN')
    expect(error.toLine()).toContain(`chain 1, not chain ${world.chainId}`)
  })

  test('refuses an RPC without eth_simulateV1, and says what to do', async () => {
    proxy.on({ method: 'eth_simulateV1', fault: { kind: 'hide' } })
    const error = await failureOf(open())
    expect(error).toMatchObject({ code: 'SIMULATION_UNSUPPORTED', retryable: false })
    expect(error.fix).toContain('eth_simulateV1')
  })

  test('refuses an eth_simulateV1 that ignores overrides', async () => {
    const ignore = (result: unknown) =>
      (result as { calls: object[] }[]).map((block) => ({
        ...block,
        calls: block.calls.map((call) => ({ ...call, returnData: '0x' })),
      }))
    proxy.on({ method: 'eth_simulateV1', fault: { kind: 'rewrite', change: ignore } })
    expect((await failureOf(open())).code).toBe('SIMULATION_UNSUPPORTED')
  })

  test('refuses a chain without Multicall3', async () => {
    const nowhere = privateKeyToAccount(generatePrivateKey()).address
    expect((await failureOf(open({ multicall3: nowhere }))).code).toBe('MULTICALL_MISSING')
  })

  test('says when what answers is no node', async () => {
    proxy.on({ fault: { kind: 'garbage', text: '<html>Welcome!</html>' } })
    expect((await failureOf(open())).code).toBe('RPC_UNREACHABLE')
    proxy.reset()
    proxy.on({ method: 'eth_chainId', fault: { kind: 'result', result: null } })
    expect((await failureOf(open())).code).toBe('RPC_MALFORMED')
  })
})

describe('keys in the URL', () => {
  const SECRETS = ['0123456789abcdef0123', 'querysecret', 'usersecret', 'passwordsecret']

  test('are in no error', async () => {
    const { port } = new URL(proxy.url)
    const [path, query, user, password] = SECRETS
    const rpcUrl = `http://${user}:${password}@127.0.0.1:${port}/v3/${path}?key=${query}`
    const chain = await open({ rpcUrl })
    const head = await chain.head()
    const faults: Fault[] = [
      {
        kind: 'error',
        code: -32000,
        message: `project ${path} at ${rpcUrl} is unknown, key ${query} (${user})`,
      },
      { kind: 'status', status: 401, body: `bad key ${path}` },
      { kind: 'refuse' },
      { kind: 'drop' },
      { kind: 'garbage', text: rpcUrl },
    ]
    const { raw } = await signedTransfer()
    for (const fault of faults)
      for (const attempt of [
        () => chain.code(world.addressBook.multicall3, head.hash),
        () => chain.sendRaw(raw),
      ]) {
        proxy.reset()
        proxy.on({ fault, times: 1 })
        const error = await failureOf(attempt())
        const told = [
          describeError(error),
          error.stack,
          JSON.stringify({ ...error }),
          String(error.cause),
        ].join()
        for (const secret of SECRETS) expect(told).not.toContain(secret)
        expect(told).toContain(`127.0.0.1:${port}`)
      }
  })
})

describe('a read', () => {
  test('is tried again when no answer comes', async () => {
    const chain = await open({ retries: 2 })
    proxy.on({ method: 'eth_getBlockByNumber', times: 1, fault: { kind: 'refuse' } })
    proxy.on({ method: 'eth_getBlockByNumber', times: 1, fault: { kind: 'status', status: 503 } })
    expect((await chain.head()).number).toBeGreaterThan(0n)
  })

  test.each(['stall', 'stallBody'] as const)(
    'ends in time when the answer stops coming (%s)',
    async (kind) => {
      const chain = await open({ timeout: STALL })
      proxy.on({ method: 'eth_getCode', fault: { kind } })
      const { hash } = await chain.head()
      const error = await failureOf(chain.code(world.addressBook.multicall3, hash))
      expect(error).toMatchObject({ code: 'RPC_UNREACHABLE', retryable: true })
      expect(error.message).toContain(`none within ${STALL} ms`)
    },
  )

  test.each([
    [-32000, 'header not found'],
    [-32000, 'hash 0x12 is not currently canonical'],
    [-32000, 'missing trie node 0x12 (path ) state 0x34 is not available'],
    [-32001, 'Resource not found'],
    [4444, 'pruned history unavailable: block not available'],
  ])('knows a block that is gone by what nodes say (%i %s)', async (code, message) => {
    const chain = await open()
    const { hash } = await chain.head()
    proxy.on({ method: 'eth_getBalance', fault: { kind: 'error', code, message } })
    const error = await failureOf(chain.balance(world.addressBook.multicall3, hash))
    expect(error).toMatchObject({ code: 'BLOCK_GONE', retryable: true })
  })

  test('does not take a lie: another block, another receipt, too few results', async () => {
    const chain = await open()
    await world.client.mine({ blocks: 2 })
    const head = await chain.head()
    const previous = await world.rpc('eth_getBlockByNumber', `0x${(head.number - 1n).toString(16)}`, false)
    proxy.on({ method: 'eth_getBlockByNumber', fault: { kind: 'result', result: previous } })
    expect((await failureOf(chain.block(head.number))).code).toBe('RPC_MALFORMED')

    const { raw, hash } = await signedTransfer()
    await chain.sendRaw(raw)
    await world.client.mine({ blocks: 1 })
    const change = (receipt: unknown) => ({ ...(receipt as object), transactionHash: `0x${'00'.repeat(32)}` })
    proxy.on({ method: 'eth_getTransactionReceipt', times: 1, fault: { kind: 'rewrite', change } })
    expect((await failureOf(chain.receipt(hash))).code).toBe('RPC_MALFORMED')
    expect((await chain.receipt(hash))?.status).toBe('success')

    proxy.on({ method: 'eth_call', fault: { kind: 'result', result: '0x' } })
    const read = chain.read([{ target: world.addressBook.multicall3, data: '0x' }], head.hash)
    expect((await failureOf(read)).code).toBe('MULTICALL_MISSING')
    proxy.on({ method: 'eth_call', fault: { kind: 'result', result: '0x1234' } })
    const truncated = chain.read([{ target: world.addressBook.multicall3, data: '0x' }], head.hash)
    expect((await failureOf(truncated)).code).toBe('RPC_MALFORMED')
  })

  test('a failed genesis hash is asked for again', async () => {
    const chain = await open()
    proxy.on({ method: 'eth_getBlockByNumber', times: 1, fault: { kind: 'refuse' } })
    expect((await failureOf(chain.genesisHash())).code).toBe('RPC_UNREACHABLE')
    expect(await chain.genesisHash()).toBe(world.genesisHash)
    const asked = proxy.requests.length
    await chain.genesisHash()
    expect(proxy.requests).toHaveLength(asked)
  })

  test('a reason for a revert is not invented when the node cannot trace', async () => {
    const chain = await open()
    proxy.on({ method: 'debug_traceTransaction', fault: { kind: 'hide' } })
    expect(await chain.revertReason(`0x${'12'.repeat(32)}`)).toMatch(/^reverted; the RPC cannot tell why/)
  })
})

describe('sendRaw', () => {
  test.each<Fault>([
    { kind: 'drop' },
    { kind: 'stall' },
    { kind: 'stallBody' },
    { kind: 'garbage', text: 'ok' },
    { kind: 'rewrite', change: () => `0x${'00'.repeat(32)}` },
    { kind: 'rewrite', change: () => null },
  ])('is unknown when the answer to bytes that were taken is lost: %o', async (fault) => {
    const chain = await open({ timeout: STALL, retries: 5 })
    const { raw, hash } = await signedTransfer()
    proxy.on({ method: 'eth_sendRawTransaction', times: 1, fault })
    const error = await failureOf(chain.sendRaw(raw))
    expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN', hash })
    expect(await isKnown(hash)).toBe(true)
    // Sent once by itself, however many retries a read has.
    expect(proxy.requests.filter(({ method }) => method === 'eth_sendRawTransaction')).toHaveLength(1)
    // And once more by whoever asks.
    expect(await chain.sendRaw(raw)).toBe(hash)
  })

  test.each<Fault>([
    { kind: 'refuse' },
    { kind: 'status', status: 502 },
    { kind: 'status', status: 429 },
    { kind: 'error', code: -32603, message: 'internal error' },
    { kind: 'error', code: -32000, message: 'what no node has said before' },
  ])('is unknown when nothing certain follows from the answer: %o', async (fault) => {
    const chain = await open()
    const { raw, hash } = await signedTransfer()
    proxy.on({ method: 'eth_sendRawTransaction', times: 1, fault })
    expect(await failureOf(chain.sendRaw(raw))).toMatchObject({ code: 'OUTCOME_UNKNOWN', hash })
  })

  test('is unreachable, not unknown, when no connection was made', async () => {
    const closing = await startRpcProxy(world.url)
    const chain = await open({ rpcUrl: closing.url })
    await closing.close()
    const { raw } = await signedTransfer()
    expect((await failureOf(chain.sendRaw(raw))).code).toBe('RPC_UNREACHABLE')
  })

  test('takes "nonce too low" of a node that knows the very bytes for success', async () => {
    const chain = await open()
    const { raw, hash } = await signedTransfer()
    await chain.sendRaw(raw)
    const tooLow = {
      kind: 'error',
      code: -32000,
      message: 'nonce too low: next nonce 1, tx nonce 0',
    } as const
    proxy.on({ method: 'eth_sendRawTransaction', fault: tooLow })
    expect(await chain.sendRaw(raw)).toBe(hash)
    // A node that cannot say whether it knows them leaves the outcome unknown.
    proxy.on({ method: 'eth_getTransactionByHash', fault: { kind: 'refuse' } })
    expect((await failureOf(chain.sendRaw(raw))).code).toBe('OUTCOME_UNKNOWN')
    proxy.on({ method: 'eth_getTransactionByHash', fault: { kind: 'result', result: null } })
    expect(await failureOf(chain.sendRaw(raw))).toMatchObject({
      code: 'TRANSACTION_REFUSED',
      reason: 'NONCE_TOO_LOW',
      retryable: false,
    })
  })

  test('knows which refusals may pass', async () => {
    const chain = await open()
    const { raw } = await signedTransfer()
    const refuse = (message: string) => {
      proxy.reset()
      proxy.on({ method: 'eth_sendRawTransaction', fault: { kind: 'error', code: -32000, message } })
      return failureOf(chain.sendRaw(raw))
    }
    expect(await refuse('txpool is full')).toMatchObject({ reason: 'POOL_FULL', retryable: true })
    expect(await refuse('in-flight transaction limit reached for delegated accounts')).toMatchObject({
      reason: 'ACCOUNT_BUSY',
      retryable: true,
    })
    expect(await refuse('intrinsic gas too low')).toMatchObject({ reason: 'GAS_TOO_LOW', retryable: false })
  })
})
