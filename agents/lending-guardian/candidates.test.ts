import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseIntent } from '../../runtime/core/intent.ts'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { bps, MAX_UINT256, usd, usdValue, WAD } from '../../runtime/core/units.ts'
import { quoteExactOut } from '../../runtime/protocols/uniswap-v3/quote.ts'
import { enumerateCandidates, type FeasibleCandidate, LEAST_GAIN } from './candidates.ts'
import { type LendingGuardianOptions, settle } from './options.ts'
import { gather, type Scene } from './scene.ts'
import { testOptions } from './testGuardian.ts'
import { assets, type SnapshotOptions, snapshotOf, thresholds } from './testSnapshot.ts'

const settingsOf = (options: Partial<LendingGuardianOptions> = {}) =>
  settle({
    ...testOptions,
    ...options,
  })
const sceneOf = (snapshot: Snapshot): Scene => {
  const [position] = snapshot.positions
  if (position === undefined) throw new RangeError('no position')
  const scene = gather(snapshot, position, settingsOf())
  if ('obstacle' in scene) throw new RangeError(scene.obstacle)
  return scene
}
const candidatesIn = (snapshot: Snapshot, settings = settingsOf()) =>
  enumerateCandidates(sceneOf(snapshot), settings)
const candidatesOf = (options: SnapshotOptions = {}) => candidatesIn(snapshotOf(options))
const kinds = (candidates: readonly FeasibleCandidate[]) => candidates.map(({ id, kind }) => `${id} ${kind}`)
const find = (candidates: readonly FeasibleCandidate[], kind: FeasibleCandidate['kind']) => {
  const found = candidates.find((candidate) => candidate.kind === kind)
  if (found === undefined) throw new RangeError(`no ${kind}`)
  return found
}
const ETHER = 10n ** 18n

describe('enumerateCandidates', () => {
  it('finds everything that can be done, waiting last', () => {
    expect(kinds(candidatesOf({ wallet: { weth: ETHER, usdc: 600_000_000n } }))).toEqual([
      'c1 repay',
      'c2 add-collateral',
      'c3 deleverage',
      'c4 wait',
    ])
    expect(kinds(candidatesOf())).toEqual(['c1 deleverage', 'c2 wait'])
    expect(kinds(candidatesIn(snapshotOf(), settingsOf({ maxSlippage: bps(1n) })))).toEqual(['c1 wait'])
  })

  it('projects a repayment to the wei', () => {
    const { steps } = find(candidatesOf({ wallet: { usdc: 600_000_000n } }), 'repay')
    const half = steps.find(({ size }) => size === 50)
    // 10 WETH at 1,600 and a threshold of 82.5 % against 11,700 USDC.
    expect(half?.account.healthFactor).toBe((13_200n * WAD * 2n + 11_700n) / (2n * 11_700n))
    expect(half?.action).toEqual({
      kind: 'repay',
      asset: assets.usdc,
      amount: 300_000_000n,
      // 5 % under the projection.
      minHealthFactor: ((half?.account.healthFactor ?? 0n) * 9_500n) / 10_000n,
      expiresAtBlock: 1_005n,
    })
    // 320,000 gas at 23 gwei and 1,600 dollars.
    expect(half?.cost).toBe(1_177_600_000n)
  })

  it('repays no more than is owed', () => {
    const { steps } = find(candidatesOf({ wallet: { usdc: 50_000_000_000n } }), 'repay')
    const all = steps.at(-1)
    expect(all?.action).toMatchObject({ amount: 12_000_000_000n })
    expect(steps.find(({ size }) => size === 50)?.action).toMatchObject({ amount: 6_000_000_000n })
    expect(all?.account).toMatchObject({ totalDebt: 0n, healthFactor: MAX_UINT256 })
  })

  it('projects added collateral to the wei', () => {
    const { steps } = find(candidatesOf({ wallet: { weth: 2n * ETHER } }), 'add-collateral')
    const all = steps.at(-1)
    expect(all?.action).toEqual({
      kind: 'supply',
      asset: assets.weth,
      amount: 2n * ETHER,
      expiresAtBlock: 1_005n,
    })
    // 12 WETH at 1,600 and 82.5 % against 12,000.
    expect(all?.account.healthFactor).toBe(1_320_000_000_000_000_000n)
  })

  it('projects a deleverage with the pool’s own quote', () => {
    const snapshot = snapshotOf()
    const { steps } = find(candidatesIn(snapshot), 'deleverage')
    const step = steps.find(({ size }) => size === 25)
    const [state] = snapshot.pools
    if (state === undefined || step?.action?.kind !== 'deleverage')
      throw new RangeError('no pool or no deleverage')
    const { repayAmount, maxCollateralIn, minHealthFactor } = step.action
    const spent = quoteExactOut(state, assets.weth, repayAmount).amountIn
    expect(repayAmount).toBe(3_000_000_000n)
    expect(step.account.totalDebt).toBe(900_000_000_000n)
    expect(step.account.totalCollateral).toBe(((10n * ETHER - spent) * 160_000_000_000n) / ETHER)
    // Half a per cent more than quoted, and one unit for rounding.
    expect(maxCollateralIn).toBe((spent * 10_050n + 9_999n) / 10_000n + 1n)
    // 5 % under what it would be if all of that were spent.
    const left = ((10n * ETHER - maxCollateralIn) * 160_000_000_000n) / ETHER
    const worst = (((left * 8_250n + 5_000n) / 10_000n) * WAD + 450_000_000_000n) / 900_000_000_000n
    expect(minHealthFactor).toBe((worst * 9_500n) / 10_000n)
    // Gas, and the pool's fee of 5 bps with some impact.
    const gas = (580_000n * 23n * 10n ** 9n * 160_000_000_000n) / ETHER
    expect(step.cost - gas).toBeGreaterThan(usd(150_000_000n))
    expect(step.cost - gas).toBeLessThan(usd(300_000_000n))
  })

  it('leaves out sizes that end under the floor where larger ones do not', () => {
    const low = { price: usd(1_500n * 10n ** 8n) }
    const { steps } = find(candidatesOf(low), 'deleverage')
    expect(steps[0].account.healthFactor).toBeGreaterThanOrEqual(thresholds.floor)
    expect(steps[0].size).toBeGreaterThan(1)
    // The wallet does not reach the floor at any size, so all its sizes stay.
    const repay = find(candidatesOf({ ...low, wallet: { usdc: 200_000_000n } }), 'repay')
    expect(repay.steps.at(-1)?.account.healthFactor).toBeLessThan(thresholds.floor)
    expect(repay.steps[0].account.healthFactor).toBeLessThan(1_042_000_000_000_000_000n)
  })

  it('leaves out what a shallow pool would sell too cheaply, and what it cannot give', () => {
    const sizes = (liquidity: bigint) => find(candidatesOf({ liquidity }), 'deleverage').steps.length
    expect(sizes(10n ** 18n)).toBeGreaterThan(95)
    expect(sizes(10n ** 16n)).toBeLessThan(60)
    expect(kinds(candidatesOf({ liquidity: 10n ** 12n }))).toEqual(['c1 wait'])
  })

  it('promises no more collateral than the owner’s slippage bears', () => {
    // At 8 bps the fee of 5 bps leaves room for 3, which is less than the tolerance of 50 on the quote.
    const { steps } = find(
      candidatesIn(snapshotOf({ liquidity: 10n ** 21n }), settingsOf({ maxSlippage: bps(8n) })),
      'deleverage',
    )
    for (const { action } of steps) {
      if (action?.kind !== 'deleverage') throw new RangeError('no deleverage')
      const most = usdValue(action.maxCollateralIn, usd(1_600n * 10n ** 8n), 18, 'up')
      expect(most * 9_992n).toBeLessThanOrEqual(
        usdValue(action.repayAmount, usd(10n ** 8n), 6, 'down') * 10_000n,
      )
    }
  })

  it('never lets a plan end under 1', () => {
    const { steps } = find(
      candidatesOf({ price: usd(1_500n * 10n ** 8n), wallet: { usdc: 150_000_000n } }),
      'repay',
    )
    for (const { action } of steps) expect(action).toMatchObject({ minHealthFactor: WAD })
  })

  it('leaves out what Aave would revert in the middle of the flash swap: a health factor under 1', () => {
    // At 1,300 dollars the health factor is 0.89, and the pool gives only a little.
    const drained = { price: usd(1_300n * 10n ** 8n), liquidity: 10n ** 16n }
    expect(kinds(candidatesOf(drained))).toEqual(['c1 wait'])
    expect(kinds(candidatesOf({ ...drained, liquidity: 10n ** 19n }))).toEqual(['c1 deleverage', 'c2 wait'])
  })

  it('leaves out what the protocol would refuse', () => {
    const base = snapshotOf({ wallet: { weth: ETHER, usdc: 600_000_000n } })
    const changed = (change: object) => ({
      ...base,
      reserves: base.reserves.map((reserve) => ({ ...reserve, ...change })),
    })
    expect(kinds(candidatesIn(changed({ isFrozen: true })))).toEqual(['c1 repay', 'c2 deleverage', 'c3 wait'])
    expect(kinds(candidatesIn(changed({ availableLiquidity: 0n })))).toEqual([
      'c1 repay',
      'c2 add-collateral',
      'c3 wait',
    ])
  })

  it('leaves out what gains too little, and what costs more than it can save', () => {
    const gains = (usdc: bigint) => kinds(candidatesOf({ wallet: { usdc }, liquidity: 1n }))
    expect(gains(105_000_000n)).toEqual(['c1 wait'])
    expect(gains(115_000_000n)).toEqual(['c1 repay', 'c2 wait'])
    // A debt of 400 dollars: its penalty is 20, a deleverage costs 21 dollars of gas, a repayment 12.
    const small = { supplied: ETHER / 3n, owed: 400_000_000n, wallet: { usdc: 50_000_000n } }
    expect(kinds(candidatesOf(small))).toEqual(['c1 repay', 'c2 wait'])
  })

  it('still finds a way where the position can already be liquidated', () => {
    const candidates = candidatesOf({ price: usd(1_440n * 10n ** 8n), wallet: { usdc: 600_000_000n } })
    const { steps } = find(candidates, 'deleverage')
    expect(steps[0].account.healthFactor).toBeGreaterThanOrEqual(thresholds.floor)
  })

  const worlds = fc.record({
    price: fc.bigInt({ min: 1_300n, max: 1_700n }).map((dollars) => usd(dollars * 10n ** 8n)),
    supplied: fc.bigInt({ min: ETHER, max: 1_000n * ETHER }),
    leverage: fc.bigInt({ min: 6_000n, max: 8_200n }),
    share: fc.bigInt({ min: 0n, max: 3_000n }),
    liquidity: fc.bigInt({ min: 10n ** 15n, max: 10n ** 21n }),
  })

  it('is feasible, improving and bounded at every step, whatever the world', () => {
    fc.assert(
      fc.property(worlds, ({ price, supplied, leverage, share, liquidity }) => {
        const owed = (supplied * price * leverage) / 10n ** 24n
        const wallet = { usdc: (owed * share) / 10_000n, weth: (supplied * share) / 10_000n }
        const snapshot = snapshotOf({ price, supplied, owed, wallet, liquidity })
        const scene = sceneOf(snapshot)
        const candidates = enumerateCandidates(scene, settingsOf())
        expect(candidates.at(-1)).toMatchObject({
          kind: 'wait',
          steps: [{ size: 0, action: null, cost: 0n }],
        })
        for (const [index, { id, kind, steps }] of candidates.entries()) {
          expect(id).toBe(`c${index + 1}`)
          if (kind === 'wait') continue
          for (const [position, { size, action, account: after, cost }] of steps.entries()) {
            expect(size).toBe(steps[0].size + position)
            expect(after.healthFactor).toBeGreaterThanOrEqual(scene.healthFactor + LEAST_GAIN)
            expect(cost).toBeGreaterThan(0n)
            expect(action && parseIntent(action)).toEqual(action)
            if (action?.kind === 'supply') expect(action.amount).toBeLessThanOrEqual(wallet.weth)
            if (action?.kind === 'repay') {
              expect(action.amount).toBeLessThanOrEqual(wallet.usdc)
              expect(action.amount).toBeLessThanOrEqual(owed)
            }
            if (action?.kind === 'deleverage') {
              expect(action.repayAmount).toBeLessThanOrEqual(owed)
              expect(action.maxCollateralIn).toBeLessThanOrEqual(supplied)
              const most = usdValue(action.maxCollateralIn, price, 18, 'down')
              expect(most * 100n).toBeLessThan(
                usdValue(action.repayAmount, usd(10n ** 8n), 6, 'up') * 102n + 10n ** 6n,
              )
              expect(action.minHealthFactor).toBeGreaterThanOrEqual(WAD)
            }
          }
          expect(steps.at(-1)?.size).toBeLessThanOrEqual(100)
        }
        expect(enumerateCandidates(sceneOf(structuredClone(snapshot)), settingsOf())).toEqual(candidates)
      }),
      { numRuns: 60 },
    )
  })
})
