import { type Hex, keccak256, parseEther, parseGwei } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterEach, describe, expect, test } from 'vitest'
import { testWorld } from '../../infra/world/testWorld.ts'
import { type FaultProxy, type FaultProxyOptions, startFaultProxy } from './faultProxy.ts'
import { askUpstream } from './rpcProxy.ts'
import { createDecider, type ScheduleEntry } from './schedule.ts'
import { spawnFaultProxy } from './spawnFaultProxy.ts'

const world = await testWorld({ automine: false })
const { client } = world

const open: FaultProxy[] = []
afterEach(() => Promise.all(open.splice(0).map((proxy) => proxy.close())))

async function proxied(options: Partial<FaultProxyOptions> = {}): Promise<FaultProxy> {
  const proxy = await startFaultProxy({ upstream: world.url, seed: 1, ...options })
  open.push(proxy)
  return proxy
}
const ask = (proxy: FaultProxy, method: string, ...params: unknown[]) =>
  askUpstream(proxy.url, { method, params })
const result = async (proxy: FaultProxy, method: string, ...params: unknown[]) =>
  (await ask(proxy, method, ...params)).result

async function freshAccount() {
  const account = privateKeyToAccount(generatePrivateKey())
  await client.setBalance({ address: account.address, value: parseEther('10') })
  await client.mine({ blocks: 1 })
  const sign = (nonce: number, changes: object = {}): Promise<Hex> =>
    account.signTransaction({
      chainId: world.chainId,
      type: 'eip1559',
      to: account.address,
      nonce,
      gas: 60_000n,
      maxFeePerGas: parseGwei('100'),
      maxPriorityFeePerGas: parseGwei('1'),
      ...changes,
    } as never)
  return { account, sign }
}
const isKnown = async (hash: Hex) => (await world.rpc('eth_getTransactionByHash', hash)) !== null

describe('a schedule', () => {
  const asks = Array.from({ length: 200 }, (_, index) => ({
    method: index % 3 === 0 ? 'a' : 'b',
    params: [],
  }))
  const hitsOf = (seed: number, schedule: readonly ScheduleEntry[], order = asks) => {
    const decider = createDecider(seed, schedule)
    for (const request of order) decider.decide(request)
    return decider.hits
  }

  test('befalls the requests that it names and no others', () => {
    const hits = hitsOf(1, [
      { method: 'a', from: 2, count: 3, fault: { kind: 'drop' } },
      { method: 'a', from: 10, count: 1, fault: { kind: 'null' } },
    ])
    expect(hits.map(({ method, nth, kind }) => `${method}${nth} ${kind}`)).toEqual([
      'a2 drop',
      'a3 drop',
      'a4 drop',
      'a10 null',
    ])
  })

  test('is the same for the same seed, whatever else is asked in between, and another one for another seed', () => {
    const schedule: ScheduleEntry[] = [{ method: 'a', chance: 0.3, fault: { kind: 'stall' } }]
    const hits = hitsOf(5, schedule)
    expect(hits).toEqual(hitsOf(5, schedule))
    expect(hits).toEqual(
      hitsOf(
        5,
        schedule,
        asks.filter(({ method }) => method === 'a'),
      ),
    )
    expect(hits).not.toEqual(hitsOf(6, schedule))
    expect(hits.length).toBeGreaterThan(5)
    expect(hits.length).toBeLessThan(40)
  })
})

describe('a fault', () => {
  test.each([
    ['lose', false],
    ['drop', true],
    ['truncate', true],
    ['malformed', true],
  ] as const)(
    '%s leaves the caller without an answer, and the node with the bytes: %s',
    async (kind, has) => {
      const proxy = await proxied({
        schedule: [{ method: 'eth_sendRawTransaction', count: 1, fault: { kind } }],
      })
      const { sign } = await freshAccount()
      const raw = await sign(0)
      await expect(ask(proxy, 'eth_sendRawTransaction', raw)).rejects.toThrow()
      expect(await isKnown(keccak256(raw))).toBe(has)
      // Only the first one.
      const again = await ask(proxy, 'eth_sendRawTransaction', raw)
      expect(again.result ?? again.error?.message).toMatch(has ? /already/ : /^0x/)
      expect((await proxy.record()).counts).toEqual({ [kind]: 1 })
    },
  )

  test('stall takes the bytes and never answers', async () => {
    const proxy = await proxied({
      schedule: [{ method: 'eth_sendRawTransaction', fault: { kind: 'stall' } }],
    })
    const { sign } = await freshAccount()
    const raw = await sign(0)
    let answered = false
    const asked = ask(proxy, 'eth_sendRawTransaction', raw).then(
      () => {
        answered = true
      },
      () => {},
    )
    while (!(await isKnown(keccak256(raw)))) await new Promise(setImmediate)
    // A later request is answered: the first one is not merely slow to begin.
    expect(await result(proxy, 'eth_chainId')).toBe('0x7a69')
    expect(answered).toBe(false)
    await Promise.all(open.splice(0).map((one) => one.close()))
    await asked
    expect(answered).toBe(false)
  })

  test('null, error and limit say so', async () => {
    const proxy = await proxied({
      schedule: [
        { method: 'eth_getTransactionReceipt', fault: { kind: 'null' } },
        { method: 'eth_chainId', count: 1, fault: { kind: 'error', code: -32005, message: 'slow down' } },
        { method: 'eth_gasPrice', fault: { kind: 'limit', retryAfterSeconds: 3 } },
      ],
    })
    const { sign } = await freshAccount()
    const hash = (await result(proxy, 'eth_sendRawTransaction', await sign(0))) as Hex
    await client.mine({ blocks: 1 })
    expect(await result(proxy, 'eth_getTransactionReceipt', hash)).toBeNull()
    expect((await ask(proxy, 'eth_chainId')).error).toEqual({ code: -32005, message: 'slow down' })
    expect(await result(proxy, 'eth_chainId')).toBe('0x7a69')
    const limited = await fetch(proxy.url, {
      method: 'POST',
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_gasPrice', params: [] }),
    })
    expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '3'])
  })

  test('duplicate hands the request over twice', async () => {
    const proxy = await proxied({ schedule: [{ method: 'evm_mine', fault: { kind: 'duplicate' } }] })
    const before = await client.getBlockNumber()
    await ask(proxy, 'evm_mine')
    expect(await client.getBlockNumber()).toBe(before + 2n)
  })

  test('reorder has a later answer come first', async () => {
    const proxy = await proxied({ schedule: [{ method: 'eth_chainId', fault: { kind: 'reorder' } }] })
    const order: string[] = []
    const first = ask(proxy, 'eth_chainId').then(() => order.push('first'))
    // The second one is sent once the first has arrived.
    while ((await proxy.record()).requests === 0) await new Promise(setImmediate)
    const second = ask(proxy, 'eth_blockNumber').then(() => order.push('second'))
    await Promise.all([first, second])
    expect(order).toEqual(['second', 'first'])
  })

  test('delay answers in the end', async () => {
    const proxy = await proxied({
      schedule: [{ method: 'eth_chainId', fault: { kind: 'delay', milliseconds: 5 } }],
    })
    expect(await result(proxy, 'eth_chainId')).toBe('0x7a69')
    await proxy.schedule([])
    expect((await proxy.record()).counts).toEqual({ delay: 1 })
  })
})

describe('a node with manners that anvil lacks', () => {
  test('wants 10 % more on both fees to replace a transaction', async () => {
    const proxy = await proxied({ manners: { replacementBump: 10 } })
    const { sign } = await freshAccount()
    const with_ = (feeCap: string, tip: string) =>
      sign(0, { maxFeePerGas: parseGwei(feeCap), maxPriorityFeePerGas: parseGwei(tip) })
    const send = async (raw: Hex) => ask(proxy, 'eth_sendRawTransaction', raw)
    await send(await with_('100', '1'))
    const underpriced = { code: -32000, message: 'replacement transaction underpriced' }
    expect((await send(await with_('109.9', '2'))).error).toEqual(underpriced)
    expect((await send(await with_('120', '1.09'))).error).toEqual(underpriced)
    const enough = await with_('110', '1.1')
    expect((await send(enough)).result).toBe(keccak256(enough))
    // Anvil itself would have taken the least of it.
    expect(await isKnown(keccak256(enough))).toBe(true)
  })

  test('says "already known" to what is pending, and not to what is mined', async () => {
    const proxy = await proxied({ manners: { alreadyKnown: true } })
    const { sign } = await freshAccount()
    const raw = await sign(0)
    await ask(proxy, 'eth_sendRawTransaction', raw)
    expect((await ask(proxy, 'eth_sendRawTransaction', raw)).error?.message).toBe('already known')
    await client.mine({ blocks: 1 })
    expect((await ask(proxy, 'eth_sendRawTransaction', raw)).error?.message).toMatch(/nonce too low/i)
  })

  test('keeps what cannot pay the base fee until it can', async () => {
    const proxy = await proxied({ manners: { queuesUnderpriced: true } })
    const { sign } = await freshAccount()
    await client.setNextBlockBaseFeePerGas({ baseFeePerGas: parseGwei('200') })
    await client.mine({ blocks: 1 })
    const raw = await sign(0)
    const hash = keccak256(raw)
    expect((await ask(proxy, 'eth_sendRawTransaction', raw)).result).toBe(hash)
    expect(await isKnown(hash)).toBe(false)
    expect(await result(proxy, 'eth_getTransactionByHash', hash)).toMatchObject({ hash, blockHash: null })
    await client.mine({ blocks: 1 })
    expect(await client.getTransactionReceipt({ hash }).catch(() => null)).toBeNull()
    await client.setNextBlockBaseFeePerGas({ baseFeePerGas: parseGwei('10') })
    // Whoever looks next hands it over.
    await result(proxy, 'eth_getTransactionByHash', hash)
    await client.mine({ blocks: 1 })
    expect((await client.getTransactionReceipt({ hash })).status).toBe('success')
  })

  test('evicts the one that tips least from a full pool, and whatever it is told', async () => {
    const proxy = await proxied({ manners: { poolSize: 2 } })
    const senders = await Promise.all([freshAccount(), freshAccount(), freshAccount()])
    const raws = await Promise.all(
      senders.map(({ sign }, index) =>
        sign(0, { maxPriorityFeePerGas: parseGwei(String([2, 1, 3][index])) }),
      ),
    )
    for (const raw of raws) await ask(proxy, 'eth_sendRawTransaction', raw)
    const hashes = raws.map((raw) => keccak256(raw))
    expect(await Promise.all(hashes.map(isKnown))).toEqual([true, false, true])
    expect(await proxy.evict(hashes[0] as Hex)).toBe(true)
    expect(await proxy.evict(hashes[0] as Hex)).toBe(false)
    expect(await Promise.all(hashes.map(isKnown))).toEqual([false, false, true])
    await client.mine({ blocks: 1 })
  })

  test('takes one pending transaction of a delegated account, and none with a gap', async () => {
    const proxy = await proxied({ manners: { onePerDelegated: true } })
    const { account, sign } = await freshAccount()
    await client.setCode({ address: account.address, bytecode: `0xef0100${'11'.repeat(20)}` })
    const send = async (nonce: number) =>
      (await ask(proxy, 'eth_sendRawTransaction', await sign(nonce, { to: world.addressBook.wrappedNative })))
        .error?.message ?? 'taken'
    expect(await send(1)).toBe('gapped-nonce tx from delegated accounts')
    expect(await send(0)).toBe('taken')
    expect(await send(1)).toBe('in-flight transaction limit reached for delegated accounts')
    await client.mine({ blocks: 1 })
    expect(await send(1)).toBe('taken')
    await client.mine({ blocks: 1 })
  })

  test('knows nothing of the newest blocks when it is behind', async () => {
    const proxy = await proxied()
    const { account, sign } = await freshAccount()
    const hash = (await result(proxy, 'eth_sendRawTransaction', await sign(0))) as Hex
    await client.mine({ blocks: 2 })
    const head = await client.getBlock()
    await proxy.behave({ staleBlocks: 2 })
    expect(await result(proxy, 'eth_blockNumber')).toBe(`0x${(head.number - 2n).toString(16)}`)
    expect(await result(proxy, 'eth_getBlockByNumber', 'latest', false)).toMatchObject({
      number: `0x${(head.number - 2n).toString(16)}`,
    })
    const newest = `0x${head.number.toString(16)}`
    expect(await result(proxy, 'eth_getBlockByNumber', newest, false)).toBeNull()
    expect(await result(proxy, 'eth_getTransactionReceipt', hash)).toBeNull()
    expect(await result(proxy, 'eth_getTransactionByHash', hash)).toMatchObject({ blockHash: null })
    expect(await result(proxy, 'eth_getTransactionCount', account.address, 'latest')).toBe('0x0')
    const at = { blockHash: head.hash }
    expect((await ask(proxy, 'eth_getTransactionCount', account.address, at)).error?.message).toBe(
      'header not found',
    )
    await proxy.behave({})
    expect(await result(proxy, 'eth_getTransactionReceipt', hash)).toMatchObject({ status: '0x1' })
    expect(await result(proxy, 'eth_getTransactionCount', account.address, at)).toBe('0x1')
  })

  test.each([
    [false, 'gone'],
    [true, 'pending again'],
  ])('after a reorganisation (reinject %s) what was mined is %s', async (reinject, outcome) => {
    const proxy = await proxied()
    const { sign } = await freshAccount()
    const raw = await sign(0)
    const hash = (await result(proxy, 'eth_sendRawTransaction', raw)) as Hex
    await client.mine({ blocks: 2 })
    const { hash: before, number } = await client.getBlock()
    await proxy.reorganise(2, { reinject })
    const after = await client.getBlock()
    expect(after.number).toBe(number)
    expect(after.hash).not.toBe(before)
    expect(await isKnown(hash)).toBe(outcome === 'pending again')
    await client.mine({ blocks: 1 })
    expect((await world.rpc('eth_getTransactionReceipt', hash)) !== null).toBe(reinject)
  })
})

describe('in a process of its own', () => {
  test('it does the same, and ends when it is told to', async () => {
    const proxy = await spawnFaultProxy({
      upstream: world.url,
      seed: 1,
      schedule: [{ method: 'eth_chainId', count: 1, fault: { kind: 'drop' } }],
      manners: { alreadyKnown: true },
    })
    await expect(ask(proxy, 'eth_chainId')).rejects.toThrow()
    expect(await result(proxy, 'eth_chainId')).toBe('0x7a69')
    const { sign } = await freshAccount()
    const raw = await sign(0)
    await ask(proxy, 'eth_sendRawTransaction', raw)
    expect((await ask(proxy, 'eth_sendRawTransaction', raw)).error?.message).toBe('already known')
    expect(await proxy.evict(keccak256(raw))).toBe(true)
    await proxy.schedule([{ method: 'eth_blockNumber', fault: { kind: 'null' } }])
    expect(await result(proxy, 'eth_blockNumber')).toBeNull()
    expect(await proxy.record()).toMatchObject({ counts: { drop: 1, null: 1 } })
    await proxy.close()
    await expect(ask(proxy, 'eth_chainId')).rejects.toThrow()
    expect(() => process.kill(proxy.pid, 0)).toThrow('ESRCH')
  })
})
