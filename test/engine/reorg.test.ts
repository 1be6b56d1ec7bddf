import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startWorld, type World } from '../../infra/world/world.ts'
import type { AttemptRecord } from '../../runtime/core/journal.ts'
import { createEngine, dollars, type Engine } from './engine.fixture.ts'

// A chain that changes its mind takes back what was settled by it, and the journal follows.

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const HUNGRY = dollars(1_750)

/** An engine whose rescue is settled, in the block that is `depth` blocks deep. */
async function settledAt(depth: number): Promise<{ engine: Engine; attempt: AttemptRecord }> {
  const engine = await createEngine(world)
  const { attempt } = await engine.act(await engine.moveTo(HUNGRY))
  for (let block = 0; block < depth; block += 1) await engine.pass()
  expect(await attemptOf(engine, attempt)).toMatchObject({ status: 'confirmed' })
  return { engine, attempt }
}

const attemptOf = async (engine: Engine, { id }: AttemptRecord) =>
  (await engine.runtime.journal.attempts()).find((attempt) => attempt.id === id)
const intentOf = async (engine: Engine, { intentId }: AttemptRecord) =>
  intentId === null ? null : engine.runtime.journal.intent(intentId)
const countOf = async (engine: Engine) =>
  engine.runtime.chain.nonce(engine.agent.account, (await engine.runtime.chain.head()).hash)

/** Takes back the last blocks. What was in them is in no pool any more. */
async function takeBack(engine: Engine, depth: number) {
  await engine.rpc('anvil_rollback', depth)
  return engine.runtime.chain.head()
}

describe.each([1, 2, 3, 5, 8])('a reorganisation of depth %i', (depth) => {
  it('takes the settlement back, and the very same bytes are sent and mined again', async () => {
    const { engine, attempt } = await settledAt(depth)
    const before = await attemptOf(engine, attempt)
    const head = await takeBack(engine, depth)
    await engine.follow(head)
    expect(await attemptOf(engine, attempt)).toMatchObject({
      status: 'pending',
      raw: attempt.raw,
      blockHash: null,
      spent: null,
    })
    expect((await intentOf(engine, attempt))?.status).toBe('signed')
    // What it may cost is held back again.
    const { journal } = engine.runtime
    expect((await journal.history(engine.agent.id, engine.agent.account, 0n)).spent).toBe(attempt.reserved)

    await engine.pass()
    const after = await attemptOf(engine, attempt)
    expect(after).toMatchObject({ status: 'confirmed', raw: attempt.raw })
    expect(after?.blockNumber).toBe(before?.blockNumber)
    expect((await intentOf(engine, attempt))?.status).toBe('done')
    expect(await journal.attempts()).toHaveLength(1)
    expect(await journal.steps(attempt.id)).toContainEqual({ from: 'confirmed', to: 'reorged' })
  })

  it('what succeeded in the old blocks fails in the new ones, and that is what the agent sees', async () => {
    const { engine, attempt } = await settledAt(depth)
    const head = await takeBack(engine, depth)
    await engine.follow(head)
    // The pool falls first this time, by more than the rescue may slip.
    await engine.actors.pushPrice(dollars(1_600))
    await engine.actors.arbitrageTo(dollars(1_600))
    await engine.pass()
    expect(await attemptOf(engine, attempt)).toMatchObject({
      status: 'failed',
      failure: expect.stringContaining('TooMuchCollateral'),
    })
    expect((await intentOf(engine, attempt))?.status).toBe('reverted')
  })

  it('another transaction is mined on the nonce: the intent is over, and has no second nonce', async () => {
    const { engine, attempt } = await settledAt(depth)
    await takeBack(engine, depth)
    const foreign = await engine.sendOutside(attempt.nonce)
    const head = await engine.pass()
    expect(await attemptOf(engine, attempt)).toMatchObject({
      status: 'replaced',
      blockHash: head.hash,
      failure: expect.stringContaining(foreign),
    })
    expect((await intentOf(engine, attempt))?.status).toBe('expired')
    // The nonce of its authorisation is filled, before anything else is put there.
    await engine.pass()
    expect(await countOf(engine)).toBe(attempt.nonce + 2n)
    const { journal } = engine.runtime
    expect(await journal.inFlight()).toEqual([])
    const next = await engine.act(await engine.moveTo(dollars(1_749)))
    expect(next).toMatchObject({ outcome: 'submitted', attempt: { nonce: attempt.nonce + 2n } })
    await engine.pass()
  })
})

it('takes back what something outside replaced, when that is gone again', async () => {
  const engine = await createEngine(world)
  const { attempt } = await engine.act(await engine.moveTo(HUNGRY))
  await engine.sendOutside(attempt.nonce)
  await engine.pass()
  expect(await attemptOf(engine, attempt)).toMatchObject({ status: 'replaced' })
  const head = await takeBack(engine, 1)
  await engine.rpc('anvil_dropAllTransactions')
  await engine.follow(head)
  expect(await attemptOf(engine, attempt)).toMatchObject({ status: 'pending' })
  await engine.pass()
  expect(await attemptOf(engine, attempt)).toMatchObject({ status: 'confirmed' })
  expect((await intentOf(engine, attempt))?.status).toBe('done')
})

it('a transaction that moves to another block is followed there', async () => {
  const engine = await createEngine(world, { policy: (policy) => ({ ...policy, confirmations: 3 }) })
  const { attempt } = await engine.act(await engine.moveTo(HUNGRY))
  const first = await engine.pass()
  expect(await attemptOf(engine, attempt)).toMatchObject({ status: 'mined', blockHash: first.hash })
  await takeBack(engine, 1)
  await engine.rpc('eth_sendRawTransaction', attempt.raw)
  await engine.actors.pushPrice(dollars(1_751))
  const second = await engine.pass()
  expect(second.hash).not.toBe(first.hash)
  expect(await attemptOf(engine, attempt)).toMatchObject({ status: 'mined', blockHash: second.hash })
  await engine.pass()
  await engine.pass()
  expect(await attemptOf(engine, attempt)).toMatchObject({ status: 'confirmed', blockHash: second.hash })
})
