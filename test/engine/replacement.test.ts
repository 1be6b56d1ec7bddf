import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startWorld, type World } from '../../infra/world/world.ts'
import { RialtoError } from '../../runtime/core/errors.ts'
import type { AttemptRecord } from '../../runtime/core/journal.ts'
import { createEngine, dollars, type Engine, gwei } from './engine.fixture.ts'

// A transaction that does not get mined is replaced on its nonce, and whichever of them is mined is what counts.

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const HUNGRY = dollars(1_750)
/** Above what a plan that was made at 20 gwei can pay, and below the cap of a rescue. */
const DEAR = gwei(40n)

const attemptsOf = (engine: Engine) => engine.runtime.journal.attempts()
const nonceOf = async (engine: Engine) =>
  engine.runtime.chain.nonce(engine.agent.account, (await engine.runtime.chain.head()).hash)
const logged = (engine: Engine, message: string) =>
  engine.logger.lines.filter((line) => line.message.startsWith(message))

describe('a rescue that the base fee has outrun', () => {
  it('is replaced by the same for more, and that is mined', async () => {
    const engine = await createEngine(world)
    const { attempt, id } = await engine.act(await engine.moveTo(HUNGRY))
    await engine.follow(await engine.runtime.chain.head())
    expect(await attemptsOf(engine)).toMatchObject([{ status: 'pending' }])
    await engine.pass({ baseFee: DEAR })
    // It has not waited long enough yet.
    expect(await attemptsOf(engine)).toHaveLength(1)
    await engine.pass({ baseFee: DEAR })
    const [first, second] = (await attemptsOf(engine)) as [AttemptRecord, AttemptRecord]
    expect(second).toMatchObject({
      id: `${id}.2`,
      purpose: 'act',
      replaces: attempt.id,
      nonce: attempt.nonce,
      noncesUsed: 2,
      status: 'broadcast',
      expected: attempt.expected,
    })
    expect(second.plan.calls).toEqual(first.plan.calls)
    expect(second.plan.lastValidBlock).toBe(first.plan.lastValidBlock)
    for (const fee of ['maxFeePerGas', 'maxPriorityFeePerGas'] as const)
      expect(second.plan[fee] * 10n).toBeGreaterThanOrEqual(first.plan[fee] * 11n)
    expect(second.reserved).toBeGreaterThan(first.reserved)

    await engine.pass({ baseFee: DEAR })
    expect(await attemptsOf(engine)).toMatchObject([
      { status: 'replaced', blockHash: null },
      { status: 'confirmed' },
    ])
    expect(await engine.runtime.journal.intent(id)).toMatchObject({ status: 'done' })
    expect(await nonceOf(engine)).toBe(attempt.nonce + 2n)
  })

  it('and is mined all the same, before the one for more: that is what counts', async () => {
    const engine = await createEngine(world)
    const { attempt, id } = await engine.act(await engine.moveTo(HUNGRY))
    const lost: string[] = []
    // The replacement is signed, and its bytes get lost on the way.
    const losing = engine.with({
      chain: {
        ...engine.runtime.chain,
        sendRaw: async (raw) => {
          lost.push(raw)
          return `0x${'00'.repeat(32)}`
        },
      },
    })
    await engine.mine({ baseFee: DEAR })
    await engine.pass({ baseFee: DEAR, runtime: losing })
    expect(lost).toHaveLength(1)
    await engine.rpc('anvil_setNextBlockBaseFeePerGas', '0x4a817c800')
    await engine.rpc('eth_sendRawTransaction', attempt.raw)
    await engine.pass()
    expect(await attemptsOf(engine)).toMatchObject([
      { id: attempt.id, status: 'confirmed' },
      { status: 'replaced' },
    ])
    expect(await engine.runtime.journal.intent(id)).toMatchObject({ status: 'done' })
  })

  it('is not replaced past the cap: that is said once, and it is mined when the base fee falls', async () => {
    const engine = await createEngine(world, {
      policy: (policy) => ({
        ...policy,
        lastValidBlocks: 6,
        gas: { ...policy.gas, maxFeePerGas: gwei(45n) },
        riskReducing: {
          ...policy.riskReducing,
          gas: { ...policy.riskReducing.gas, maxFeePerGas: gwei(45n) },
        },
      }),
    })
    const { attempt } = await engine.act(await engine.moveTo(HUNGRY))
    for (let block = 0; block < 3; block += 1) await engine.pass({ baseFee: gwei(60n) })
    // The node dropped it; it is sent again as soon as it is taken.
    await engine.pass()
    expect(await attemptsOf(engine)).toHaveLength(1)
    expect(logged(engine, 'not mined, and the fee cap')).toHaveLength(1)
    await engine.pass()
    expect(await attemptsOf(engine)).toMatchObject([{ id: attempt.id, status: 'confirmed' }])
  })

  it('is not replaced by what the caps on spend, or the owner, do not allow', async () => {
    const engine = await createEngine(world)
    const { attempt } = await engine.act(await engine.moveTo(HUNGRY))
    const { riskReducing } = engine.policy
    const tight = engine.with({
      policyOf: () => ({
        ...engine.policy,
        riskReducing: { ...riskReducing, spend: { ...riskReducing.spend, perTransaction: attempt.reserved } },
      }),
    })
    await engine.mine({ baseFee: DEAR })
    const head = await engine.pass({ baseFee: DEAR, runtime: tight })
    await engine.follow(head, tight)
    expect(logged(engine, 'not mined, and not replaced')).toHaveLength(1)
    const halted = engine.with({
      journal: { ...engine.runtime.journal, tradingState: async () => 'halted' },
    })
    await engine.follow(head, halted)
    expect(await attemptsOf(engine)).toHaveLength(1)
    await engine.follow(head)
    expect(await attemptsOf(engine)).toHaveLength(2)
    await engine.pass({ baseFee: DEAR })
  })
})

describe('a rescue whose last valid block is over', () => {
  it('is cancelled, and the nonce that its authorisation was to use is filled', async () => {
    const engine = await createEngine(world)
    const { attempt, id } = await engine.act(await engine.moveTo(HUNGRY))
    expect(attempt.noncesUsed).toBe(2)
    for (let block = 0; block < 3; block += 1) await engine.pass({ drop: true })
    const cancel = (await attemptsOf(engine)).at(-1) as AttemptRecord
    expect(cancel).toMatchObject({ purpose: 'cancel', intentId: id, nonce: attempt.nonce, noncesUsed: 1 })
    expect(cancel.plan.calls).toEqual([])
    // Both are out: which of them it will be is not known.
    expect((await engine.runtime.journal.intent(id))?.status).toBe('signed')
    await engine.pass()
    const settled = await attemptsOf(engine)
    expect(settled.find(({ purpose }) => purpose === 'cancel')).toMatchObject({ status: 'confirmed' })
    expect(settled.filter(({ purpose }) => purpose === 'act').map(({ status }) => status)).toEqual(
      settled.filter(({ purpose }) => purpose === 'act').map(() => 'replaced'),
    )
    expect(await engine.runtime.journal.intent(id)).toMatchObject({ status: 'expired' })
    const fill = settled.at(-1) as AttemptRecord
    expect(fill).toMatchObject({ purpose: 'fill', intentId: null, nonce: attempt.nonce + 1n })
    await engine.pass()
    expect((await attemptsOf(engine)).at(-1)).toMatchObject({ id: fill.id, status: 'confirmed' })
    expect(await nonceOf(engine)).toBe(attempt.nonce + 2n)
    // And the account is free: the next rescue goes on behind it.
    const next = await engine.act(await engine.moveTo(dollars(1_749)))
    expect(next.outcome).toBe('submitted')
    expect(next.attempt.nonce).toBe(attempt.nonce + 2n)
    await engine.pass()
  })

  it('is cancelled too where the account runs more code than the signer pays for: a revert uses its nonce as well', async () => {
    const engine = await createEngine(world)
    const { attempt } = await engine.act(await engine.moveTo(HUNGRY))
    // Four new slots: some 110,000 gas.
    const code = `0x${[1, 2, 3, 4].map((slot) => `6001600${slot}55`).join('')}00`
    await engine.rpc('anvil_setCode', engine.agent.account, code)
    for (let block = 0; block < 3; block += 1) await engine.pass({ drop: true })
    expect((await attemptsOf(engine)).at(-1)).toMatchObject({ purpose: 'cancel', status: 'broadcast' })
    await engine.pass()
    expect((await attemptsOf(engine)).find(({ purpose }) => purpose === 'cancel')).toMatchObject({
      status: 'failed',
    })
    expect(await nonceOf(engine)).toBe(attempt.nonce + 1n)
  })

  it('a cancel that loses the race: what was mined is followed to its end', async () => {
    const engine = await createEngine(world)
    const { attempt, id } = await engine.act(await engine.moveTo(HUNGRY))
    for (let block = 0; block < 3; block += 1) await engine.pass({ drop: true })
    expect((await attemptsOf(engine)).at(-1)?.purpose).toBe('cancel')
    // The cancel got lost, and the block's builder had kept the rescue.
    await engine.rpc('anvil_dropAllTransactions')
    await engine.rpc('eth_sendRawTransaction', attempt.raw)
    await engine.pass()
    expect((await attemptsOf(engine)).find((one) => one.id === attempt.id)).toMatchObject({
      status: 'failed',
      failure: expect.stringContaining('TooLate'),
    })
    expect((await attemptsOf(engine)).at(-1)).toMatchObject({ purpose: 'cancel', status: 'replaced' })
    expect((await engine.runtime.journal.intent(id))?.status).toBe('reverted')
    expect(await nonceOf(engine)).toBe(attempt.nonce + 2n)
  })
})

describe('the route of a transaction', () => {
  it('is private first, and the public pool after as many blocks as the policy says, never before', async () => {
    const engine = await createEngine(world, {
      policy: (policy) => ({
        ...policy,
        lastValidBlocks: 8,
        replacement: { ...policy.replacement, afterBlocks: 8 },
        submission: { route: 'private', publicAfterBlocks: 3 },
      }),
    })
    const { chain } = engine.runtime
    const routes: string[] = []
    const private_ = engine.with({
      chain: {
        ...chain,
        // A builder that takes everything and mines nothing.
        sendRaw: async (raw, route = 'public') => {
          routes.push(route)
          return route === 'private' ? `0x${'00'.repeat(32)}` : chain.sendRaw(raw, route)
        },
      },
    })
    const { attempt } = await engine.act(await engine.moveTo(HUNGRY), private_)
    for (let block = 0; block < 3; block += 1) await engine.pass({ runtime: private_ })
    expect(routes).toEqual(['private', 'private', 'private', 'public'])
    await engine.pass({ runtime: private_ })
    expect(await attemptsOf(engine)).toMatchObject([{ id: attempt.id, status: 'confirmed' }])
  })
})

describe('a signer that refuses to cancel', () => {
  it('is asked again ever less often, and the account is freed as soon as it agrees', async () => {
    const engine = await createEngine(world)
    const { signer } = engine.runtime
    const { attempt, id } = await engine.act(await engine.moveTo(HUNGRY))
    const refusing = engine.with({
      signer: {
        ...signer,
        sign: () => Promise.reject(new RialtoError('PLAN_REFUSED', 'no allowance is left for gas')),
      },
    })
    for (let block = 0; block < 9; block += 1) await engine.pass({ runtime: refusing, drop: true })
    const refused = (await attemptsOf(engine)).filter(({ status }) => status === 'dropped')
    // One replacement and a few cancels, and not one at every block.
    expect(refused.length).toBeGreaterThan(1)
    expect(refused.length).toBeLessThan(6)
    expect(new Set(refused.map((one) => one.id)).size).toBe(refused.length)
    expect(await engine.runtime.journal.intent(id)).toMatchObject({ status: 'signed' })
    for (let block = 0; block < 7; block += 1) await engine.pass({ drop: block < 5 })
    expect(await engine.runtime.journal.intent(id)).toMatchObject({ status: 'expired' })
    expect(await nonceOf(engine)).toBe(attempt.nonce + 2n)
  })
})
