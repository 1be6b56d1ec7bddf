import { type Address, erc20Abi, keccak256, parseAbi, parseEther, parseUnits } from 'viem'
import { describe, expect, it } from 'vitest'
import { usd } from '../../../runtime/core/units.ts'
import { assertArtifact } from '../../contracts/artifacts/Assert.ts'
import { batchAccountArtifact } from '../../contracts/artifacts/BatchAccount.ts'
import { flashRepayArtifact } from '../../contracts/artifacts/FlashRepay.ts'
import { worldAccounts } from '../accounts.ts'
import { createActors } from '../actors.ts'
import { isToken0, usd8Of } from '../price.ts'
import { readBalance } from '../readBalance.ts'
import { STARTING_PRICE } from '../scenarios/scenario.ts'
import { testWorld } from '../testWorld.ts'
import { WORLD_PRICE } from './deployWorld.ts'

const world = await testWorld({ automine: false })
const { client, rpc, addressBook: book } = world
const actors = createActors(world)
const weth = book.wrappedNative
const usdc = book.tokens[1]?.address as Address
const wethIsToken0 = isToken0(weth, usdc)

const quoterAbi = parseAbi([
  'struct Quote { address tokenIn; address tokenOut; uint256 amountIn; uint24 fee; uint160 sqrtPriceLimitX96; }',
  'function quoteExactInputSingle(Quote) returns (uint256 amountOut, uint160 sqrtPriceX96After, uint32 ticksCrossed, uint256 gas)',
])
const routerAbi = parseAbi([
  'struct Swap { address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 deadline; uint256 amountIn; uint256 amountOutMinimum; uint160 sqrtPriceLimitX96; }',
  'function exactInputSingle(Swap) payable returns (uint256)',
])
const oracleAbi = parseAbi(['function getAssetPrice(address) view returns (uint256)'])
const dataProviderAbi = parseAbi([
  'function getReserveConfigurationData(address) view returns (uint256 decimals, uint256 ltv, uint256 liquidationThreshold, uint256 liquidationBonus, uint256 reserveFactor, bool usageAsCollateralEnabled, bool borrowingEnabled, bool stableBorrowRateEnabled, bool isActive, bool isFrozen)',
])

/** What the quoter says of selling WETH. */
async function quote(amountIn: bigint) {
  const { result } = await client.simulateContract({
    address: book.uniswapV3.quoter,
    abi: quoterAbi,
    functionName: 'quoteExactInputSingle',
    args: [{ tokenIn: weth, tokenOut: usdc, amountIn, fee: 500, sqrtPriceLimitX96: 0n }],
  })
  const [amountOut, sqrtPriceX96After, ticksCrossed] = result
  return { amountOut, priceAfter: Number(usd8Of(sqrtPriceX96After, wethIsToken0)) / 1e8, ticksCrossed }
}

describe('the address book', () => {
  it('names contracts, each where it is on every machine', async () => {
    expect(book).toMatchSnapshot()
    const addresses = JSON.stringify(book).match(/0x[0-9a-fA-F]{40}/g) as Address[]
    for (const address of addresses)
      expect((await client.getCode({ address }))?.length ?? 0).toBeGreaterThan(2)
  })

  it('names our own contracts as they were compiled', async () => {
    for (const [address, { runtimeHash }] of [
      [book.rialto?.assert, assertArtifact],
      [book.rialto?.batchAccount, batchAccountArtifact],
      [book.rialto?.flashRepay, flashRepayArtifact],
    ] as const)
      expect(keccak256((await client.getCode({ address: address as Address })) ?? '0x')).toBe(runtimeHash)
  })

  it('holds none of the accounts whose keys everybody knows', () => {
    for (const { address } of Object.values(worldAccounts))
      expect(JSON.stringify(book)).not.toContain(address)
  })
})

it('begins at the price at which scenarios begin', () => {
  expect(WORLD_PRICE).toBe(STARTING_PRICE)
})

describe('the Uniswap pool', () => {
  it('is ordered by address', () => {
    const [pool] = book.uniswapV3.pools
    expect([pool?.token0, pool?.token1]).toEqual(wethIsToken0 ? [weth, usdc] : [usdc, weth])
  })

  it('stands at 2,000 dollars and takes 20 WETH within 0.3 %', async () => {
    expect(Number(await actors.poolPrice()) / 1e8).toBeCloseTo(2_000, 6)
    const { amountOut, priceAfter } = await quote(parseEther('20'))
    expect(priceAfter).toBeGreaterThan(2_000 * 0.997)
    expect(priceAfter).toBeLessThan(2_000)
    expect(Number(amountOut) / 1e6).toBeGreaterThan(40_000 * 0.997)
  })

  it('gives what the quoter says, to the unit', async () => {
    const trader = world.wallet(worldAccounts.whale)
    const recipient = worldAccounts.whale.address
    const amountIn = parseEther('300')
    const { amountOut } = await quote(amountIn)
    const before = await readBalance(rpc, usdc, recipient)
    const hash = await trader.writeContract({
      address: book.uniswapV3.swapRouter,
      abi: routerAbi,
      functionName: 'exactInputSingle',
      args: [
        {
          ...{ tokenIn: weth, tokenOut: usdc, fee: 500, recipient, deadline: 2n ** 64n },
          ...{ amountIn, amountOutMinimum: 0n, sqrtPriceLimitX96: 0n },
        },
      ],
      value: amountIn,
      gas: 500_000n,
      maxFeePerGas: 10n ** 10n,
      maxPriorityFeePerGas: 1n,
      chain: world.chain,
    })
    await actors.mineBlock()
    expect((await client.getTransactionReceipt({ hash })).status).toBe('success')
    expect((await readBalance(rpc, usdc, recipient)) - before).toBe(amountOut)
  })

  it('is deep from 400 to 4,000 dollars, with initialised ticks on the way', async () => {
    for (const price of [400, 700, 1_000, 1_500, 2_500, 4_000]) {
      await actors.arbitrageTo(usd(BigInt(price) * 10n ** 8n))
      await actors.mineBlock()
      expect(Number(await actors.poolPrice()) / 1e8).toBeCloseTo(price, 3)
      expect((await quote(parseEther('20'))).priceAfter).toBeGreaterThan(price * 0.995)
      expect((await quote(parseEther('5000'))).ticksCrossed).toBeGreaterThan(0)
    }
  })
})

describe('the Aave markets', () => {
  const configuration = async (asset: Address) =>
    (
      await client.readContract({
        address: book.aaveV3.dataProvider,
        abi: dataProviderAbi,
        functionName: 'getReserveConfigurationData',
        args: [asset],
      })
    ).slice(0, 9)
  const price = (asset: Address) =>
    client.readContract({
      ...{ address: book.aaveV3.oracle, abi: oracleAbi, functionName: 'getAssetPrice', args: [asset] },
    })

  it('have the parameters of mainnet', async () => {
    const flags = [true, true, false, true]
    expect(await configuration(weth)).toEqual([18n, 8_000n, 8_250n, 10_500n, 1_500n, ...flags])
    expect(await configuration(usdc)).toEqual([6n, 7_700n, 8_000n, 10_450n, 1_000n, ...flags])
  })

  it('hold what others borrow', async () => {
    const amounts = [parseEther('5000'), parseUnits('30000000', 6)]
    expect(book.aaveV3.reserves.map(({ asset }) => asset)).toEqual([weth, usdc])
    for (const [index, { asset, aToken }] of book.aaveV3.reserves.entries()) {
      expect(await readBalance(rpc, asset, aToken)).toBe(amounts[index])
      const symbol = await client.readContract({ address: aToken, abi: erc20Abi, functionName: 'symbol' })
      expect(symbol).toBe(['aLocWETH', 'aLocUSDC'][index])
    }
  })

  it('read their prices from Chainlink', async () => {
    expect(await price(weth)).toBe(2_000n * 10n ** 8n)
    expect(await price(usdc)).toBe(10n ** 8n)
    await actors.pushPrice(usd(99_000_000n), usdc)
    await actors.mineBlock()
    expect(await price(usdc)).toBe(99_000_000n)
  })
})
