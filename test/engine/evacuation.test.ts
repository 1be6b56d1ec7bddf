import { type Address, encodeFunctionData, erc20Abi, getAddress, isAddressEqual } from 'viem'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeRevert } from '../../infra/chain/decodeRevert.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import { MAX_UINT256 } from '../../runtime/core/units.ts'
import {
  createEvacuation,
  type EvacuationOptions,
  type EvacuationProgress,
} from '../../runtime/evacuation/createEvacuation.ts'
import { isOfValue } from '../../runtime/evacuation/nextStep.ts'
import { readAllowances } from '../../runtime/evacuation/readAllowances.ts'
import { evacuationPolicy } from '../../runtime/guards/evacuation.ts'
import { userAccountData } from '../../runtime/protocols/aave-v3/read.ts'
import { balanceOf } from '../../runtime/protocols/erc20/read.ts'
import { listReads, readAll } from '../../runtime/protocols/read.ts'
import { createEngine, dollars, type Engine } from './engine.fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

let destinations = 0
/** A destination of its own for each test: what arrives is what it holds. */
const newDestination = (): Address =>
  getAddress(`0x${(0xdead0000 + ++destinations).toString(16).padStart(40, '0')}`)

type Scene = {
  readonly engine: Engine
  readonly to: Address
  readonly account: Address
  options(changes?: Partial<EvacuationOptions>): EvacuationOptions
  order(state: 'active' | 'halted' | 'evacuating'): void
}

async function setUp(): Promise<Scene> {
  const to = newDestination()
  let ordered: 'active' | 'halted' | 'evacuating' = 'evacuating'
  const orders = {
    stateFor: () => (ordered === 'active' ? ('active' as const) : ('halted' as const)),
    evacuates: () => ordered === 'evacuating',
  }
  const engine = await createEngine(world, { evacuateTo: to, orders })
  const { runtime, agent, policy } = engine
  const { chain, signer, logger, book, blockSeconds } = runtime
  return {
    engine,
    to,
    account: agent.account,
    order: (state) => {
      ordered = state
    },
    options: (changes = {}) => ({
      chain,
      signer,
      logger,
      book,
      agent: agent.id,
      account: agent.account,
      policy: evacuationPolicy(policy, book, to),
      spenders: [],
      isOrdered: orders.evacuates,
      blockSeconds,
      explainRevert: decodeRevert,
      ...changes,
    }),
  }
}

/** Steps and blocks, until it is over. */
async function run(
  { engine, options }: Scene,
  evacuation = createEvacuation(options()),
): Promise<readonly EvacuationProgress[]> {
  const seen: EvacuationProgress[] = []
  for (let block = 0; block < 30; block++) {
    const progress = await evacuation.atHead(await engine.runtime.chain.head())
    seen.push(progress)
    if (progress.kind !== 'acted' && progress.kind !== 'resent') return seen
    await engine.mine()
  }
  return seen
}

const held = async ({ engine }: Scene, of: Address) => {
  const { chain, book } = engine.runtime
  const head = await chain.head()
  const { balances } = await readAll(chain, head.hash, {
    balances: listReads(book.tokens.map(({ address }) => balanceOf(address, of))),
  })
  return Object.fromEntries(book.tokens.map(({ symbol }, index) => [symbol, balances[index] ?? 0n]))
}

const standing = async ({ engine, account }: Scene) => {
  const { chain, book } = engine.runtime
  const head = await chain.head()
  const { position } = await readAll(chain, head.hash, {
    position: userAccountData(book.aaveV3.pool, account),
  })
  return { position, allowances: await readAllowances(chain, head.hash, book, account, []) }
}

/** Lets somebody take something, with the account's own key. */
async function approve(
  { engine, account }: Scene,
  token: Address,
  spender: Address,
  amount: bigint,
): Promise<void> {
  const data = encodeFunctionData({ abi: erc20Abi, functionName: 'approve', args: [spender, amount] })
  await engine.rpc('anvil_impersonateAccount', account)
  await engine.rpc('eth_sendTransaction', { from: account, to: token, data, gas: '0x186a0' })
  await engine.mine()
}

describe('an evacuation', () => {
  it('moves everything to the destination at a falling price, revokes every allowance and leaves nothing', async () => {
    const scene = await setUp()
    const { engine, account, to } = scene
    const { book } = engine.runtime
    const [reserve] = book.aaveV3.reserves
    await approve(scene, book.wrappedNative, book.uniswapV3.swapRouter, MAX_UINT256)
    await approve(scene, reserve?.aToken as Address, book.aaveV3.pool, 5n)
    await engine.moveTo(dollars(1_580))
    const seen = await run(scene)
    expect(
      seen.at(-1),
      JSON.stringify(seen, (_, v) => (typeof v === 'bigint' ? String(v) : v), 1),
    ).toMatchObject({ kind: 'done' })
    const { position, allowances } = await standing(scene)
    expect(position.totalDebt).toBe(0n)
    expect(position.totalCollateral).toBeLessThan(dollars(1))
    expect(allowances).toEqual([])
    const arrived = await held(scene, to)
    // 40 WETH less what 48,739 dollars of debt cost at 1,580 and at most 3 % of slippage.
    expect(arrived.WETH).toBeGreaterThan(8n * 10n ** 18n)
    const left = await held(scene, account)
    expect(left.WETH).toBe(0n)
    const last = seen.at(-1)
    expect(last?.kind === 'done' && last.remains.filter(isOfValue)).toEqual([])
    expect(isAddressEqual(to, account)).toBe(false)
  })
})
