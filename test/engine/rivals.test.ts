import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRule } from '../../agents/lending-guardian/rule.ts'
import { decodeRevert } from '../../infra/chain/decodeRevert.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import type { Chain } from '../../runtime/core/ports.ts'
import { wei } from '../../runtime/core/units.ts'
import { createProtector } from '../../runtime/protector/createProtector.ts'
import { createEngine, dollars, type Engine, gwei } from './engine.fixture.ts'

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

function protectorOf({ agent, policy, runtime }: Engine) {
  const { book, chain, signer, logger, blockSeconds } = runtime
  return createProtector({
    chain,
    signer,
    logger,
    book,
    guarded: agent,
    policy,
    rule: createRule({
      id: agent.id,
      account: agent.account,
      thresholds: policy.healthFactor,
      assets: book.aaveV3.reserves.map(({ asset }) => asset),
      pools: book.uniswapV3.pools.map(({ address }) => address),
      wrappedNative: book.wrappedNative,
      maxSlippage: policy.riskReducing.slippage.oracle,
      quoteTolerance: policy.riskReducing.slippage.pool,
    }),
    orders: () => 'active',
    blockSeconds,
    graceBlocks: 0n,
    explainRevert: decodeRevert,
  })
}

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
