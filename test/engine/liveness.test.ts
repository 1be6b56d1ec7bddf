import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startWorld, type World } from '../../infra/world/world.ts'
import { BlockGoneError, RpcUnreachableError } from '../../runtime/core/chainErrors.ts'
import { RialtoError } from '../../runtime/core/errors.ts'
import { type IntentId, intentId } from '../../runtime/core/ids.ts'
import type { AttemptRecord } from '../../runtime/core/journal.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { wei } from '../../runtime/core/units.ts'
import { decide, execute } from '../../runtime/pipeline.ts'
import { NonceGapError, PlanStaleError } from '../../runtime/stages/errors.ts'
import type { Runtime } from '../../runtime/stages/runtime.ts'
import { memoryJournals } from '../twins/memoryJournal.ts'
import { createEngine, dollars, type Engine, settle } from './engine.fixture.ts'

// Nothing that goes wrong with one attempt may keep the account from being rescued for good.

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const HUNGRY = dollars(1_750)
const HUNGRIER = dollars(1_450)

async function act(engine: Engine, head: BlockRef, runtime: Runtime = engine.runtime) {
  const run = await decide(runtime, engine.agent, head)
  const id = intentId(run.id)
  const outcome = await execute(runtime, engine.agent, id, head)
  const attempt = (await runtime.journal.inFlight()).at(-1) as AttemptRecord
  return { id, outcome, attempt }
}

const denialOf = async (runtime: Runtime, id: ReturnType<typeof intentId>) =>
  (await runtime.journal.intent(id))?.verdicts.at(-1)?.findings.find(({ allowed }) => !allowed)?.code

const refusal = new RialtoError('PLAN_REFUSED', 'the signer refuses the plan')
const death = new RialtoError('SIGNER_GONE', 'the signer died', { retryable: true })

/** An engine whose signer dies before it signs: it leaves a prepared attempt. */
async function prepared(engine: Engine): Promise<AttemptRecord> {
  const { signer } = engine.runtime
  const dying = engine.with({ signer: { ...signer, sign: () => Promise.reject(death) } })
  await expect(act(engine, await engine.moveTo(HUNGRY), dying)).rejects.toBe(death)
  const [attempt] = await engine.runtime.journal.inFlight()
  expect(attempt).toMatchObject({ status: 'prepared' })
  return attempt as AttemptRecord
}

describe('a signer that refuses', () => {
  it('frees the account at once, and the next block rescues it', async () => {
    const engine = await createEngine(world)
    const { runtime } = engine
    const refusing = engine.with({
      signer: { ...runtime.signer, sign: () => Promise.reject(refusal) },
    })
    const first = await act(engine, await engine.moveTo(HUNGRY), refusing)
    expect(first.outcome).toBe('refused')
    expect(await runtime.journal.inFlight()).toEqual([])
    expect(await runtime.journal.attempts()).toMatchObject([
      { status: 'dropped', raw: null, failure: expect.stringContaining('the signer refuses the plan') },
    ])
    const next = await act(engine, await engine.mine())
    expect(next.outcome).toBe('submitted')
    await settle(runtime, engine.agent, next.attempt, await engine.mine())
  })

  it('and has signed all the same: what it signed is followed, and nothing is dropped', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const lying = engine.with({
      signer: {
        ...runtime.signer,
        sign: async (request) => {
          await runtime.signer.sign(request)
          throw refusal
        },
      },
    })
    const { outcome, attempt } = await act(engine, await engine.moveTo(HUNGRY), lying)
    expect(outcome).toBe('submitted')
    expect(await settle(runtime, agent, attempt, await engine.mine())).toMatchObject({ status: 'confirmed' })
  })

  it('and cannot say that nothing was signed: the attempt keeps its nonce', async () => {
    const engine = await createEngine(world)
    const { runtime } = engine
    const full = new RialtoError('LEDGER_UNWRITABLE', 'the disk is full')
    const broken = engine.with({
      signer: {
        ...runtime.signer,
        sign: () => Promise.reject(refusal),
        abandon: () => Promise.reject(full),
      },
    })
    await expect(act(engine, await engine.moveTo(HUNGRY), broken)).rejects.toBe(full)
    expect(await runtime.journal.inFlight()).toMatchObject([{ status: 'prepared' }])
  })

  it('because the journal lost what was signed: the forgotten bytes are taken up, and rescues go on', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const unsent = engine.with({
      chain: { ...runtime.chain, sendRaw: () => Promise.reject(new BlockGoneError(0n, 'localhost')) },
    })
    const { attempt: lost } = await act(engine, await engine.moveTo(HUNGRY), unsent)
    expect(lost.status).toBe('unknown')
    // A power cut: the embedded database comes back without its last moments, the signer's ledger with them.
    const journal = await memoryJournals().open(world.chainId, world.genesisHash)
    const restarted = engine.with({ journal })
    expect((await act(engine, await engine.mine(), restarted)).outcome).toBe('denied')
    const [adopted] = await journal.inFlight()
    expect(adopted).toMatchObject({ id: lost.id, raw: lost.raw, status: 'broadcast', purpose: 'adopted' })
    expect(await settle(restarted, agent, adopted as AttemptRecord, await engine.mine())).toMatchObject({
      status: 'confirmed',
    })
    const { outcome, attempt } = await act(engine, await engine.moveTo(HUNGRIER), restarted)
    expect(outcome).toBe('submitted')
    expect(attempt.nonce).toBe(lost.nonce + 2n)
    expect(await settle(restarted, agent, attempt, await engine.mine())).toMatchObject({
      status: 'confirmed',
    })
  })
})

describe('a prepared attempt that is taken up', () => {
  it('is not signed any more when its owner has halted the agent since', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const attempt = await prepared(engine)
    const halted = engine.with({ journal: { ...runtime.journal, tradingState: async () => 'halted' } })
    expect(await settle(halted, agent, attempt, await runtime.chain.head())).toMatchObject({
      status: 'dropped',
      failure: expect.stringContaining('halted'),
    })
    expect(await runtime.signer.lookup(agent.account, attempt.id)).toBeNull()
  })

  it('is signed when the agent may only reduce risk, which it does', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const attempt = await prepared(engine)
    await runtime.journal.freeze(agent.id, 'test')
    expect(await settle(runtime, agent, attempt, await runtime.chain.head())).toBeNull()
    expect(await runtime.journal.inFlight()).toMatchObject([{ status: 'broadcast' }])
  })

  it('is not signed when another transaction used its nonce, or the policy changed', async () => {
    const engine = await createEngine(world)
    const { runtime, agent, policy } = engine
    const attempt = await prepared(engine)
    const nonce = async () => attempt.nonce + 1n
    const overtaken = engine.with({ chain: { ...runtime.chain, nonce } })
    expect(await settle(overtaken, agent, attempt, await runtime.chain.head())).toMatchObject({
      status: 'dropped',
      failure: expect.stringContaining(`nonce ${attempt.nonce} was used`),
    })
    const other = await createEngine(world)
    const again = await prepared(other)
    const changed = other.with({ policyOf: () => ({ ...policy, version: 'another' }) })
    expect(await settle(changed, other.agent, again, await runtime.chain.head())).toMatchObject({
      status: 'dropped',
      failure: expect.stringContaining('the policy changed'),
    })
  })

  it('is never signed once it was dropped, by whoever was late', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const attempt = await prepared(engine)
    for (let block = 0; block < 3; block += 1) await engine.mine()
    await settle(runtime, agent, attempt, await runtime.chain.head())
    const { id, plan, planHash, nonce } = attempt
    await expect(
      runtime.signer.sign({ attemptId: id, plan, planHash, nonce, fence: 99n }),
    ).rejects.toMatchObject({ code: 'ATTEMPT_ABANDONED' })
  })
})

describe('a job that is delivered again after it was cut off', () => {
  it('by the death of the signer goes on at once, in the same block', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const attempt = await prepared(engine)
    expect(await execute(runtime, agent, attempt.intentId as IntentId, await runtime.chain.head())).toBe(
      'done',
    )
    expect(await runtime.journal.inFlight()).toMatchObject([{ id: attempt.id, status: 'broadcast' }])
    await engine.mine()
  })

  it('by a node that was away for a moment sends the same bytes, once more', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const away = engine.with({
      chain: {
        ...runtime.chain,
        sendRaw: () => Promise.reject(new RpcUnreachableError('eth_sendRawTransaction', 'localhost', 'away')),
      },
    })
    const head = await engine.moveTo(HUNGRY)
    await expect(act(engine, head, away)).rejects.toThrow(RpcUnreachableError)
    const [signed] = await runtime.journal.inFlight()
    expect(await execute(runtime, agent, signed?.intentId as never, head)).toBe('done')
    expect(await runtime.journal.inFlight()).toMatchObject([{ raw: signed?.raw, status: 'broadcast' }])
    await engine.mine()
  })
})

describe('an outcome that nobody knows', () => {
  it('holds up a rescue only as long as something can come of it', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const first = await act(engine, await engine.moveTo(HUNGRY))
    // A node that never tells of the receipt: as if another transaction had used the nonce.
    const blind = engine.with({ chain: { ...runtime.chain, receipt: async () => null } })
    await settle(blind, agent, first.attempt, await engine.mine())
    expect(await runtime.journal.inFlight()).toMatchObject([{ status: 'unknown' }])
    const early = await act(engine, await engine.moveTo(HUNGRIER), blind)
    expect(early.outcome).toBe('denied')
    expect(await denialOf(runtime, early.id)).toBe('ATTEMPT_IN_FLIGHT')
    await engine.mine()
    const late = await act(engine, await engine.mine(), blind)
    expect(late.outcome).toBe('submitted')
    expect(late.attempt.nonce).toBe(first.attempt.nonce + 2n)
    // It keeps its budget all the same.
    const { reserved } = first.attempt
    expect((await runtime.journal.history(agent.id, agent.account, 0n)).spent).toBeGreaterThan(reserved)
    for (const attempt of await runtime.journal.inFlight())
      await settle(runtime, agent, attempt, await engine.mine())
  })

  it('whose second nonce nobody can use any more puts nothing behind the gap', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const { attempt } = await act(engine, await engine.moveTo(HUNGRY))
    expect(attempt.noncesUsed).toBe(2)
    // Another wallet used the first of its two nonces.
    const nonce = async () => attempt.nonce + 1n
    const taken = engine.with({ chain: { ...runtime.chain, receipt: async () => null, nonce } })
    await settle(taken, agent, attempt, await engine.mine())
    for (let block = 0; block < 3; block += 1) await engine.mine()
    await expect(act(engine, await engine.moveTo(HUNGRIER), taken)).rejects.toThrow(NonceGapError)
    expect(await runtime.journal.attempts()).toHaveLength(1)
    // It waits, and goes on as soon as the gap is closed.
    const [waiting] = await runtime.journal.openIntents()
    const blind = engine.with({ chain: { ...runtime.chain, receipt: async () => null } })
    expect(await execute(blind, agent, waiting?.id as never, await runtime.chain.head())).toBe('submitted')
    await engine.mine()
  })

  it('counts with all that was held back when the chain has pruned its state meanwhile', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const { attempt, id } = await act(engine, await engine.moveTo(HUNGRY))
    const mined = await engine.mine()
    const pruned = engine.with({
      chain: { ...runtime.chain, read: (_calls, at) => Promise.reject(new BlockGoneError(at, 'localhost')) },
    })
    const later = (blocks: bigint): BlockRef => ({ ...mined, number: mined.number + blocks })
    // A node that is only behind: asked again at the next head.
    await expect(settle(pruned, agent, attempt, later(1n))).rejects.toThrow(BlockGoneError)
    expect(await settle(pruned, agent, attempt, later(100n))).toMatchObject({
      status: 'confirmed',
      actual: null,
      spent: attempt.reserved,
      blockHash: mined.hash,
    })
    expect((await runtime.journal.intent(id))?.status).toBe('deviated')
    expect(await runtime.journal.tradingState(agent.id, agent.account)).toBe('reducing')
    expect((await act(engine, await engine.moveTo(HUNGRIER))).outcome).toBe('submitted')
    await engine.mine()
  })
})

describe('a chain that changes its mind', () => {
  it('a receipt whose block is not on the chain any more settles nothing', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const { attempt } = await act(engine, await engine.moveTo(HUNGRY))
    const head = await engine.mine()
    const forked = engine.with({
      chain: { ...runtime.chain, block: async () => ({ ...head, hash: `0x${'ee'.repeat(32)}` }) },
    })
    expect(await settle(forked, agent, attempt, head)).toBeNull()
    expect(await runtime.journal.inFlight()).toHaveLength(1)
    expect(await settle(runtime, agent, attempt, head)).toMatchObject({ status: 'confirmed' })
  })

  it('a plan that was simulated on a block of another fork is not signed', async () => {
    const engine = await createEngine(world)
    const { runtime } = engine
    const head = await engine.moveTo(HUNGRY)
    const sibling = async (): Promise<BlockRef> => ({ ...head, hash: `0x${'ee'.repeat(32)}` })
    const forked = engine.with({ chain: { ...runtime.chain, head: sibling } })
    await expect(act(engine, head, forked)).rejects.toThrow(PlanStaleError)
    expect(await runtime.journal.attempts()).toEqual([])
  })
})

describe('its owner and its neighbours', () => {
  it('an order to halt that comes while it is simulated is heard', async () => {
    const engine = await createEngine(world)
    const { runtime } = engine
    let state: 'active' | 'halted' = 'active'
    const interrupted = engine.with({
      chain: {
        ...runtime.chain,
        simulate: async (request) => {
          state = 'halted'
          return runtime.chain.simulate(request)
        },
      },
      journal: { ...runtime.journal, tradingState: async () => state },
    })
    const { outcome, id } = await act(engine, await engine.moveTo(HUNGRY), interrupted)
    expect(outcome).toBe('denied')
    expect(await denialOf(runtime, id)).toBe('TRADING_HALTED')
  })

  it('gives the lease back, so that another process can act for the account at once', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    await act(engine, await engine.moveTo(HUNGRY))
    expect(await runtime.journal.acquireLease(agent.account, 'another process', 30)).not.toBeNull()
    await engine.mine()
  })
})

describe('a base fee that has risen far', () => {
  it('keeps no rescue from being signed that the policy’s cap for rescues still pays for', async () => {
    const engine = await createEngine(world)
    const { gas } = engine.policy.riskReducing
    const baseFee = wei((gas.maxFeePerGas * 9n) / 10n)
    const { outcome, attempt } = await act(engine, await engine.moveTo(HUNGRY, { baseFee }))
    expect(outcome).toBe('submitted')
    expect(attempt.plan.maxFeePerGas).toBe(gas.maxFeePerGas)
    const settled = await settle(engine.runtime, engine.agent, attempt, await engine.mine({ baseFee }))
    expect(settled).toMatchObject({ status: 'confirmed' })
  })
})
