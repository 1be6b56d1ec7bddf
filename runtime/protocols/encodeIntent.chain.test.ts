import fc from 'fast-check'
import { concatHex } from 'viem'
import { describe, expect, it } from 'vitest'
import {
  dollars,
  ether,
  fixed18,
  price,
  protocolWorld,
  reserveIn,
  someone,
} from '../../test/protocolWorld.ts'
import type { Action } from '../core/intent.ts'
import type { Call } from '../core/lifecycle.ts'
import { findPosition, type PositionState, type Snapshot } from '../core/snapshot.ts'
import { MAX_UINT256, type TokenAmount, tokenAmount, wad } from '../core/units.ts'
import { findReservePosition } from './aave-v3/healthFactor.ts'
import { debtBalance, suppliedBalance } from './aave-v3/interest.ts'
import { projectLiquidation } from './aave-v3/liquidation.ts'
import { decodeCall } from './decodeCall.ts'
import { encodeIntent, IntentNotEncodableError } from './encodeIntent.ts'
import { allowance } from './erc20/read.ts'
import { InfeasibleActionError } from './errors.ts'
import { type DeleverageRoute, projectDeleverage, repayForHealthFactor } from './projectDeleverage.ts'
import { listReads, readAll } from './read.ts'
import { encodeExecute } from './rialto/encode.ts'
import { quoteExactIn } from './uniswap-v3/quote.ts'

const NEVER = 2n ** 64n

describe('plans on the real contracts', async () => {
  const { book, chain, head, world, send, fund, snapshot, setPrice, undone, weth, usdc, pool } =
    await protocolWorld()
  const { rialto, aaveV3 } = book
  if (rialto === undefined) throw new Error('the world has our contracts')
  const [alice, bob] = [someone(11), someone(12)]
  await fund({ account: alice, weth: ether('30'), usdc: dollars('20000') })
  await fund({ account: bob, usdc: dollars('50000') })
  for (const account of [alice, bob])
    await world.rpc('anvil_setCode', account, concatHex(['0xef0100', rialto.batchAccount]))

  const options = { minHealthFactor: fixed18('1.02'), lastValidBlock: NEVER }
  const encode = (action: Action, state: Snapshot) => encodeIntent(action, state, book, options)
  const run = (account: typeof alice, calls: readonly Call[], timestamp?: bigint) =>
    send(account, { to: account, data: encodeExecute(calls) }, timestamp)
  const act = async (account: typeof alice, action: Action) =>
    run(account, encode(action, await snapshot(account)))
  const positionOf = (state: Snapshot, user = alice): PositionState => {
    const position = findPosition(state, user)
    if (position === undefined) throw new Error('no position')
    return position
  }
  const balance = (state: Snapshot, token: string): bigint =>
    state.wallet.tokens.find((entry) => entry.token === token)?.balance ?? 0n
  /** Every allowance that a plan could leave. */
  const allowancesLeft = async (account: typeof alice): Promise<bigint> => {
    const spenders = [aaveV3.pool, book.uniswapV3.swapRouter, rialto.flashRepay]
    const tokens = [weth, usdc, ...aaveV3.reserves.map(({ aToken }) => aToken)]
    const reads = tokens.flatMap((token) => spenders.map((spender) => allowance(token, account, spender)))
    const { left } = await readAll(chain, (await head()).hash, { left: listReads(reads) })
    return left.reduce((sum, amount) => sum + amount, 0n)
  }

  const expiresAtBlock = NEVER
  const supply = (amount: TokenAmount, asset = weth): Action => ({
    kind: 'supply',
    asset,
    amount,
    expiresAtBlock,
  })
  const borrow = (amount: TokenAmount, asset = usdc): Action => ({
    kind: 'borrow',
    asset,
    amount,
    expiresAtBlock,
  })

  it('carries out every kind of intent, and leaves no allowance', async () => {
    await undone(async () => {
      const steps: readonly ((state: Snapshot) => Action)[] = [
        () => supply(ether('10')),
        () => borrow(dollars('10000')),
        () => ({
          kind: 'repay',
          asset: usdc,
          amount: dollars('1000'),
          minHealthFactor: fixed18('1.8'),
          expiresAtBlock,
        }),
        () => ({ kind: 'withdraw', asset: weth, amount: ether('1'), expiresAtBlock }),
        (state) => {
          const [first] = state.pools
          if (first === undefined) throw new Error('no pool')
          const minAmountOut = quoteExactIn(first, weth, ether('2')).amountOut
          return {
            kind: 'swap',
            tokenIn: weth,
            tokenOut: usdc,
            pool,
            amountIn: ether('2'),
            minAmountOut,
            expiresAtBlock,
          }
        },
        () => ({ kind: 'transfer', asset: usdc, to: bob, amount: dollars('5'), expiresAtBlock }),
        () => ({
          kind: 'deleverage',
          collateral: weth,
          debt: usdc,
          pool,
          repayAmount: dollars('2000'),
          maxCollateralIn: ether('1.01'),
          minHealthFactor: fixed18('1.8'),
          expiresAtBlock,
        }),
        // More than is owed: the debt ends, the rest of the approval too.
        () => ({
          kind: 'repay',
          asset: usdc,
          amount: dollars('9000'),
          minHealthFactor: wad(MAX_UINT256),
          expiresAtBlock,
        }),
        () => ({ kind: 'withdraw', asset: weth, amount: ether('7.5'), expiresAtBlock }),
      ]
      for (const step of steps) {
        const action = step(await snapshot(alice))
        expect({ kind: action.kind, done: await act(alice, action) }).toEqual({
          kind: action.kind,
          done: true,
        })
        expect(await allowancesLeft(alice)).toBe(0n)
      }
      const end = await snapshot(alice)
      expect(positionOf(end).account.totalDebt).toBe(0n)
      expect(balance(end, weth)).toBeGreaterThan(ether('26'))
    })
  })

  it('liquidates', async () => {
    await undone(async () => {
      await act(alice, supply(ether('10')))
      await act(alice, borrow(dollars('15000')))
      await setPrice({ oracle: price('1780') })
      const state = await snapshot(bob, { positions: [alice, bob] })
      const debtToCover = dollars('9000') // more than half: Aave takes half, the approval's rest must go
      const { timestamp } = state.block
      const expected = projectLiquidation(
        positionOf(state),
        state.reserves,
        weth,
        usdc,
        debtToCover,
        timestamp,
      )
      const action: Action = {
        kind: 'liquidate',
        collateral: weth,
        debt: usdc,
        user: alice,
        debtToCover,
        minCollateralOut: expected.collateralSeized,
        expiresAtBlock,
      }
      expect(await run(bob, encode(action, state))).toBe(true)
      expect(await allowancesLeft(bob)).toBe(0n)
      const after = await snapshot(bob)
      expect(balance(after, weth)).toBeGreaterThanOrEqual(expected.collateralSeized)
    })
  })

  it('reverts rather than ends worse than it said', async () => {
    await undone(async () => {
      await act(alice, supply(ether('10')))
      await act(alice, borrow(dollars('14000')))
      const state = await snapshot(alice)
      const attempt = (action: Action, bounds = options) =>
        undone(() => run(alice, encodeIntent(action, state, book, bounds)))
      const repay = (floor: string): Action => ({
        kind: 'repay',
        asset: usdc,
        amount: dollars('2000'),
        minHealthFactor: fixed18(floor),
        expiresAtBlock,
      })
      // 0.825 * 20,000 / 12,000 is 1.375.
      expect(await attempt(repay('1.3749'))).toBe(true)
      expect(await attempt(repay('1.3751'))).toBe(false)
      // 0.825 * 20,000 / 15,000 is 1.1.
      expect(await attempt(borrow(dollars('1000')), { ...options, minHealthFactor: fixed18('1.0999') })).toBe(
        true,
      )
      expect(await attempt(borrow(dollars('1000')), { ...options, minHealthFactor: fixed18('1.1001') })).toBe(
        false,
      )
      // The next block is allowed, then it is not.
      const { number } = state.block
      expect(await attempt(repay('1'), { ...options, lastValidBlock: number + 1n })).toBe(true)
      expect(await attempt(repay('1'), { ...options, lastValidBlock: number })).toBe(false)
      expect(await attempt({ ...repay('1'), expiresAtBlock: number })).toBe(false)
    })
  })

  it('keeps the floor on collateral even where the health factor would pass', async () => {
    await undone(async () => {
      await act(alice, supply(ether('10')))
      await act(alice, borrow(dollars('8000')))
      const state = await snapshot(alice)
      const action: Action = { kind: 'withdraw', asset: weth, amount: ether('1'), expiresAtBlock }
      const calls = encode(action, state)
      // Somebody gets the account to do the same again in the same block: health factor fine, collateral not.
      const [withdraw] = calls
      if (withdraw === undefined) throw new Error('no call')
      expect(await undone(() => run(alice, calls))).toBe(true)
      expect(await undone(() => run(alice, [withdraw, ...calls]))).toBe(false)
    })
  })

  it('projects a deleverage to the wei, and finds the smallest that reaches a health factor', async () => {
    const seen = { reached: 0, unreachable: 0 }
    const scene = fc.record({
      debt: fc.integer({ min: 12_000, max: 15_500 }),
      // 0.825 * 10 * price / debt: from healthy to under water.
      price: fc.integer({ min: 1_450, max: 2_000 }),
      poolOffset: fc.integer({ min: -200, max: 200 }),
      target: fc.integer({ min: 1_020, max: 3_000 }),
      seconds: fc.integer({ min: 1, max: 10_000 }),
    })
    await fc.assert(
      fc.asyncProperty(scene, async (values) => {
        await undone(async () => {
          await act(alice, supply(ether('10')))
          await act(alice, borrow(dollars(values.debt.toString())))
          const market = (values.price * (10_000 + values.poolOffset)) / 10_000
          await setPrice({ oracle: price(values.price.toString()), pool: price(market.toFixed(2)) })
          const state = await snapshot(alice)
          const timestamp = state.block.timestamp + BigInt(values.seconds)
          const route: DeleverageRoute = { user: alice, collateral: weth, debt: usdc, pool, timestamp }
          const target = wad(BigInt(values.target) * 10n ** 15n)
          const solution = repayForHealthFactor(state, route, target)
          if (solution === null) {
            seen.unreachable++
            const isThere = positionOf(state).account.healthFactor >= target
            const isUnderWater = positionOf(state).account.healthFactor < fixed18('0.85')
            expect(isThere || isUnderWater).toBe(true)
            return
          }
          seen.reached++
          const { repayAmount, collateralIn, position: expected } = solution
          expect(expected.account.healthFactor).toBeGreaterThanOrEqual(target)
          // One unit less does not do.
          const less = projectDeleverage(state, route, tokenAmount(repayAmount - 1n))
          expect(less.position.account.healthFactor).toBeLessThan(target)

          const action: Action = {
            kind: 'deleverage',
            collateral: weth,
            debt: usdc,
            pool,
            repayAmount,
            maxCollateralIn: tokenAmount(collateralIn + 1n),
            minHealthFactor: expected.account.healthFactor,
            expiresAtBlock,
          }
          expect(await run(alice, encode(action, state), timestamp)).toBe(true)
          const after = await snapshot(alice)
          expect(after.block.timestamp).toBe(timestamp)
          expect(positionOf(after)).toEqual(expected)
          expect(balance(after, usdc) - balance(state, usdc)).toBe(solution.excess)
          expect(balance(after, weth)).toBe(balance(state, weth))
          expect(await allowancesLeft(alice)).toBe(0n)
        })
      }),
      { numRuns: 25 },
    )
    expect(seen.reached).toBeGreaterThan(5)
  })

  it('projects a deleverage of more than is owed', async () => {
    await undone(async () => {
      await act(alice, supply(ether('10')))
      await act(alice, borrow(dollars('10000')))
      const state = await snapshot(alice)
      const timestamp = state.block.timestamp + 12n
      const route: DeleverageRoute = { user: alice, collateral: weth, debt: usdc, pool, timestamp }
      const owed = debtBalance(
        findReservePosition(positionOf(state), usdc),
        reserveIn(state, usdc),
        timestamp,
      )
      const repayAmount = tokenAmount(owed + 123_456n)
      const expected = projectDeleverage(state, route, repayAmount)
      expect(expected).toMatchObject({ repaid: owed, excess: 123_456n })
      const action: Action = {
        kind: 'deleverage',
        collateral: weth,
        debt: usdc,
        pool,
        repayAmount,
        maxCollateralIn: tokenAmount(expected.collateralIn + 1n),
        minHealthFactor: wad(MAX_UINT256),
        expiresAtBlock,
      }
      expect(await run(alice, encode(action, state), timestamp)).toBe(true)
      const after = await snapshot(alice)
      expect(positionOf(after)).toEqual(expected.position)
      expect(balance(after, usdc) - balance(state, usdc)).toBe(123_456n)
    })
  })

  it('says no where Aave or the pool would', async () => {
    await undone(async () => {
      await act(alice, supply(ether('10')))
      await act(alice, borrow(dollars('15000')))
      await setPrice({ oracle: price('1400'), pool: price('1400') })
      const state = await snapshot(alice)
      const route: DeleverageRoute = { user: alice, collateral: weth, debt: usdc, pool }
      const attempt = (text: string) => () => projectDeleverage(state, route, dollars(text))
      // Under water: the health factor ends under 1 whatever is repaid, or the collateral does not suffice.
      expect(attempt('1000')).toThrow(InfeasibleActionError)
      expect(attempt('14500')).toThrow(InfeasibleActionError)
      expect(repayForHealthFactor(state, route, fixed18('1.05'))).toBeNull()
    })
  })

  it('makes plans whose every call it can read again', async () => {
    await undone(async () => {
      await act(alice, supply(ether('10')))
      await act(alice, borrow(dollars('10000')))
      const state = await snapshot(alice)
      const action: Action = {
        kind: 'deleverage',
        collateral: weth,
        debt: usdc,
        pool,
        repayAmount: dollars('100'),
        maxCollateralIn: ether('0.06'),
        minHealthFactor: fixed18('1.2'),
        expiresAtBlock: 77n,
      }
      const read = encode(action, state).map((call) => decodeCall(call, book))
      const left = suppliedBalance(
        findReservePosition(positionOf(state), weth),
        reserveIn(state, weth),
        state.block.timestamp,
      )
      const aToken = reserveIn(state, weth).aToken
      expect(read).toMatchObject([
        {
          contract: 'aave-v3.aToken:WETH',
          functionName: 'approve',
          args: [rialto.flashRepay, ether('0.06')],
        },
        {
          contract: 'rialto.flashRepay',
          functionName: 'flashRepay',
          args: [
            {
              aave: aaveV3.pool,
              pool,
              debtAsset: usdc,
              collateralAsset: weth,
              aToken,
              repayAmount: dollars('100'),
              maxCollateral: ether('0.06'),
            },
          ],
        },
        {
          contract: 'rialto.assert',
          functionName: 'minHealthFactor',
          args: [aaveV3.pool, alice, fixed18('1.2')],
        },
        {
          contract: 'rialto.assert',
          functionName: 'minBalance',
          args: [aToken, alice, left - ether('0.06') - 8n],
        },
        {
          contract: 'rialto.assert',
          functionName: 'zeroAllowance',
          args: [aToken, alice, rialto.flashRepay],
        },
        { contract: 'rialto.assert', functionName: 'notAfter', args: [77n] },
      ])
    })
  })

  it('refuses what contradicts itself', async () => {
    const state = await snapshot(alice)
    const same = { kind: 'swap', tokenIn: weth, tokenOut: weth, pool } as const
    expect(() =>
      encode({ ...same, amountIn: ether('1'), minAmountOut: ether('1'), expiresAtBlock }, state),
    ).toThrow(IntentNotEncodableError)
    expect(() => encode(supply(tokenAmount(MAX_UINT256)), state)).toThrow(IntentNotEncodableError)
  })
})
