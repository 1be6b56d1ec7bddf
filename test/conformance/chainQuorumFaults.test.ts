import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { describe, expect, test } from 'vitest'
import { systemTimer } from '../../infra/chain/quorum/timer.ts'
import { watchHeads } from '../../infra/chain/watchHeads.ts'
import { threeDoors } from './threeDoors.fixture.ts'

// What nodes that lie, lag or keep silent make of blocks and reads.

const { world, client, doors, a, b, c, hostOf, listen, open, failureOf, signed, asked } = await threeDoors()

describe('opening', () => {
  test('refuses a node of another chain, and names it', async () => {
    b.on({ method: 'eth_chainId', fault: { kind: 'result', result: '0x1' } })
    const error = await failureOf(open())
    expect(error).toMatchObject({ code: 'WRONG_CHAIN' })
    expect(error.message).toContain(hostOf(b))
  })

  test('refuses a node that is named twice, and a quorum that cannot be', async () => {
    const nodes = [{ url: a.url }, { url: `${a.url.replace('127.0.0.1', 'localhost')}/key` }]
    expect((await failureOf(open({ nodes }))).code).toBe('RPC_NAMED_TWICE')
    for (const quorum of [0, 4, 1.5]) expect((await failureOf(open({ quorum }))).code).toBe('QUORUM_INVALID')
  })

  test('goes on without a node that does not answer, and takes it in when it does', async () => {
    const { lines, logger } = listen()
    const away = c.on({ fault: { kind: 'refuse' } })
    const chain = await open({ logger })
    expect(chain.nodes().map(({ state }) => state)).toEqual(['healthy', 'healthy', 'unproven'])
    expect(lines).toEqual([`${hostOf(c)} An RPC does not answer yet; it may join later`])
    away()
    // It is looked at again with the heads.
    while (chain.nodes()[2]?.state !== 'healthy') await chain.head()
    b.on({ fault: { kind: 'refuse' } })
    expect((await chain.block(0n)).hash).toBe(world.genesisHash)
  })

  test('does not go on without a quorum', async () => {
    b.on({ fault: { kind: 'refuse' } })
    c.on({ fault: { kind: 'refuse' } })
    const error = await failureOf(open())
    expect(error).toMatchObject({ code: 'NO_QUORUM', retryable: true })
    expect(error.message).toContain(hostOf(b))
    expect(error.message).toContain(hostOf(c))
  })

  test('lets others simulate for a node that cannot, and refuses when none can', async () => {
    a.on({ method: 'eth_simulateV1', fault: { kind: 'hide' } })
    const chain = await open()
    const on = await chain.head()
    const request = {
      on,
      timestamp: on.timestamp + 1n,
      baseFeePerGas: on.baseFeePerGas,
      code: [],
      calls: [],
    }
    expect(await chain.simulate(request)).toEqual([])
    expect(asked(a, 'eth_simulateV1')).toBe(1)
    for (const door of [b, c]) door.on({ method: 'eth_simulateV1', fault: { kind: 'hide' } })
    expect((await failureOf(open())).code).toBe('SIMULATION_UNSUPPORTED')
  })
})

describe('a node that differs', () => {
  test('is outvoted on a receipt, and told of once', async () => {
    const { lines, logger } = listen()
    const chain = await open({ logger })
    const { raw, hash } = await signed()
    await chain.sendRaw(raw)
    await client.mine({ blocks: 1 })
    const honest = a.on({
      method: 'eth_getTransactionReceipt',
      fault: { kind: 'rewrite', change: (receipt) => ({ ...(receipt as object), status: '0x0' }) },
    })
    for (let look = 0; look < 5; look++) expect((await chain.receipt(hash))?.status).toBe('success')
    await chain.allHeard()
    const differs = `${hostOf(a)} An RPC says something else than a quorum`
    expect(lines).toEqual([differs])
    expect(chain.nodes()[0]).toMatchObject({ differed: 5, state: 'healthy' })
    expect(chain.nodes()[0]?.difference).toMatch(
      /^eth_getTransactionReceipt: said reverted in .* has a quorum$/,
    )
    honest()
    await chain.receipt(hash)
    await chain.allHeard()
    expect(lines).toEqual([differs, `${hostOf(a)} An RPC agrees with the others again`])
    expect(chain.nodes()[0]?.difference).toBeNull()
  })

  test('leaves no quorum when there is nobody to outvote it, and everybody is quoted', async () => {
    const chain = await open({ nodes: [{ url: a.url }, { url: b.url }] })
    const { raw, hash } = await signed()
    await chain.sendRaw(raw)
    await client.mine({ blocks: 1 })
    a.on({ method: 'eth_getTransactionReceipt', fault: { kind: 'result', result: null } })
    const error = await failureOf(chain.receipt(hash))
    expect(error).toMatchObject({ code: 'NO_QUORUM', retryable: true })
    expect(error.message).toContain(`${hostOf(a)}: no receipt`)
    expect(error.message).toContain(`${hostOf(b)}: success in block`)
  })

  test('cannot move the head: forwards, backwards or aside', async () => {
    const chain = await open()
    await client.mine({ blocks: 5 })
    const head = await chain.head()
    const lies: ((block: Record<string, unknown>) => object)[] = [
      (block) => ({ ...block, number: '0xffffff' }),
      (block) => ({ ...block, hash: `0x${'12'.repeat(32)}` }),
      (block) => ({ ...block, timestamp: '0x1' }),
      () => ({}),
    ]
    for (const lie of lies) {
      a.reset()
      a.on({
        method: 'eth_getBlockByNumber',
        fault: { kind: 'rewrite', change: (block) => lie(block as Record<string, unknown>) },
      })
      expect(await chain.head()).toEqual(head)
    }
    a.reset()
    const old = await world.rpc('eth_getBlockByNumber', `0x${(head.number - 3n).toString(16)}`, false)
    a.on({ method: 'eth_getBlockByNumber', fault: { kind: 'result', result: old } })
    expect(await chain.head()).toEqual(head)
  })

  test('is not asked any more once it serves another chain', async () => {
    const { lines, logger } = listen()
    let now = Date.now()
    const chain = await open({ logger, timer: { ...systemTimer, now: () => now } })
    b.on({ method: 'eth_chainId', fault: { kind: 'result', result: '0x1' } })
    now += 60_000
    while (chain.nodes()[1]?.state !== 'expelled') await chain.head()
    expect(lines).toEqual([`${hostOf(b)} An RPC serves another chain and is not asked any more`])
    const before = b.requests.length
    await chain.head()
    await chain.block(0n)
    expect(b.requests).toHaveLength(before)
    a.on({ method: 'eth_getBlockByNumber', fault: { kind: 'refuse' } })
    expect((await failureOf(chain.block(0n))).message).toContain(`${hostOf(b)}: expelled, serves chain 1`)
  })
})

describe('a pinned read', () => {
  const { multicall3 } = world.addressBook

  test('goes to the next node when one fails, lacks the block, answers nonsense, or is slow', async () => {
    const chain = await open({ patience: 20 })
    const { hash } = await chain.head()
    const code = await chain.code(multicall3, hash)
    const faults = [
      { kind: 'refuse' },
      { kind: 'error', code: -32000, message: 'header not found' },
      { kind: 'result', result: 'nonsense' },
      { kind: 'status', status: 502 },
      { kind: 'stall' },
    ] as const
    for (const fault of faults) {
      for (const door of doors) door.reset()
      a.on({ method: 'eth_getCode', fault })
      expect(await chain.code(multicall3, hash)).toBe(code)
    }
  })

  test('says that a block is gone when no node has it', async () => {
    const chain = await open()
    expect((await failureOf(chain.code(multicall3, `0x${'12'.repeat(32)}`))).code).toBe('BLOCK_GONE')
  })

  test('is not tried at a node that has not got the block yet', async () => {
    const chain = await open()
    const previous = await world.rpc('eth_getBlockByNumber', 'latest', false)
    await client.mine({ blocks: 1 })
    a.on({
      method: 'eth_getBlockByNumber',
      when: ({ params }) => params[0] === 'latest',
      fault: { kind: 'result', result: previous },
    })
    const { hash } = await chain.head()
    const before = asked(a, 'eth_getCode')
    await chain.code(multicall3, hash)
    expect(asked(a, 'eth_getCode')).toBe(before)
  })

  test('leaves a node alone for as long as it asks for', async () => {
    let now = 1_000_000
    const chain = await open({ timer: { ...systemTimer, now: () => now } })
    const { hash } = await chain.head()
    a.on({
      method: 'eth_getCode',
      times: 1,
      fault: { kind: 'status', status: 429, body: '{}', headers: { 'retry-after': '60' } },
    })
    const read = async () => {
      await chain.code(multicall3, hash)
      return asked(a, 'eth_getCode')
    }
    const limited = await read()
    expect(chain.nodes()[0]).toMatchObject({ state: 'resting', limited: 1, failures: 0 })
    expect(await read()).toBe(limited)
    // A vote is its trial, once its rest is over.
    now += 59_000
    await chain.block(0n)
    await chain.allHeard()
    expect(chain.nodes()[0]?.state).toBe('resting')
    now += 1_000
    await chain.block(0n)
    await chain.allHeard()
    expect(chain.nodes()[0]?.state).toBe('healthy')
    expect(await read()).toBe(limited + 1)
  })

  test('prefers a node that it need not wait for', async () => {
    const nodes = [{ url: a.url, requestsPerSecond: 8 }, { url: b.url }]
    let now = 0
    const timer = { ...systemTimer, now: () => now }
    const chain = await open({ nodes, quorum: 1, timer })
    const { hash } = await chain.head()
    now += 10_000
    a.reset()
    for (let read = 0; read < 12; read++) await chain.code(multicall3, hash)
    expect(asked(a, 'eth_getCode')).toBe(8)
    now += 125
    await chain.code(multicall3, hash)
    expect(asked(a, 'eth_getCode')).toBe(9)
  })
})

test('the heads are watched through a reorganisation that a lying node denies', async () => {
  const chain = await open()
  await client.mine({ blocks: 3 })
  const stop = new AbortController()
  const heads = watchHeads(chain, {
    signal: stop.signal,
    pollInterval: 5,
    onError: (error) => expect.unreachable(error.toLine()),
  })
  const first = (await heads.next()).value?.head
  const old = await world.rpc('eth_getBlockByNumber', 'latest', false)
  a.on({ method: 'eth_getBlockByNumber', fault: { kind: 'result', result: old } })
  await client.setCoinbase({ address: privateKeyToAccount(generatePrivateKey()).address })
  await world.rpc('anvil_reorg', 1, [])
  const change = (await heads.next()).value
  stop.abort()
  expect(change?.head.number).toBe(first?.number)
  expect(change?.dropped).toEqual([first])
})
