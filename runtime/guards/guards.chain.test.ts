import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { concatHex } from 'viem'
import { describe, expect, it } from 'vitest'
import { openPositions } from '../../infra/world/openPositions.ts'
import { dollars, ether, fixed18, price, protocolWorld, someone } from '../../test/protocolWorld.ts'
import { type AgentId, intentId, runId } from '../core/ids.ts'
import { type Action, parseIntent } from '../core/intent.ts'
import { type Usd, usd, type Wei } from '../core/units.ts'
import { denials } from '../core/verdict.ts'
import { repayForHealthFactor } from '../protocols/projectDeleverage.ts'
import { encodeExecute } from '../protocols/rialto/encode.ts'
import type { Runtime } from '../stages/runtime.ts'
import { simulate } from '../stages/simulate.ts'
import { assertPolicyFits } from './assertPolicyFits.ts'
import type { GuardContext } from './guard.ts'
import { at, gweis, policyFile } from './guardScene.fixture.ts'
import { judgeEffect, judgeIntent } from './index.ts'
import { type Policy, parsePolicy } from './policy.ts'
import { spendOf } from './valuation.ts'

const scene = await protocolWorld()
const { book, weth, usdc, pool, actors } = scene
const owner = someone(0x9a)
const liquidator = someone(0x9b)
const recipient = at(0xf1)

await scene.setPrice({ oracle: price('2000'), pool: price('2000') })
await openPositions(scene.world, [
  {
    account: owner,
    collateral: ether('40'),
    debt: dollars('50769'),
    walletUsdc: dollars('2030'),
    walletEth: ether('2') as bigint as Wei,
  },
])
await scene.fund({ account: owner, weth: ether('5'), eth: ether('2') as bigint as Wei })
await scene.fund({ account: liquidator, usdc: dollars('500000'), eth: ether('50') as bigint as Wei })
// The world's feeds answered when it was made; a guard that asks for fresh prices wants them answered now.
await scene.setPrice({ oracle: price('2000'), pool: price('2000') })

const shipped = (name: string): Policy =>
  parsePolicy(JSON.parse(readFileSync(join(import.meta.dirname, '../../policies', `${name}.json`), 'utf8')))
const lenient = parsePolicy({
  ...policyFile,
  oracle: { ...policyFile.oracle, maxAgeSeconds: 90_000 },
  riskReducing: {
    ...policyFile.riskReducing,
    oracle: { ...policyFile.riskReducing.oracle, maxAgeSeconds: 90_000 },
  },
})
const history: GuardContext['history'] = {
  spent: usd(0n),
  inFlight: 0,
  inert: 0,
  lastActionAt: null,
  peakEquity: null,
}

/** Simulates an intent on the head as the stages do, and has it judged. */
async function judge(
  policy: Policy,
  account: typeof owner,
  intentOf: (block: bigint) => unknown,
  past = history,
) {
  const snapshot = await scene.snapshot(account, { positions: [account, owner] })
  const action = parseIntent(intentOf(snapshot.block.number)) as Action
  const context: GuardContext = { policy, book, snapshot, history: past, tradingState: 'active', account }
  const runtime = {
    chain: scene.chain,
    book,
    blockSeconds: 12n,
    explainRevert: (data: string) => data,
  } as Partial<Runtime> as Runtime
  const run = runId('guards' as AgentId, snapshot.block.hash)
  const record = {
    ...{ id: intentId(run), runId: run, agent: 'guards' as AgentId, account, action },
    ...{ status: 'proposed' as const, decidedOnBlock: snapshot.block.number, verdicts: [] },
  }
  const first = judgeIntent(context, action)
  const simulation = await simulate(runtime, record as never, snapshot, policy)
  if (!simulation.ok) return { context, first, second: null, reason: simulation.reason }
  const { plan } = simulation
  return { context, first, second: judgeEffect(context, action, plan), plan, reason: null }
}

const found = ({ first, second, reason }: Awaited<ReturnType<typeof judge>>) => [
  ...(reason === null ? [] : [reason]),
  ...denials(first).map(({ message }) => message),
  ...(second === null ? [] : denials(second).map(({ message }) => message)),
]

const route = { user: owner, collateral: weth, debt: usdc, pool }

/** A deleverage that repays so much, with half a per cent of collateral to spare. */
const deleverage =
  (repayAmount: bigint, collateralIn: bigint, minHealthFactor: bigint) => (block: bigint) => ({
    ...{ kind: 'deleverage', collateral: weth, debt: usdc, pool, repayAmount, minHealthFactor },
    maxCollateralIn: (collateralIn * 10_050n) / 10_000n + 1n,
    expiresAtBlock: block + 5n,
  })

/** What a guardian would want: as much as lifts the health factor to its target, and no less than close to it. */
async function rescue(target: string) {
  const projection = repayForHealthFactor(await scene.snapshot(owner), route, fixed18(target))
  if (projection === null) throw new TypeError('Nothing has to be rescued.')
  return deleverage(projection.repayAmount, projection.collateralIn, (fixed18(target) * 95n) / 100n)
}

/** A block with another price of WETH and another base fee. */
async function mine(market: Usd, baseFee: Wei, oracle = market): Promise<void> {
  await actors.pushPrice(oracle)
  await actors.arbitrageTo(market)
  await actors.mineBlock({ baseFeePerGas: baseFee })
}

describe('on the real contracts', () => {
  it('the policies that ship fit the world', () => {
    for (const name of ['lending-guardian', 'liquidator'])
      expect(() => assertPolicyFits(shipped(name), book)).not.toThrow()
  })

  const wanted: readonly (readonly [Action['kind'], (block: bigint) => unknown])[] = [
    ['supply', (b) => ({ kind: 'supply', asset: weth, amount: ether('1'), expiresAtBlock: b + 5n })],
    ['withdraw', (b) => ({ kind: 'withdraw', asset: weth, amount: ether('1'), expiresAtBlock: b + 5n })],
    ['borrow', (b) => ({ kind: 'borrow', asset: usdc, amount: dollars('500'), expiresAtBlock: b + 5n })],
    [
      'repay',
      (b) => ({
        ...{ kind: 'repay', asset: usdc, amount: dollars('1000'), minHealthFactor: ether('1.3') },
        expiresAtBlock: b + 5n,
      }),
    ],
    [
      'swap',
      (b) => ({
        ...{ kind: 'swap', tokenIn: weth, tokenOut: usdc, pool, amountIn: ether('1') },
        ...{ minAmountOut: dollars('1995'), expiresAtBlock: b + 5n },
      }),
    ],
    [
      'transfer',
      (b) => ({
        ...{ kind: 'transfer', asset: usdc, to: recipient, amount: dollars('50'), expiresAtBlock: b + 5n },
      }),
    ],
  ]
  it.each(wanted)('a plain %s is allowed', async (_kind, intentOf) => {
    expect(found(await judge(lenient, owner, intentOf))).toEqual([])
  })

  it('a deleverage is allowed', async () => {
    expect(found(await judge(lenient, owner, await rescue('1.4')))).toEqual([])
  })

  it('a repayment of everything but dust of a small debt is allowed', async () => {
    const all = (b: bigint) => ({
      ...{ kind: 'repay', asset: usdc, amount: dollars('2030'), minHealthFactor: ether('1.3') },
      expiresAtBlock: b + 5n,
    })
    expect(found(await judge(lenient, owner, all))).toEqual([])
  })
})

describe('the policies that ship', () => {
  it('let a guardian rescue a position through a fall of 51 % at 150 gwei', async () => {
    await scene.undone(async () => {
      const policy = shipped('lending-guardian')
      const { trigger, floor } = policy.healthFactor
      const { batchAccount } = book.rialto ?? { batchAccount: owner }
      await scene.world.rpc('anvil_setCode', owner, concatHex(['0xef0100', batchAccount]))
      let spent = 0n
      let rescues = 0
      for (let market = 1_990; market >= 980; market -= 30) {
        await mine(price(String(market)), gweis('150'))
        const position = (await scene.snapshot(owner)).positions[0]
        if (position === undefined || position.account.healthFactor >= trigger) continue
        const judged = await judge(policy, owner, await rescue('1.35'), { ...history, spent: usd(spent) })
        expect(found(judged), `at ${market}`).toEqual([])
        if (judged.plan === undefined) continue
        // The scene's transactions bid 100 gwei; what is judged at 150 is carried out in a calm block.
        await mine(price(String(market)), gweis('15'))
        expect(await scene.send(owner, { to: owner, data: encodeExecute(judged.plan.calls) })).toBe(true)
        spent += spendOf(judged.context, judged.plan) ?? 0n
        rescues += 1
      }
      const end = (await scene.snapshot(owner)).positions[0]?.account.healthFactor
      expect(end).toBeGreaterThan(floor)
      expect(rescues).toBeGreaterThanOrEqual(4)
      // Not only within the cap, but with room for what goes wrong.
      expect(spent).toBeLessThan(policy.riskReducing.spend.rolling / 2n)
    })
  })

  it('do not let it act on a price that no market shares', async () => {
    await scene.undone(async () => {
      await mine(price('2000'), gweis('15'), price('1700'))
      const judged = await judge(shipped('lending-guardian'), owner, await rescue('1.35'))
      const codes = denials(judged.first).map(({ code }) => code)
      expect(codes).toContain('ORACLE_DEVIATION')
    })
  })

  it('let a liquidator liquidate at 150 gwei', async () => {
    await scene.undone(async () => {
      await mine(price('1500'), gweis('150'))
      const judged = await judge(shipped('liquidator'), liquidator, (block) => ({
        ...{ kind: 'liquidate', collateral: weth, debt: usdc, user: owner, debtToCover: dollars('25000') },
        ...{ minCollateralOut: ether('17'), expiresAtBlock: block + 3n },
      }))
      expect(found(judged)).toEqual([])
    })
  })

  it('let a guardian do nothing but protect', async () => {
    const judged = await judge(shipped('lending-guardian'), owner, (block) => ({
      ...{ kind: 'transfer', asset: usdc, to: recipient, amount: 1n, expiresAtBlock: block + 1n },
    }))
    expect(denials(judged.first).map(({ code }) => code)).toEqual([
      'INTENT_KIND_NOT_ALLOWED',
      'RECIPIENT_NOT_ALLOWED',
    ])
  })
})
