import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startWorld, type World } from '../../infra/world/world.ts'
import { NoQuorumError } from '../../runtime/core/chainErrors.ts'
import type { AttemptRecord } from '../../runtime/core/journal.ts'
import { memoryJournals } from '../twins/memoryJournal.ts'
import { createEngine, dollars, type Engine } from './engine.fixture.ts'

// Journal, ledger and chain do not always agree: each time there is one way out, and no intent is mined twice.

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const HUNGRY = dollars(1_750)
const attemptsOf = (engine: Engine) => engine.runtime.journal.attempts()
const countOf = async (engine: Engine) =>
  engine.runtime.chain.nonce(engine.agent.account, (await engine.runtime.chain.head()).hash)

describe('a transaction from another wallet', () => {
  it('on a nonce of ours is unknown until it is deep enough, and supersedes then', async () => {
    const engine = await createEngine(world, { policy: (policy) => ({ ...policy, confirmations: 3 }) })
    const { attempt, id } = await engine.act(await engine.moveTo(HUNGRY))
    const foreign = await engine.sendOutside(attempt.nonce)
    const mined = await engine.pass()
    const { journal } = engine.runtime
    for (let depth = 1; depth < 3; depth += 1) {
      expect(await journal.inFlight()).toMatchObject([{ id: attempt.id, status: 'unknown' }])
      expect((await journal.intent(id))?.status).toBe('signed')
      // It keeps its nonces and its budget: nothing is put anywhere.
      expect((await journal.history(engine.agent.id, engine.agent.account, 0n)).spent).toBe(attempt.reserved)
      expect(await attemptsOf(engine)).toHaveLength(1)
      await engine.pass()
    }
    expect((await attemptsOf(engine))[0]).toMatchObject({
      status: 'replaced',
      blockHash: mined.hash,
      failure: expect.stringContaining(foreign),
    })
    expect((await journal.intent(id))?.status).toBe('expired')
    expect((await attemptsOf(engine))[1]).toMatchObject({ purpose: 'fill', nonce: attempt.nonce + 1n })
    for (let block = 0; block < 3; block += 1) await engine.pass()
    expect(await journal.inFlight()).toEqual([])
    expect(await countOf(engine)).toBe(attempt.nonce + 2n)
  })

  it('on a nonce that nobody here held is told of once, and the next rescue goes on behind it', async () => {
    const engine = await createEngine(world)
    const first = await engine.act(await engine.moveTo(HUNGRY))
    await engine.pass()
    const foreign = await engine.sendOutside(first.attempt.nonce + 2n)
    await engine.pass()
    await engine.pass()
    const lines = engine.logger.lines.filter(({ message }) => message.includes('Rialto did not make'))
    expect(lines).toMatchObject([{ fields: { hash: foreign, nonce: String(first.attempt.nonce + 2n) } }])
    const next = await engine.act(await engine.moveTo(dollars(1_450)))
    expect(next).toMatchObject({ outcome: 'submitted', attempt: { nonce: first.attempt.nonce + 3n } })
    await engine.pass()
  })
})

describe('a journal that a power cut threw back', () => {
  /** The same engine with a journal that remembers nothing, and the signer's old ledger. */
  const thrownBack = async (engine: Engine) =>
    engine.with({ journal: await memoryJournals().open(world.chainId, world.genesisHash) })

  it('takes up what was mined meanwhile, and decides no second time', async () => {
    const engine = await createEngine(world)
    const head = await engine.moveTo(HUNGRY)
    const { attempt, id } = await engine.act(head)
    await engine.mine()
    const restarted = await thrownBack(engine)
    // The job of the same block is delivered once more.
    const again = await engine.act(head, restarted)
    expect(again.id).toBe(id)
    expect(again.outcome).toBe('done')
    expect((await restarted.journal.intent(id))?.status).toMatch(/signed|expired/)
    await engine.pass({ runtime: restarted })
    expect(await restarted.journal.attempts()).toMatchObject([
      { id: attempt.id, status: 'confirmed', raw: attempt.raw },
    ])
    expect(await restarted.journal.inFlight()).toEqual([])
    expect(await countOf(engine)).toBe(attempt.nonce + 2n)
    expect(engine.history.signedFrom(engine.agent.account, 0n)).toHaveLength(1)
  })

  it('takes up a replacement that was never sent, and sends it', async () => {
    const engine = await createEngine(world)
    const { attempt } = await engine.act(await engine.moveTo(HUNGRY))
    const dying = engine.with({
      chain: { ...engine.runtime.chain, sendRaw: () => new Promise<never>(() => {}) },
    })
    await engine.rpc('anvil_dropAllTransactions')
    await engine.mine()
    await engine.rpc('anvil_dropAllTransactions')
    const head = await engine.mine()
    void engine.follow(head, dying)
    await expect
      .poll(() => engine.history.signedFrom(engine.agent.account, 0n).length, { interval: 20 })
      .toBe(2)
    const restarted = await thrownBack(engine)
    await engine.follow(head, restarted)
    const adopted = (await restarted.journal.attempts()) as readonly AttemptRecord[]
    expect(adopted.map(({ nonce }) => nonce)).toEqual([attempt.nonce, attempt.nonce])
    expect(adopted.every(({ status }) => status !== 'prepared')).toBe(true)
    await engine.pass({ runtime: restarted })
    const settled = await restarted.journal.attempts()
    expect(settled.filter(({ status }) => status === 'confirmed')).toHaveLength(1)
    expect(settled.filter(({ status }) => status === 'replaced')).toHaveLength(1)
    expect(await countOf(engine)).toBe(attempt.nonce + 2n)
  })
})

describe('what was taken up from the ledger and is not mined in time', () => {
  it('is filled over, and so is the nonce of its authorisation: the account is free again', async () => {
    const engine = await createEngine(world)
    const { attempt } = await engine.act(await engine.moveTo(HUNGRY))
    const journal = await memoryJournals().open(world.chainId, world.genesisHash)
    const restarted = engine.with({ journal })
    for (let block = 0; block < 3; block += 1) await engine.pass({ runtime: restarted, drop: true })
    const [adopted, fill] = await journal.attempts()
    // The most that a policy lets one transaction cost is held back for what nobody knows the cost of.
    expect(adopted).toMatchObject({
      purpose: 'adopted',
      reserved: engine.policy.riskReducing.spend.perTransaction,
    })
    expect(fill).toMatchObject({ purpose: 'fill', replaces: adopted?.id, nonce: attempt.nonce })
    await engine.pass({ runtime: restarted })
    await engine.pass({ runtime: restarted })
    expect(await journal.attempts()).toMatchObject([
      { status: 'replaced' },
      { status: 'confirmed' },
      { purpose: 'fill', nonce: attempt.nonce + 1n, status: 'confirmed' },
    ])
    const next = await engine.act(await engine.moveTo(dollars(1_749)), restarted)
    expect(next).toMatchObject({ outcome: 'submitted', attempt: { nonce: attempt.nonce + 2n } })
    await engine.pass({ runtime: restarted })
  })
})

describe('how deep is deep enough', () => {
  it('is what the chain calls final, where the policy waits for that', async () => {
    const engine = await createEngine(world, {
      policy: (policy) => ({ ...policy, confirmations: 'finalized' }),
    })
    const { chain } = engine.runtime
    const { attempt } = await engine.act(await engine.moveTo(HUNGRY))
    let final = 0n
    const slow = engine.with({ chain: { ...chain, finalized: () => chain.block(final) } })
    const mined = await engine.pass({ runtime: slow })
    await engine.pass({ runtime: slow })
    expect(await attemptsOf(engine)).toMatchObject([{ id: attempt.id, status: 'mined' }])
    final = mined.number
    await engine.follow(mined, slow)
    expect(await attemptsOf(engine)).toMatchObject([{ status: 'confirmed', blockHash: mined.hash }])
  })

  it('is never known on a chain without finality, where the policy waits for that: it says so', async () => {
    const engine = await createEngine(world, {
      policy: (policy) => ({ ...policy, confirmations: 'finalized' }),
    })
    await engine.act(await engine.moveTo(HUNGRY))
    const endless = engine.with({ chain: { ...engine.runtime.chain, finalized: async () => null } })
    await expect(engine.pass({ runtime: endless })).rejects.toMatchObject({ code: 'FINALITY_MISSING' })
    expect(await attemptsOf(engine)).toMatchObject([{ status: 'mined' }])
  })

  it('lets a rescue go on behind one that is mined, and no ordinary intent', async () => {
    const engine = await createEngine(world, { policy: (policy) => ({ ...policy, confirmations: 50 }) })
    const first = await engine.act(await engine.moveTo(HUNGRY))
    await engine.pass()
    const head = await engine.moveTo(dollars(1_450))
    await engine.follow(head)
    expect(await attemptsOf(engine)).toMatchObject([{ status: 'mined' }])
    const next = await engine.act(head)
    expect(next).toMatchObject({ outcome: 'submitted', attempt: { nonce: first.attempt.nonce + 2n } })
    await engine.pass()
    expect(await attemptsOf(engine)).toMatchObject([{ status: 'mined' }, { status: 'mined' }])
  })
})

describe('nodes that do not agree', () => {
  it('contradict themselves about a block: nobody knows, until they make sense again', async () => {
    const engine = await createEngine(world, { policy: (policy) => ({ ...policy, confirmations: 2 }) })
    const { attempt } = await engine.act(await engine.moveTo(HUNGRY))
    await engine.pass()
    expect(await attemptsOf(engine)).toMatchObject([{ status: 'mined' }])
    const blind = engine.with({ chain: { ...engine.runtime.chain, receipt: async () => null } })
    await engine.follow(await engine.runtime.chain.head(), blind)
    expect(await attemptsOf(engine)).toMatchObject([
      {
        status: 'unknown',
        failure: expect.stringContaining('is on the chain, and the receipt of it is not'),
      },
    ])
    // Not even at enough confirmations: what used the nonce is ours.
    await engine.pass({ runtime: blind })
    await engine.pass({ runtime: blind })
    expect(await attemptsOf(engine)).toMatchObject([{ id: attempt.id, status: 'unknown' }])
    await engine.pass()
    expect(await attemptsOf(engine)).toMatchObject([{ id: attempt.id, status: 'confirmed' }])
  })

  it('move nothing', async () => {
    const engine = await createEngine(world)
    const { attempt } = await engine.act(await engine.moveTo(HUNGRY))
    const divided = engine.with({
      chain: {
        ...engine.runtime.chain,
        receipt: () =>
          Promise.reject(new NoQuorumError('eth_getTransactionReceipt', 2, ['a: none', 'b: one'])),
      },
    })
    await expect(engine.pass({ runtime: divided })).rejects.toThrow(NoQuorumError)
    expect(await attemptsOf(engine)).toMatchObject([{ id: attempt.id, status: 'broadcast' }])
    await engine.follow(await engine.runtime.chain.head())
    expect(await attemptsOf(engine)).toMatchObject([{ status: 'confirmed' }])
  })
})
