import {
  type AbiFunction,
  encodeAbiParameters,
  erc20Abi,
  type Hex,
  maxUint256,
  parseAbi,
  parseEther,
  parseUnits,
} from 'viem'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { tokenAmount, wei } from '../../runtime/core/units.ts'
import { fundAccounts } from '../world/fundAccounts.ts'
import { flashRepayArtifact } from './artifacts/FlashRepay.ts'
import { call, contractScene } from './test/scene.ts'

const scene = await contractScene()
const { client, usdc, weth, wethReserve, usdcReserve, aave, ours, holdings, order, deleverage, world } = scene
const helper = ours.flashRepay
const owner = await scene.borrower('owner')
const stranger = await scene.person('stranger')
const hostilePool = await scene.deployFixture('Hostile', 'HostilePool')
const hostileAave = await scene.deployFixture('Hostile', 'HostileAave')
const [SILENT, OTHER_PAYLOAD, TWICE, LIES, REENTERS, THROUGH_ANOTHER] = [0, 1, 2, 3, 4, 5]
const [TAKES_NOTHING, TAKES, ENTERS_AGAIN, CALLS_BACK] = [0, 1, 2, 3]

const REPAY = parseUnits('6000', 6)
const MAXIMUM = ((await scene.quoteUsdc(REPAY)) * 1_001n) / 1_000n
const [flashRepayItem] = flashRepayArtifact.abi.filter(
  (item) => item.type === 'function' && item.name === 'flashRepay',
)
const encodeOrder = (parameters: unknown): Hex =>
  encodeAbiParameters((flashRepayItem as AbiFunction).inputs, [parameters])
const callback = (amount0: bigint, amount1: bigint, data: Hex) =>
  call(helper, flashRepayArtifact.abi, 'uniswapV3SwapCallback', [amount0, amount1, data])
const poolPlays = (kind: number | undefined, payload: Hex = '0x') =>
  scene.run(stranger, call(hostilePool.address, hostilePool.abi, 'set', [kind, payload]))
const aavePlays = (kind: number | undefined, again: unknown) =>
  scene.run(stranger, call(hostileAave.address, hostileAave.abi, 'set', [kind, again]))
const balanceOfHelper = () => holdings({ address: helper })
const poolActions = parseAbi([
  'function supply(address asset, uint256 amount, address onBehalfOf, uint16 referralCode)',
  'function borrow(address asset, uint256 amount, uint256 rateMode, uint16 referralCode, address onBehalfOf)',
])
const EMPTY = { weth: 0n, usdc: 0n, aWeth: 0n, aUsdc: 0n, wethDebt: 0n, usdcDebt: 0n }

let snapshot: Hex
beforeEach(async () => {
  snapshot = await client.snapshot()
})
afterEach(async () => {
  await client.revert({ id: snapshot })
})

describe('flashRepay', () => {
  it('repays no more than is owed, and gives the rest back', async () => {
    const { usdcDebt } = await holdings(owner)
    const tooMuch = usdcDebt + parseUnits('25', 6)
    const maximum = (await scene.quoteUsdc(tooMuch)) + 10n ** 12n
    expect(await scene.runBatch(owner, deleverage(tooMuch, maximum))).toMatchObject({ status: 'success' })
    const after = await holdings(owner)
    expect(after.usdcDebt).toBe(0n)
    // Less the interest of one block.
    expect(after.usdc).toBeLessThanOrEqual(parseUnits('25', 6))
    expect(after.usdc).toBeGreaterThan(parseUnits('24.9', 6))
    expect(await balanceOfHelper()).toEqual(EMPTY)
    expect(await scene.allowance(usdc, helper, aave)).toBe(0n)
  })

  it('works the other way round: dollars as collateral, WETH owed', async () => {
    const trader = await scene.person('dollar holder')
    await fundAccounts(world, [{ account: trader.address, usdc: tokenAmount(parseUnits('20000', 6)) }])
    const supply = [
      scene.approve(usdc, aave, parseUnits('20000', 6)),
      call(aave, poolActions, 'supply', [usdc, parseUnits('20000', 6), trader.address, 0]),
      call(aave, poolActions, 'borrow', [weth, parseEther('5'), 2n, 0, trader.address]),
    ]
    expect(await scene.runBatch(trader, supply)).toMatchObject({ status: 'success' })
    const maximum = parseUnits('4100', 6)
    const before = await holdings(trader)
    const repay = {
      ...order(parseEther('2'), maximum),
      ...{ debtAsset: weth, collateralAsset: usdc, aToken: usdcReserve.aToken },
    }
    const plan = [scene.approve(usdcReserve.aToken, helper, maximum), scene.flashRepay(repay)]
    expect(await scene.runBatch(trader, plan)).toMatchObject({ status: 'success' })
    const after = await holdings(trader)
    expect(Number(before.wethDebt - after.wethDebt) / 1e18).toBeCloseTo(2, 4)
    expect(Number(before.aUsdc - after.aUsdc) / 1e6).toBeCloseTo(4_000, -1)
    expect(await balanceOfHelper()).toEqual(EMPTY)
  })

  it('returns what it spent', async () => {
    await scene.run(owner, scene.approve(wethReserve.aToken, helper, MAXIMUM))
    const { result } = await client.simulateContract({
      ...{ address: helper, abi: flashRepayArtifact.abi, functionName: 'flashRepay', account: owner.address },
      args: [order(REPAY, MAXIMUM)],
    })
    expect(result).toBe(await scene.quoteUsdc(REPAY))
  })

  it.each([
    ['a maximum that the swap exceeds', REPAY, MAXIMUM / 2n, 'TooMuchCollateral'],
    ['more than the pool has', parseUnits('90000000', 6), parseEther('10'), 'PartialFill'],
    ['nothing', 0n, MAXIMUM, 'BadAmount'],
    ['an amount beyond all measure', 2n ** 255n, MAXIMUM, 'BadAmount'],
  ])('reverts at %s', async (_, amount, maximum, revert) => {
    const result = await scene.runBatch(owner, deleverage(amount, maximum), { gas: 20_000_000n })
    expect(result).toMatchObject({ status: 'reverted', revert })
  })

  it('reverts without an allowance, and with one that is too small', async () => {
    expect(await scene.runBatch(owner, [scene.flashRepay(order(REPAY, MAXIMUM))])).toMatchObject({
      status: 'reverted',
    })
    const short = [
      scene.approve(wethReserve.aToken, helper, MAXIMUM - 1n),
      scene.flashRepay(order(REPAY, MAXIMUM)),
    ]
    expect(await scene.runBatch(owner, short)).toMatchObject({ status: 'reverted' })
  })
})

describe('a stranger', () => {
  it('cannot call back', async () => {
    const data = encodeOrder(order(REPAY, MAXIMUM))
    for (const [amount0, amount1] of [
      [1n, -REPAY],
      [-REPAY, 1n],
      [0n, 0n],
    ] as const)
      expect(await scene.run(stranger, callback(amount0, amount1, data))).toMatchObject({
        revert: 'UnexpectedCallback',
      })
  })

  it("cannot use another's allowance, not even an unlimited one", async () => {
    await scene.run(owner, scene.approve(wethReserve.aToken, helper, maxUint256))
    const before = await holdings(owner)
    expect(await scene.run(stranger, scene.flashRepay(order(REPAY, MAXIMUM)))).toMatchObject({
      status: 'reverted',
    })
    const inOwnName = scene.flashRepay({
      ...order(1n, MAXIMUM),
      pool: hostilePool.address,
      aave: hostileAave.address,
    })
    await poolPlays(LIES)
    await aavePlays(TAKES_NOTHING, order(1n, 1n))
    expect(await scene.run(stranger, inOwnName)).toMatchObject({ status: 'reverted' })
    const after = await holdings(owner)
    expect({ aWeth: after.aWeth, weth: after.weth, usdc: after.usdc }).toEqual({
      ...{ aWeth: before.aWeth, weth: before.weth, usdc: before.usdc },
    })
  })
})

describe('a made-up pool', () => {
  const byHostilePool = () => scene.flashRepay({ ...order(REPAY, MAXIMUM), pool: hostilePool.address })

  it.each([
    ['does not call back', SILENT, 'CallbackMissing'],
    ['calls back through another', THROUGH_ANOTHER, 'UnexpectedCallback'],
    ['claims to have paid what it did not', LIES, 'ERC20InsufficientBalance'],
  ])('that %s gets nowhere', async (_, kind, revert) => {
    await poolPlays(kind)
    expect(await scene.run(owner, byHostilePool())).toMatchObject({ status: 'reverted', revert })
  })

  it("that calls back with another's order gets nowhere, whatever that one allowed", async () => {
    await scene.run(owner, scene.approve(wethReserve.aToken, helper, maxUint256))
    await poolPlays(OTHER_PAYLOAD, encodeOrder(order(REPAY, parseEther('10'))))
    expect(await scene.run(stranger, byHostilePool())).toMatchObject({ revert: 'UnexpectedCallback' })
  })

  it('that calls back twice gets nowhere', async () => {
    await poolPlays(TWICE)
    await aavePlays(TAKES_NOTHING, order(1n, 1n))
    // With nothing to pay and nothing to pull, the first callback goes through: a token of no amount.
    const harmless = { ...order(1n, 1n), pool: hostilePool.address, aave: hostileAave.address }
    const token = await scene.ownToken(stranger)
    const twice = { ...harmless, aToken: token, debtAsset: token, collateralAsset: weth }
    expect(await scene.run(stranger, scene.flashRepay(twice))).toMatchObject({ revert: 'UnexpectedCallback' })
  })

  it('that enters again gets nowhere', async () => {
    await poolPlays(REENTERS)
    await scene.run(stranger, call(hostilePool.address, hostilePool.abi, 'setAgain', [order(REPAY, MAXIMUM)]))
    expect(await scene.run(stranger, byHostilePool())).toMatchObject({ revert: 'Busy' })
  })
})

describe('a made-up lending pool', () => {
  it('is left no allowance to lie in wait with', async () => {
    await poolPlays(LIES)
    await aavePlays(TAKES_NOTHING, order(1n, 1n))
    const token = await scene.ownToken(stranger)
    const bait = {
      ...order(REPAY, MAXIMUM),
      ...{
        pool: hostilePool.address,
        aave: hostileAave.address,
        debtAsset: usdc,
        aToken: token,
        collateralAsset: weth,
      },
    }
    expect(await scene.run(stranger, scene.flashRepay(bait))).toMatchObject({ status: 'success' })
    expect(await scene.allowance(usdc, helper, hostileAave.address)).toBe(0n)
    const grab = call(hostileAave.address, hostileAave.abi, 'take', [usdc, helper, 1n])
    expect(await scene.run(stranger, grab)).toMatchObject({ status: 'reverted' })
    // And whoever comes next is none the worse for it.
    expect(await scene.runBatch(owner, deleverage(REPAY, MAXIMUM))).toMatchObject({ status: 'success' })
  })

  it.each([
    ['enters again', ENTERS_AGAIN, 'Busy'],
    ['calls back', CALLS_BACK, 'UnexpectedCallback'],
  ])('that %s gets nowhere', async (_, kind, revert) => {
    const parameters = { ...order(REPAY, MAXIMUM), aave: hostileAave.address }
    await aavePlays(kind, parameters)
    const plan = [scene.approve(wethReserve.aToken, helper, MAXIMUM), scene.flashRepay(parameters)]
    expect(await scene.runBatch(owner, plan)).toMatchObject({ status: 'reverted', revert })
  })
})

describe('what was sent here by mistake', () => {
  const strays = async () => {
    const giver = await scene.borrower('giver')
    await fundAccounts(world, [
      { account: giver.address, eth: wei(parseEther('1')), usdc: tokenAmount(parseUnits('500', 6)) },
    ])
    await scene.run(giver, call(usdc, erc20Abi, 'transfer', [helper, parseUnits('500', 6)]))
    await scene.run(giver, call(wethReserve.aToken, erc20Abi, 'transfer', [helper, 5n]))
    return await balanceOfHelper()
  }

  it('blocks nobody, and goes to the next caller', async () => {
    expect(await strays()).toMatchObject({ usdc: parseUnits('500', 6) })
    expect(await scene.runBatch(owner, deleverage(REPAY, MAXIMUM))).toMatchObject({ status: 'success' })
    expect((await holdings(owner)).usdc).toBe(parseUnits('500', 6))
    expect(await balanceOfHelper()).toEqual(EMPTY)
  })

  it('is all that a pretended swap can reach', async () => {
    await strays()
    await scene.run(owner, scene.approve(wethReserve.aToken, helper, maxUint256))
    const before = await holdings(owner)
    await poolPlays(LIES)
    await aavePlays(TAKES, order(1n, 1n))
    const token = await scene.ownToken(stranger)
    const grab = {
      ...order(parseUnits('500', 6), 1n),
      pool: hostilePool.address,
      aave: hostileAave.address,
      aToken: token,
    }
    expect(await scene.run(stranger, scene.flashRepay(grab))).toMatchObject({ status: 'success' })
    expect(await scene.holdings({ address: hostileAave.address })).toMatchObject({
      usdc: parseUnits('500', 6),
    })
    expect(await holdings(owner)).toMatchObject({ aWeth: before.aWeth, usdc: before.usdc })
  })

  it('is not even taken when it is ether', async () => {
    expect(await scene.run(stranger, { to: helper, value: 1n })).toMatchObject({ status: 'reverted' })
  })
})
