import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OrdersError } from '../../infra/orders/errors.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import { TransactionRefusedError } from '../../runtime/core/chainErrors.ts'
import { RialtoError } from '../../runtime/core/errors.ts'
import { intentId } from '../../runtime/core/ids.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { decide, execute } from '../../runtime/pipeline.ts'
import { createEngine, dollars, type Engine, withMode } from './engine.fixture.ts'
import { protectorOf } from './protector.fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

/** Under the hard floor of 1.05, and above liquidation. */
const UNDER = dollars(1_580)
const FURTHER = dollars(1_560)

const signed = (engine: Engine) => engine.runtime.signer.signedFrom(engine.agent.account, 0n)

describe('the protector', () => {
  it('leaves a position alone that stands at the hard floor or above', async () => {
    const engine = await createEngine(world)
    const protector = protectorOf(engine)
    expect(await protector.atHead(await engine.moveTo(dollars(1_900)))).toMatchObject({ kind: 'well' })
    expect(await signed(engine)).toEqual([])
  })

  it('rescues it with a chain and a signer alone, and leaves it alone again', async () => {
    const engine = await createEngine(world)
    const protector = protectorOf(engine)
    const acted = await protector.atHead(await engine.moveTo(UNDER))
    expect(acted).toMatchObject({ kind: 'acted' })
    const after = await protector.atHead(await engine.mine())
    expect(after).toMatchObject({ kind: 'well' })
    expect(after.healthFactor).toBeGreaterThanOrEqual(engine.policy.healthFactor.minAfter)
    expect(await engine.runtime.chain.receipt(acted.hash as `0x${string}`)).toMatchObject({
      status: 'success',
    })
    expect(await engine.runtime.journal.attempts()).toEqual([])
  })

  it('gives whoever thinks its time first', async () => {
    const engine = await createEngine(world)
    const protector = protectorOf(engine, { graceBlocks: 1n })
    expect(await protector.atHead(await engine.moveTo(UNDER))).toMatchObject({ kind: 'waiting' })
    expect(await protector.atHead(await engine.mine())).toMatchObject({ kind: 'acted' })
  })

  it('waits for what an agent signed lately, and outbids it on its nonce when it is not mined', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const head = await engine.moveTo(UNDER)
    // The agent's rescue is signed, and never reaches a node.
    const lost = engine.with({
      chain: {
        ...runtime.chain,
        sendRaw: () => Promise.reject(new TransactionRefusedError('POOL_FULL', head.hash, 'a node', 'full')),
      },
    })
    const run = await decide(lost, agent, head)
    await execute(lost, agent, intentId(run.id), head).catch((error: unknown) => {
      if (!(error instanceof TransactionRefusedError)) throw error
    })
    const [rival] = await signed(engine)
    expect(rival).toBeDefined()

    const protector = protectorOf(engine)
    expect(await protector.atHead(head)).toMatchObject({ kind: 'waiting' })
    let acted = await protector.atHead(await engine.moveTo(FURTHER))
    for (let blocks = 0; acted.kind === 'waiting' && blocks < 3; blocks++)
      acted = await protector.atHead(await engine.mine())
    expect(acted).toMatchObject({ kind: 'acted' })
    const [first, second] = await signed(engine)
    expect(second?.nonce).toBe(first?.nonce)
    for (const fee of ['maxFeePerGas', 'maxPriorityFeePerGas'] as const)
      expect((second?.plan[fee] ?? 0n) * 10n).toBeGreaterThanOrEqual((first?.plan[fee] ?? 0n) * 11n)
    expect(await protector.atHead(await engine.mine())).toMatchObject({ kind: 'well' })
  })

  it('sends its own bytes again as long as they may be mined, and signs nothing more', async () => {
    const engine = await createEngine(world)
    const { chain } = engine.runtime
    let sends = 0
    const deaf = {
      ...chain,
      sendRaw: async (raw: `0x${string}`) => {
        sends += 1
        if (sends === 1) throw new RialtoError('LOST', 'lost on the way', { retryable: true })
        return chain.sendRaw(raw)
      },
    }
    const protector = protectorOf(engine, { chain: deaf })
    const first = await protector.atHead(await engine.moveTo(UNDER))
    expect(first.kind).toBe('acted')
    const second = await protector.atHead(await engine.mine())
    expect(second).toMatchObject({ kind: 'resent', hash: first.hash })
    expect(await signed(engine)).toHaveLength(1)
    expect(await protector.atHead(await engine.mine())).toMatchObject({ kind: 'well' })
  })

  it.each([
    ['the owner halted it', () => 'halted' as const],
    [
      'nobody can read the orders',
      () => {
        throw new OrdersError('ORDERS_CORRUPT', 'orders.jsonl', 'line 1')
      },
    ],
  ])('does nothing when %s', async (_when, orders) => {
    const engine = await createEngine(world)
    expect(await protectorOf(engine, { orders }).atHead(await engine.moveTo(UNDER))).toMatchObject({
      kind: 'halted',
    })
    expect(await signed(engine)).toEqual([])
  })

  it('goes on when only risk may be reduced', async () => {
    const engine = await createEngine(world)
    const protector = protectorOf(engine, { orders: () => 'reducing' })
    expect(await protector.atHead(await engine.moveTo(UNDER))).toMatchObject({ kind: 'acted' })
  })

  it('is denied gas that costs more than the policy lets a rescue pay, and says so', async () => {
    const engine = await createEngine(world)
    const dear = await engine.moveTo(UNDER, { baseFee: engine.policy.riskReducing.gas.maxFeePerGas })
    const denied = await protectorOf(engine).atHead(dear)
    expect(denied.kind).toBe('denied')
    expect(denied.reason).toMatch(/gwei|gas/)
    expect(await signed(engine)).toEqual([])
  })

  it('has nothing signed for an agent that may only observe', async () => {
    const engine = await createEngine(world, { policy: (policy) => withMode(policy, 'observe') })
    const head: BlockRef = await engine.moveTo(UNDER)
    expect(await protectorOf(engine).atHead(head)).toMatchObject({ kind: 'denied' })
  })

  it('does nothing that its rule does not find to reduce risk', async () => {
    const engine = await createEngine(world)
    const head = await engine.moveTo(UNDER)
    const rule = () => ({
      proposal: {
        kind: 'withdraw',
        asset: world.addressBook.wrappedNative,
        amount: '1',
        expiresAtBlock: String(head.number + 5n),
      },
      reason: 'a rule gone mad',
    })
    await expect(protectorOf(engine, { rule }).atHead(head)).resolves.toMatchObject({ kind: 'helpless' })
    expect(await signed(engine)).toEqual([])
  })
})
