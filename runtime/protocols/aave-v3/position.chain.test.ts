import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressOf } from '../../../infra/world/accounts.ts'
import { dollars, ether, price, protocolWorld, reserveIn, someone } from '../../../test/protocolWorld.ts'
import type { Call } from '../../core/lifecycle.ts'
import type { AccountData, PositionState, Snapshot } from '../../core/snapshot.ts'
import { MAX_UINT256, RAY, tokenAmount } from '../../core/units.ts'
import { encodeApprove } from '../erc20/encode.ts'
import { InfeasibleActionError } from '../errors.ts'
import { readAll } from '../read.ts'
import { applyBorrow, applyRepay, applySupply, applyWithdraw } from './effects.ts'
import { encodeBorrow, encodeLiquidationCall, encodeRepay, encodeSupply, encodeWithdraw } from './encode.ts'
import { accountData, findReservePosition, isModelled } from './healthFactor.ts'
import { debtBalance, normalizedDebt, normalizedIncome, suppliedBalance } from './interest.ts'
import { projectLiquidation } from './liquidation.ts'
import { reserveNormalizedIncome, reserveNormalizedVariableDebt, userAccountData } from './read.ts'

/** An action on either asset, sized in parts per thousand of something sensible (over 1,000: too much). */
type Step = {
  readonly kind: 'supply' | 'withdraw' | 'borrow' | 'repay' | 'price'
  readonly onWeth: boolean
  readonly size: number
  readonly seconds: number
}
const anyStep: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('supply', 'withdraw', 'borrow', 'borrow', 'repay', 'price'),
  onWeth: fc.boolean(),
  size: fc.oneof(fc.integer({ min: 1, max: 1_100 }), fc.constantFrom(1, 999, 1_000, 1_001)),
  // From the next block to a year later.
  seconds: fc.oneof(fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 1_000, max: 31_536_000 })),
})

describe('positions on the real Pool', async () => {
  const { book, chain, head, send, fund, snapshot, setPrice, undone, weth, usdc } = await protocolWorld()
  const { pool } = book.aaveV3
  const alice = someone(1)
  const liquidator = someone(2)
  await fund({ account: alice, weth: ether('1000'), usdc: dollars('2000000') })
  await fund({ account: liquidator, usdc: dollars('5000000'), weth: ether('3000') })
  for (const account of [alice, liquidator])
    for (const asset of [weth, usdc])
      await send(account, encodeApprove(asset, pool, tokenAmount(MAX_UINT256)))

  const positionOf = (state: Snapshot): PositionState => {
    const [position] = state.positions
    if (position === undefined) throw new Error('no position')
    return position
  }
  const accountAt = async (user = alice): Promise<AccountData> => {
    const { account } = await readAll(chain, (await head()).hash, { account: userAccountData(pool, user) })
    return account
  }

  /** What a step comes to in the state at hand: a call, and what it should do at `timestamp`. */
  const plan = (
    step: Step,
    state: Snapshot,
    timestamp: bigint,
  ): { call: Call; after: () => PositionState } => {
    const asset = step.onWeth ? weth : usdc
    const reserve = reserveIn(state, asset)
    const position = positionOf(state)
    const part = findReservePosition(position, asset)
    const share = (whole: bigint) => tokenAmount((whole * BigInt(step.size)) / 1_000n)
    const { reserves } = state
    switch (step.kind) {
      case 'supply': {
        const amount = share(step.onWeth ? ether('10') : dollars('20000'))
        return {
          call: encodeSupply(pool, asset, amount, alice),
          after: () => applySupply(position, reserves, asset, amount, timestamp),
        }
      }
      case 'withdraw': {
        const all = step.size === 1_000
        const amount = all ? tokenAmount(MAX_UINT256) : share(suppliedBalance(part, reserve, timestamp))
        return {
          call: encodeWithdraw(pool, asset, amount, alice),
          after: () => applyWithdraw(position, reserves, asset, amount, timestamp).position,
        }
      }
      case 'borrow': {
        const { availableBorrows } = accountData(position, reserves, timestamp)
        const amount = share((availableBorrows * 10n ** BigInt(reserve.decimals)) / reserve.price)
        return {
          call: encodeBorrow(pool, asset, amount, alice),
          after: () => applyBorrow(position, reserves, asset, amount, timestamp),
        }
      }
      case 'repay': {
        const all = step.size === 1_000
        const amount = all ? tokenAmount(MAX_UINT256) : share(debtBalance(part, reserve, timestamp))
        return {
          call: encodeRepay(pool, asset, amount, alice),
          after: () => applyRepay(position, reserves, asset, amount, timestamp).position,
        }
      }
      case 'price':
        throw new Error('a price is no call')
    }
  }

  it('accrues indices and values accounts as the Pool does, through any actions and any time', async () => {
    const outcomes = { done: 0, refused: 0 }
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { minLength: 3, maxLength: 10 }), async (steps) => {
        await undone(async () => {
          await send(alice, encodeSupply(pool, weth, ether('10'), alice))
          for (const step of steps) {
            if (step.kind === 'price') {
              await setPrice({ oracle: price((1_200 + step.size).toString()) })
              continue
            }
            const before = await snapshot(alice)
            const timestamp = before.block.timestamp + BigInt(step.seconds)
            const { call, after } = plan(step, before, timestamp)
            let expected: PositionState | null = null
            try {
              expected = after()
            } catch (error) {
              if (!(error instanceof InfeasibleActionError)) throw error
            }
            const done = await send(alice, call, timestamp)
            expect({ step, done }).toEqual({ step, done: expected !== null })
            outcomes[done ? 'done' : 'refused']++

            const now = await snapshot(alice)
            expect(now.block.timestamp).toBe(timestamp)
            if (expected !== null) expect(positionOf(now)).toEqual(expected)
            expect(isModelled(positionOf(now), now.reserves, timestamp)).toBe(true)
            const indices = await readAll(chain, now.block.hash, {
              income: reserveNormalizedIncome(pool, usdc),
              debt: reserveNormalizedVariableDebt(pool, usdc),
            })
            // From what was stored before the action, and from what is stored after it.
            for (const state of [before, now])
              expect({
                income: normalizedIncome(reserveIn(state, usdc), timestamp),
                debt: normalizedDebt(reserveIn(state, usdc), timestamp),
              }).toEqual(indices)
          }
        })
      }),
      { numRuns: 25 },
    )
    // The property is idle if nearly all steps are refused, or none.
    expect(outcomes.done).toBeGreaterThan(20)
    expect(outcomes.refused).toBeGreaterThan(5)
  })

  it('values an account in a later block as the Pool will, when nobody touches the reserves', async () => {
    // Nearly all dollars are lent out, so that the rate is high and every term of the compounding counts.
    const borrower = someone(3)
    await undone(async () => {
      await fund({ account: borrower, weth: ether('25000') })
      await send(borrower, encodeApprove(weth, pool, ether('25000')))
      await send(borrower, encodeSupply(pool, weth, ether('25000'), borrower))
      await send(borrower, encodeBorrow(pool, usdc, dollars('29000000'), borrower))
      await send(alice, encodeSupply(pool, weth, ether('10'), alice))
      await send(alice, encodeBorrow(pool, usdc, dollars('14000'), alice))
      const before = await snapshot(alice)
      expect(reserveIn(before, usdc).variableBorrowRate).toBeGreaterThan((RAY * 40n) / 100n)
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 40_000_000 }), async (seconds) => {
          await undone(async () => {
            const timestamp = before.block.timestamp + BigInt(seconds)
            await send(alice, { to: weth, data: '0x' }, timestamp)
            expect(await accountAt()).toEqual(accountData(positionOf(before), before.reserves, timestamp))
          })
        }),
        { numRuns: 30 },
      )
    })
  })

  it('counts a collateral no longer that was taken out whole, by amount or by "all"', async () => {
    for (const all of [true, false])
      await undone(async () => {
        await send(alice, encodeSupply(pool, weth, ether('10'), alice))
        await send(alice, encodeSupply(pool, usdc, dollars('30000'), alice))
        await send(alice, encodeBorrow(pool, usdc, dollars('5000'), alice))
        const before = await snapshot(alice)
        const timestamp = before.block.timestamp + 86_400n
        const whole = suppliedBalance(
          findReservePosition(positionOf(before), weth),
          reserveIn(before, weth),
          timestamp,
        )
        const amount = all ? tokenAmount(MAX_UINT256) : whole
        const expected = applyWithdraw(positionOf(before), before.reserves, weth, amount, timestamp)
        expect(expected.withdrawn).toBe(whole)
        expect(await send(alice, encodeWithdraw(pool, weth, amount, alice), timestamp)).toBe(true)
        const after = positionOf(await snapshot(alice))
        expect(after).toEqual(expected.position)
        expect(findReservePosition(after, weth)).toMatchObject({
          scaledATokenBalance: 0n,
          usedAsCollateral: false,
        })
      })
  })

  it('liquidates as the Pool does: close factor, bonus, fee, and all of a collateral', async () => {
    const seen = { half: 0, full: 0, clamped: 0, refused: 0 }
    const scene = fc.record({
      debt: fc.integer({ min: 9_000, max: 15_900 }),
      // In thousandths: half of the debt, all of it, more than the collateral covers, and not at all.
      healthFactor: fc.oneof(
        fc.integer({ min: 951, max: 999 }),
        fc.integer({ min: 870, max: 950 }),
        fc.integer({ min: 500, max: 865 }),
        fc.integer({ min: 1_001, max: 1_100 }),
      ),
      cover: fc.oneof(fc.constant(MAX_UINT256), fc.bigInt({ min: 1n, max: 16_000_000_000n })),
      seconds: fc.integer({ min: 1, max: 5_000_000 }),
      secondCollateral: fc.boolean(),
    })
    const plain = { debt: 14_000, cover: MAX_UINT256, seconds: 12, secondCollateral: false }
    const examples = [980, 900, 700, 1_050].map((healthFactor): [typeof plain & { healthFactor: number }] => [
      { ...plain, healthFactor },
    ])
    await fc.assert(
      fc.asyncProperty(scene, async (values) => {
        await undone(async () => {
          await send(alice, encodeSupply(pool, weth, ether('10'), alice))
          if (values.secondCollateral)
            await send(alice, encodeSupply(pool, usdc, dollars('1234.567891'), alice))
          await send(alice, encodeBorrow(pool, usdc, dollars(values.debt.toString()), alice))
          // The health factor is 0.825 * 10 * price / debt.
          const oracle = price(((values.healthFactor * values.debt) / 8_250).toFixed(8))
          await setPrice({ oracle })
          const before = await snapshot(liquidator, { positions: [alice] })
          const timestamp = before.block.timestamp + BigInt(values.seconds)
          const call = encodeLiquidationCall(pool, weth, usdc, alice, tokenAmount(values.cover))
          let expected: ReturnType<typeof projectLiquidation> | null = null
          try {
            const cover = tokenAmount(values.cover)
            expected = projectLiquidation(positionOf(before), before.reserves, weth, usdc, cover, timestamp)
          } catch (error) {
            if (!(error instanceof InfeasibleActionError)) throw error
          }
          expect(await send(liquidator, call, timestamp)).toBe(expected !== null)
          if (expected === null) {
            seen.refused++
            return
          }
          const after = await snapshot(liquidator, { positions: [alice] })
          expect(positionOf(after)).toEqual(expected.position)
          const change = (token: string) => {
            const [was, is] = [before, after].map(
              ({ wallet }) => wallet.tokens.find((entry) => entry.token === token)?.balance ?? 0n,
            )
            return (is ?? 0n) - (was ?? 0n)
          }
          expect(change(weth)).toBe(expected.collateralSeized)
          expect(change(usdc)).toBe(-expected.debtCovered)
          const owed = debtBalance(
            findReservePosition(positionOf(before), usdc),
            reserveIn(before, usdc),
            timestamp,
          )
          if (findReservePosition(expected.position, weth).scaledATokenBalance === 0n) seen.clamped++
          else if (expected.debtCovered === owed) seen.full++
          else if (values.cover === MAX_UINT256) seen.half++
        })
      }),
      { numRuns: 60, examples },
    )
    for (const [kind, times] of Object.entries(seen))
      expect({ kind, some: times > 0 }).toEqual({ kind, some: true })
  })

  it('sends Aave its fee of the bonus', async () => {
    await undone(async () => {
      await send(alice, encodeSupply(pool, weth, ether('10'), alice))
      await send(alice, encodeBorrow(pool, usdc, dollars('15000'), alice))
      await setPrice({ oracle: price('1780') })
      const treasury = addressOf('treasury')
      const watch = { positions: [alice, treasury] }
      const before = await snapshot(liquidator, watch)
      const timestamp = before.block.timestamp + 12n
      const cover = dollars('5000')
      const expected = projectLiquidation(positionOf(before), before.reserves, weth, usdc, cover, timestamp)
      await send(liquidator, encodeLiquidationCall(pool, weth, usdc, alice, cover), timestamp)
      const after = await snapshot(liquidator, watch)
      const [was, is] = [before, after].map((state) => {
        const position = state.positions[1]
        if (position === undefined) throw new Error('no position')
        return suppliedBalance(findReservePosition(position, weth), reserveIn(state, weth), timestamp)
      })
      // 5,000 / 1,780 with 5 % on top, of which Aave takes a tenth.
      expect(expected.protocolFee).toBeGreaterThan(ether('0.0140'))
      expect(expected.protocolFee).toBeLessThan(ether('0.0141'))
      expect((is ?? 0n) - (was ?? 0n)).toBe(expected.protocolFee)
    })
  })
})
