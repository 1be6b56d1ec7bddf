import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startWorld, type World } from '../../infra/world/world.ts'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { AttemptStatus } from '../../runtime/core/attempts.ts'
import { RialtoError } from '../../runtime/core/errors.ts'
import type { RolesRoute } from '../../runtime/core/lifecycle.ts'
import type { Chain } from '../../runtime/core/ports.ts'
import { wei } from '../../runtime/core/units.ts'
import { guardContext } from '../../runtime/stages/guard.ts'
import { observe } from '../../runtime/stages/observe.ts'
import type { Runtime } from '../../runtime/stages/runtime.ts'
import { createEngine, dollars, gwei } from './engine.fixture.ts'
import { protectorOf } from './protector.fixture.ts'

// Engine and protector sign for one account, and neither knows when the other does.

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const HUNGRY = dollars(1_750)
/** Under the hard floor, and above liquidation. */
const FLOOR = dollars(1_580)
/** Under the hard floor, after one rescue. */
const UNDER = dollars(1_280)

/** A route of somebody else's nonces: what is asked of it here is only who that is. */
const memberOf = ({ multicall3 }: AddressBook): RolesRoute => ({
  kind: 'roles',
  modifier: multicall3,
  multiSend: multicall3,
  roleKey: `0x${'00'.repeat(32)}`,
  sender: multicall3,
})

describe('a rescue that the protector signs while the engine follows its account', () => {
  it('is no gap to be filled: nothing outbids it', async () => {
    const engine = await createEngine(world, { policy: (policy) => ({ ...policy, confirmations: 6 }) })
    const { runtime, agent } = engine
    await engine.act(await engine.moveTo(HUNGRY))
    await engine.pass()
    expect(await runtime.journal.inFlight()).toMatchObject([{ status: 'mined' }])

    const head = await engine.moveTo(UNDER)
    const protector = protectorOf(engine)
    let protection: Awaited<ReturnType<typeof protector.atHead>> | null = null
    // In the middle of following what is in flight, when the ledger has been taken up already.
    const chain: Chain = {
      ...runtime.chain,
      async receipt(hash) {
        protection ??= await protector.atHead(head)
        return runtime.chain.receipt(hash)
      },
    }
    await engine.follow(head, engine.with({ chain }))
    expect(protection).toMatchObject({ kind: 'acted' })
    const signed = await runtime.signer.signedFrom(agent.account, 0n)
    expect(signed.map(({ fence }) => fence === 'protector')).toEqual([false, true])

    await engine.pass()
    expect(await runtime.journal.attempts()).toMatchObject([
      { status: 'mined' },
      { purpose: 'adopted', status: 'mined' },
    ])
  })
})

describe('rescues of two accounts on one head', () => {
  it('are both taken up, and neither is filled over', async () => {
    const first = await createEngine(world)
    const { journal } = first.runtime
    const second = await createEngine(world, { journal })
    const engines = [first, second]
    const head = await first.moveTo(FLOOR)
    const lost = async () => `0x${'00'.repeat(32)}` as const
    for (const engine of engines) {
      const protector = protectorOf(engine, { chain: { ...engine.runtime.chain, sendRaw: lost } })
      expect(await protector.atHead(head)).toMatchObject({ kind: 'acted' })
    }
    // Were the two under one id, by whatever mischief, the second could not be taken up; it would not be filled either.
    const [taken] = await first.runtime.signer.signedFrom(first.agent.account, 0n)
    const { signer } = second.runtime
    const mixed = second.with({
      signer: {
        ...signer,
        signedFrom: async (account, nonce) =>
          (await signer.signedFrom(account, nonce)).map((one) => ({
            ...one,
            attemptId: taken?.attemptId ?? expect.unreachable(),
          })),
      },
    })
    await first.follow(head)
    await second.follow(head, mixed)
    expect(await journal.attempts()).toMatchObject([{ account: first.agent.account }])
    expect(second.logger.lines.map(({ message }) => message).join()).toContain('another account')

    await second.follow(head)
    expect(await journal.attempts()).toMatchObject(
      engines.map(({ agent: { account } }) => ({ account, purpose: 'adopted' })),
    )
    for (const { agent, runtime } of engines)
      expect(await runtime.signer.signedFrom(agent.account, 0n)).toMatchObject([{ fence: 'protector' }])
    const next = await first.mine()
    for (const engine of engines) await engine.follow(next)
    expect(await journal.attempts()).toMatchObject([{ status: 'confirmed' }, { status: 'confirmed' }])
  })
})

describe('a rescue that a protector sent by a key of its own', () => {
  it('is followed, and sent again while it can be mined; nothing is signed on its nonce from here', async () => {
    const engine = await createEngine(world)
    const { agent, rpc, runtime: plain } = engine
    const { signer, chain } = plain
    // The one key of this engine stands for it.
    const runtime = { ...plain, protectorOf: () => agent.account }
    const lost = async () => `0x${'00'.repeat(32)}` as const
    const protector = protectorOf(engine, { chain: { ...chain, sendRaw: lost } })
    const { hash } = await protector.atHead(await engine.moveTo(FLOOR))
    if (hash === null) return expect.unreachable()

    await engine.follow(await chain.head(), runtime)
    expect(await runtime.journal.inFlight()).toMatchObject([{ purpose: 'adopted', hash }])
    expect(await chain.transaction(hash)).toMatchObject({ block: null })
    // Blocks that are too dear for it, until it is too late for it.
    const dear = gwei(2_000n)
    for (let block = 0; block < 4; block += 1) await engine.pass({ runtime, baseFee: dear, drop: true })
    await rpc('anvil_dropAllTransactions')
    await engine.follow(await chain.head(), runtime)
    expect(await chain.transaction(hash)).toBeNull()
    expect(await signer.signedFrom(agent.account, 0n)).toMatchObject([{ hash, fence: 'protector' }])
    expect(await runtime.journal.attempts()).toHaveLength(1)
  })

  it('holds up whoever acts for the account while it can be carried out, and no longer', async () => {
    const engine = await createEngine(world)
    const { agent, policy } = engine
    const { chain, journal, book } = engine.runtime
    const runtime: Runtime = {
      ...engine.runtime,
      protectorOf: () => agent.account,
      routeOf: () => memberOf(book),
    }
    const lost = async () => `0x${'00'.repeat(32)}` as const
    const head = await engine.moveTo(FLOOR)
    await protectorOf(engine, { chain: { ...chain, sendRaw: lost } }).atHead(head)
    await engine.follow(head, { ...runtime, chain: { ...chain, sendRaw: lost } })
    const [rescue] = await journal.inFlight()
    if (rescue === undefined) return expect.unreachable()
    /** How many an ordinary action waits for, with the rescue as it is, or in a block. */
    const waitsFor = async (status: AttemptStatus, by = runtime) => {
      const inFlight = async () => [{ ...rescue, status }]
      const snapshot = await observe(by, agent, await chain.head())
      const { history } = await guardContext(
        { ...by, journal: { ...journal, inFlight } },
        agent,
        policy,
        snapshot,
      )
      return history.inFlight
    }
    while ((await chain.head()).number < rescue.plan.lastValidBlock) {
      expect(await waitsFor(rescue.status)).toBe(1)
      await engine.mine()
    }
    expect(await waitsFor(rescue.status)).toBe(0)
    expect(await waitsFor('mined')).toBe(1)
    // On its own nonces it stands in the way until it is replaced.
    expect(await waitsFor(rescue.status, engine.runtime)).toBe(1)
  })
})

describe('bytes on the lowest nonce that the fee cap lets nobody outbid', () => {
  it('are sent again until they are mined, and the next nonce is free for a rescue', async () => {
    const engine = await createEngine(world)
    const { rpc, policy } = engine
    const protector = protectorOf(engine)
    const baseFee = wei((policy.riskReducing.gas.maxFeePerGas * 9n) / 10n)
    expect(await protector.atHead(await engine.moveTo(FLOOR, { baseFee }))).toMatchObject({ kind: 'acted' })
    const kinds: string[] = []
    // Dearer than its cap for longer than it holds, and every pool has forgotten it.
    for (let block = 0; block <= policy.lastValidBlocks; block += 1) {
      await rpc('anvil_dropAllTransactions')
      kinds.push((await protector.atHead(await engine.mine({ baseFee: wei(baseFee * 2n) }))).kind)
    }
    expect(kinds.at(-1)).toBe('denied')
    await rpc('anvil_dropAllTransactions')
    const cheap = gwei(20n)
    const after: string[] = []
    for (let block = 0; block < 4; block += 1)
      after.push((await protector.atHead(await engine.mine({ baseFee: cheap }))).kind)
    expect(after).toEqual(['denied', 'acted', 'well', 'well'])
  })
})

describe('what the protector may spend on rescues', () => {
  /** Every block is one that it might sign in: far more than its rolling cap would pay for. */
  const BLOCKS = 70

  it('is not used up by what the signer refuses', async () => {
    const engine = await createEngine(world)
    const { signer } = engine.runtime
    let refuses = true
    const refusal = new RialtoError('PLAN_REFUSED', 'the signer refuses the plan')
    const protector = protectorOf(engine, {
      signer: { ...signer, sign: (asked) => (refuses ? Promise.reject(refusal) : signer.sign(asked)) },
    })
    await engine.moveTo(FLOOR)
    for (let block = 0; block < BLOCKS; block += 1)
      expect((await protector.atHead(await engine.mine())).reason).toContain('the signer refuses the plan')
    refuses = false
    expect(await protector.atHead(await engine.mine())).toMatchObject({ kind: 'acted' })
  })

  it('counts of all on one nonce the last only, until the fee cap ends it', async () => {
    const engine = await createEngine(world)
    const { chain } = engine.runtime
    const lost = async () => `0x${'00'.repeat(32)}` as const
    const protector = protectorOf(engine, { chain: { ...chain, sendRaw: lost } })
    let last = await protector.atHead(await engine.moveTo(FLOOR))
    for (let block = 0; block < BLOCKS && last.kind !== 'denied'; block += 1)
      last = await protector.atHead(await engine.mine())
    expect(last.reason).toMatch(/^It pays up to \S+ gwei per gas; the limit is 400\.$/)
  })
})

describe('a rescue that goes privately', () => {
  it('is public once it has waited as long as the policy says', async () => {
    const engine = await createEngine(world, {
      policy: (policy) => ({ ...policy, submission: { route: 'private', publicAfterBlocks: 1 } }),
    })
    const { chain } = engine.runtime
    const routes: string[] = []
    const protector = protectorOf(engine, {
      chain: {
        ...chain,
        sendRaw: async (raw, route = 'public') => {
          routes.push(route)
          return route === 'public' ? chain.sendRaw(raw) : `0x${'00'.repeat(32)}`
        },
      },
    })
    await protector.atHead(await engine.moveTo(FLOOR))
    await protector.atHead(await engine.mine())
    expect(routes).toEqual(['private', 'public'])
    expect(await protector.atHead(await engine.mine())).toMatchObject({ kind: 'well' })
  })
})
