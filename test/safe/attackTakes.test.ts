import { type Address, parseUnits } from 'viem'
import { describe, expect, it } from 'vitest'
import { worldAccounts } from '../../infra/world/accounts.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { usd, usdValue } from '../../runtime/core/units.ts'
import { attempt, attemptBatch } from './asMember.ts'
import { attackedSafe, ONE } from './attack.fixture.ts'

// The key of the agent is stolen. What the chain refuses it is in attackRefused.test.ts.

const DAY = 86_400n

const { scene, role, thief, accomplice, at, calls: make, stated, holdingsOf } = await attackedSafe()
const { account } = scene
const { client } = scene.world
const { weth, usdc, router, uniswapPool } = at
const { approve, transfer, toPool, swap, swapData, rescue } = make

/** Sells so much of a token that the pool's price is next to nothing, and returns what it was sold for. */
async function crash(from: Address, to: Address, amount: bigint): Promise<void> {
  const data = swapData(from, to, amount, accomplice.address)
  expect(await attempt(scene, accomplice, router, data)).toBe('done')
}

describe('what the thief can take all the same', () => {
  const equity = async () => (await holdingsOf(account.safe)).equity

  /**
   * What the thief and the accomplice have, at oracle prices. The pool is theirs: anybody may be all of the liquidity that
   * a pool has, and then what is paid in and what fees it takes are his.
   */
  async function booty(): Promise<bigint> {
    let sum = 0n
    for (const holder of [thief.address, accomplice.address, uniswapPool.address])
      for (const { token, wallet, price } of (await holdingsOf(holder)).tokens)
        if (price !== null) sum += usdValue(wallet, price, token.decimals, 'down')
    return sum
  }

  /** One round: everything that the allowances give, swapped while the pool's price is next to nothing. */
  async function robbery(): Promise<readonly string[]> {
    const results: string[] = []
    for (const [token, other, amount, push] of [
      [weth, usdc, 2n * ONE, 3_000_000n * ONE],
      [usdc, weth, parseUnits('5000', 6), parseUnits('900000000000', 6)],
    ] as const) {
      await crash(token, other, push)
      results.push(
        await attemptBatch(scene, thief, [approve(token, router, amount), swap(token, other, amount)]),
      )
    }
    return results
  }

  it('is no more than was stated before, and no less than most of it', async () => {
    const said = await stated()
    if (said.holds !== 'role' || said.most === null) throw new InvariantError('It was stated.')
    const [before, had] = [await equity(), await booty()]
    const { allowances, block } = (await scene.check(role)).role
    const [first] = [...allowances.values()]
    if (first === undefined) throw new InvariantError('There are allowances.')

    // The worst 24 hours begin just before the allowances are full again.
    const refill = first.timestamp + first.period * ((block.timestamp - first.timestamp) / first.period + 1n)
    await client.setNextBlockTimestamp({ timestamp: refill - 600n })
    expect(await robbery()).toEqual(['done', 'done'])
    expect(await robbery()).toEqual(['AllowanceExceeded', 'AllowanceExceeded'])
    await client.setNextBlockTimestamp({ timestamp: refill })
    expect(await robbery()).toEqual(['done', 'done'])
    await client.setNextBlockTimestamp({ timestamp: refill - 600n + DAY - 100n })
    expect(await robbery()).toEqual(['AllowanceExceeded', 'AllowanceExceeded'])

    // Nothing else moves any more: not a unit by any way that there is.
    for (const calls of [
      [swap(weth, usdc, 1n)],
      [transfer(usdc, worldAccounts.treasury.address, 1n)],
      [toPool('borrow', [usdc, 1n, 2n, 0, account.safe])],
      [toPool('withdraw', [weth, 1n, account.safe])],
      [rescue({ maxCollateral: 1n })],
    ])
      expect(await attemptBatch(scene, thief, calls)).toMatch(/OrViolation|AllowanceExceeded/)

    const lost = before - (await equity())
    const taken = (await booty()) - had
    for (const amount of [lost, taken]) {
      expect(amount).toBeLessThanOrEqual(said.most)
      expect(amount).toBeGreaterThan((said.most * 9n) / 10n)
    }
    // What the Safe lost is what they have, to the cent.
    expect(lost - taken).toBeLessThan(usd(10n ** 6n))
    expect(taken - lost).toBeLessThan(usd(10n ** 6n))
  })
})
