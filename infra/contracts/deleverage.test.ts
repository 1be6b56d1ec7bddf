import fc from 'fast-check'
import { parseEther, parseUnits } from 'viem'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Call, contractScene, dollars } from './test/scene.ts'

const scene = await contractScene()
const { actors, client, holdings, assertion, deleverage, ours, wethReserve, usdcReserve, aave } = scene

/** The plan: 6,000 of 15,000 dollars of debt are repaid out of the collateral, in the face of a falling price. */
const REPAY = parseUnits('6000', 6)
const owner = await scene.borrower('owner')
await scene.setPrice(dollars(1_876))
const cost = await scene.quoteUsdc(REPAY)
const TIGHT = (cost * 1_001n) / 1_000n
const LOOSE = (cost * 110n) / 100n
const FACTOR = parseEther('1.165')

const healthy = assertion('minHealthFactor', aave, owner.address, FACTOR)
const kept = (spent: bigint) =>
  assertion('minBalance', wethReserve.aToken, owner.address, parseEther('10') - spent)
const nothingLeft = assertion('zeroAllowance', wethReserve.aToken, owner.address, ours.flashRepay)

let snapshot: `0x${string}`
beforeEach(async () => {
  snapshot = await client.snapshot()
})
afterEach(async () => {
  await client.revert({ id: snapshot })
})

/** Sends the plan; before it in the same block comes what `disturb` sends. */
async function disturbed(calls: readonly Call[], disturb: () => Promise<unknown>) {
  const before = await holdings(owner)
  const { call, authorizations } = await scene.batch(owner, calls)
  const hash = await scene.send(owner, call, { authorizations })
  await disturb()
  const { transactions } = await actors.mineBlock()
  expect(transactions.at(-1)).toBe(hash)
  return { ...(await scene.outcome(hash)), before, after: await holdings(owner) }
}

/** Someone sells WETH right before the plan. The arbitrageur outbids everybody, so it can play that part. */
const dumpTo = (price: number) => () => actors.arbitrageTo(dollars(price))

describe('a deleverage that nobody disturbs', () => {
  it('does to the unit what it promised, and leaves nothing behind', async () => {
    const assertions = [healthy, kept(TIGHT), nothingLeft, assertion('notAfter', 2n ** 64n)]
    const { status, before, after } = await disturbed(
      [...deleverage(REPAY, TIGHT), ...assertions],
      async () => {},
    )
    expect(status).toBe('success')
    expect(before.aWeth - after.aWeth).toBeGreaterThanOrEqual(cost - 2n)
    expect(before.aWeth - after.aWeth).toBeLessThanOrEqual(cost + 2n)
    // Twelve seconds of interest on the debt are less than a hundredth of a dollar.
    expect(before.usdcDebt - after.usdcDebt).toBeGreaterThan(REPAY - 10_000n)
    expect(before.usdcDebt - after.usdcDebt).toBeLessThanOrEqual(REPAY)
    expect({ ...after, aWeth: 0n, usdcDebt: 0n }).toEqual({ ...before, aWeth: 0n, usdcDebt: 0n })
    expect(await scene.healthFactor(owner.address)).toBeGreaterThan(FACTOR)
    expect(await scene.allowance(wethReserve.aToken, owner.address, ours.flashRepay)).toBe(0n)
    expect(await scene.allowance(scene.usdc, ours.flashRepay, aave)).toBe(0n)
    expect(Object.values(await holdings({ address: ours.flashRepay }))).toEqual([0n, 0n, 0n, 0n, 0n, 0n])
  })

  it('repeats within one batch', async () => {
    const half = [...deleverage(REPAY / 2n, TIGHT / 2n), ...deleverage(REPAY / 2n, TIGHT / 2n)]
    const { status, before, after } = await disturbed([...half, healthy, nothingLeft], async () => {})
    expect(status).toBe('success')
    expect(before.usdcDebt - after.usdcDebt).toBeGreaterThan(REPAY - 10_000n)
  })
})

describe('a sandwich', () => {
  it.each([
    ['a tight maximum', TIGHT, [healthy, kept(TIGHT)], 1_840, 'TooMuchCollateral'],
    ['a floor under what is left', LOOSE, [kept(TIGHT), healthy], 1_840, 'BalanceTooLow'],
    [
      'a floor under the health factor',
      LOOSE,
      [assertion('minHealthFactor', aave, owner.address, parseEther('1.168'))],
      1_720,
      'HealthFactorTooLow',
    ],
  ] as const)('reverts at %s rather than executing badly', async (_, maximum, assertions, price, error) => {
    const { status, revert, before, after } = await disturbed(
      [...deleverage(REPAY, maximum), ...assertions, nothingLeft],
      dumpTo(price),
    )
    expect({ status, revert }).toEqual({ status: 'reverted', revert: error })
    expect({ ...after, usdcDebt: 0n }).toEqual({ ...before, usdcDebt: 0n })
  })

  it('keeps the promise or reverts, whatever comes before it in the block', async () => {
    const cents = (least: number, most: number) => fc.integer({ min: least * 100, max: most * 100 })
    const attack = fc.record({
      pool: fc.option(cents(1_700, 1_990), { nil: undefined }),
      oracle: fc.option(cents(1_750, 1_990), { nil: undefined }),
      slackBps: fc.bigInt({ min: 0n, max: 1_000n }),
    })
    const results = { success: 0, reverted: 0 }
    await fc.assert(
      fc.asyncProperty(attack, async ({ pool, oracle, slackBps }) => {
        const id = await client.snapshot()
        const maximum = (cost * (10_000n + slackBps)) / 10_000n + 2n
        const { status, before, after } = await disturbed(
          [...deleverage(REPAY, maximum), healthy, kept(TIGHT), nothingLeft],
          async () => {
            if (pool !== undefined) await dumpTo(pool / 100)()
            if (oracle !== undefined) await actors.pushPrice(dollars(oracle / 100))
          },
        )
        results[status]++
        if (status === 'success') {
          expect(after.aWeth).toBeGreaterThanOrEqual(before.aWeth - TIGHT)
          expect(after.usdcDebt).toBeLessThanOrEqual(before.usdcDebt - REPAY + 10_000n)
          expect(await scene.healthFactor(owner.address)).toBeGreaterThanOrEqual(FACTOR)
        } else expect({ ...after, usdcDebt: 0n }).toEqual({ ...before, usdcDebt: 0n })
        expect(await scene.allowance(wethReserve.aToken, owner.address, ours.flashRepay)).toBe(0n)
        expect({ ...(await holdings({ address: ours.flashRepay })) }).toMatchObject({ aWeth: 0n, usdc: 0n })
        await client.revert({ id })
      }),
      {
        numRuns: 40,
        examples: [
          [{ pool: 199_000, oracle: undefined, slackBps: 0n }],
          [{ pool: 170_000, oracle: 175_000, slackBps: 1_000n }],
        ],
      },
    )
    expect(results.success).toBeGreaterThan(0)
    expect(results.reverted).toBeGreaterThan(0)
  })

  it('would cost the owner dearly without them', async () => {
    const { status, before, after } = await disturbed(deleverage(REPAY, LOOSE), dumpTo(1_720))
    expect(status).toBe('success')
    expect(before.aWeth - after.aWeth).toBeGreaterThan((cost * 108n) / 100n)
  })

  it('shows in the mined transaction, not in a replay on the block before', async () => {
    const { call, authorizations } = await scene.batch(owner, [...deleverage(REPAY, TIGHT), healthy])
    const hash = await scene.send(owner, call, { authorizations })
    await dumpTo(1_840)()
    const { number } = await actors.mineBlock()
    expect(await scene.revertOf(hash)).toBe('TooMuchCollateral')
    const replay = {
      account: owner.address,
      ...call,
      authorizationList: authorizations,
      blockNumber: number - 1n,
    }
    await expect(client.call(replay)).resolves.toBeDefined()
  })
})

describe('what else may happen on the way', () => {
  it('a plan that is mined late reverts', async () => {
    const lastBlock = await client.getBlockNumber()
    const calls = [...deleverage(REPAY, TIGHT), healthy, assertion('notAfter', lastBlock)]
    expect(await disturbed(calls, async () => {})).toMatchObject({ status: 'reverted', revert: 'TooLate' })
    const inTime = [...deleverage(REPAY, TIGHT), healthy, assertion('notAfter', lastBlock + 2n)]
    expect(await scene.runBatch(owner, inTime)).toMatchObject({ status: 'success' })
  })

  it('an allowance that would be left over reverts', async () => {
    const [, repay] = deleverage(REPAY, TIGHT)
    const calls = [scene.approve(wethReserve.aToken, ours.flashRepay, TIGHT + 7n), repay as Call, nothingLeft]
    expect(await disturbed(calls, async () => {})).toMatchObject({
      status: 'reverted',
      revert: 'AllowanceLeft',
    })
  })

  it('a fall of the oracle in the same block reverts', async () => {
    const calls = [...deleverage(REPAY, TIGHT), healthy, kept(TIGHT)]
    const { status, revert } = await disturbed(calls, () => actors.pushPrice(dollars(1_830)))
    expect({ status, revert }).toEqual({ status: 'reverted', revert: 'HealthFactorTooLow' })
  })

  it('a debt that did not fall enough reverts', async () => {
    const ceiling = assertion(
      'maxBalance',
      usdcReserve.variableDebtToken,
      owner.address,
      parseUnits('8999', 6),
    )
    const calls = [...deleverage(REPAY, TIGHT), ceiling]
    expect(await disturbed(calls, async () => {})).toMatchObject({ revert: 'BalanceTooHigh' })
  })

  it('a gas estimate on the last block falls short when that block touched the reserves', async () => {
    const calls = [...deleverage(REPAY, TIGHT), healthy, kept(TIGHT), nothingLeft]
    const other = await scene.borrower('someone who touches the reserves')
    const touch = deleverage(parseUnits('100', 6), parseEther('0.06'))
    expect(await scene.runBatch(other, touch)).toMatchObject({ status: 'success' })

    const { call, authorizations } = await scene.batch(owner, calls)
    const request = { account: owner.address, ...call, authorizationList: authorizations }
    // At that block's own time both reserves are up to date, so bringing them up to date seems to cost nothing.
    const estimate = await client.estimateGas({ ...request, blockTag: 'latest' })
    const pending = await client.estimateGas({ ...request, blockTag: 'pending' })
    expect(pending).toBeGreaterThan(estimate)
    const statusWith = async (gas: bigint) => {
      const id = await client.snapshot()
      const { status } = await scene.run(owner, call, { authorizations, gas })
      await client.revert({ id })
      return status
    }
    expect(await statusWith(estimate)).toBe('reverted')
    expect(await statusWith((estimate * 13n) / 10n)).toBe('success')
    expect(await statusWith(pending)).toBe('success')
  })
})
