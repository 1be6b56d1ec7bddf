import { type Address, parseAbi, parseEther, parseUnits } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { describe, expect, it } from 'vitest'
import { tokenAmount, type Usd, usd, wei } from '../../runtime/core/units.ts'
import { createActors } from './actors.ts'
import { WorldRpcError, WorldTimeError, WorldTransactionError } from './errors.ts'
import { fundAccounts } from './fundAccounts.ts'
import { openPositions, type PositionRequest } from './openPositions.ts'
import { readBalance } from './readBalance.ts'
import { testWorld } from './testWorld.ts'

const world = await testWorld({ automine: false })
const { client, rpc, addressBook: book } = world
const actors = createActors(world)
const dollars = (value: number): Usd => usd(BigInt(Math.round(value * 100)) * 10n ** 6n)
const stranger = (): Address => privateKeyToAccount(generatePrivateKey()).address
const weth = book.wrappedNative
const usdc = book.tokens[1]?.address as Address
const aavePoolAbi = parseAbi([
  'function getUserAccountData(address) view returns (uint256 collateral, uint256 debt, uint256, uint256, uint256, uint256 healthFactor)',
  'function liquidationCall(address collateral, address debt, address user, uint256 debtToCover, bool receiveAToken)',
])
const healthFactor = async (account: Address): Promise<bigint> =>
  (
    await client.readContract({
      ...{ address: book.aaveV3.pool, abi: aavePoolAbi, functionName: 'getUserAccountData', args: [account] },
    })
  )[5]

const apartInBps = (a: bigint, b: bigint): number => (Number(a > b ? a - b : b - a) / Number(b)) * 10_000

const position = (account: Address): PositionRequest => ({
  account,
  collateral: tokenAmount(parseEther('10')),
  debt: tokenAmount(parseUnits('15000', 6)),
  walletUsdc: tokenAmount(parseUnits('700', 6)),
  walletEth: wei(parseEther('1')),
})

describe('pushPrice and arbitrageTo', () => {
  it('move oracle and pool together, down by half and up again', async () => {
    for (const price of [1_990, 1_700, 1_200, 1_000, 1_004.5, 1_400, 2_100, 4_000, 400, 2_000]) {
      await actors.pushPrice(dollars(price))
      await actors.arbitrageTo(dollars(price))
      const block = await actors.mineBlock()
      expect(block.transactions).toHaveLength(2)
      expect(await actors.oraclePrice()).toBe(dollars(price))
      expect(apartInBps(await actors.poolPrice(), dollars(price))).toBeLessThan(0.01)
    }
  })

  it('leave a pool alone that is there already', async () => {
    await actors.arbitrageTo(dollars(2_000))
    await actors.mineBlock()
    expect(await actors.arbitrageTo(dollars(2_000))).toBeUndefined()
  })

  it('do nothing twice, whether or not the block was mined', async () => {
    const [price, nonces] = [dollars(1_950), { oracle: 0, arbitrageur: 0 }]
    for (const expected of ['sent', 'known'] as const) {
      const [pushed, traded] = [await actors.pushPrice(price), await actors.arbitrageTo(price)]
      expect([pushed.outcome, traded?.outcome]).toEqual([expected, expected])
      nonces.oracle = pushed.nonce
      nonces.arbitrageur = traded?.nonce ?? 0
    }
    const block = await actors.mineBlock()
    expect(block.transactions).toHaveLength(2)
    expect(await actors.mineBlock({ timestamp: block.timestamp })).toEqual(block)
    expect(await actors.pushPrice(price, weth, { nonce: nonces.oracle })).toEqual({
      outcome: 'mined',
      nonce: nonces.oracle,
    })
    expect(await actors.arbitrageTo(price, { nonce: nonces.arbitrageur })).toBeUndefined()
    expect((await actors.mineBlock()).transactions).toHaveLength(0)
  })

  it('refuse a second price on the nonce of the first', async () => {
    await actors.pushPrice(dollars(1_900))
    await expect(actors.pushPrice(dollars(1_901))).rejects.toBeInstanceOf(WorldRpcError)
    await actors.mineBlock()
    expect(await actors.oraclePrice()).toBe(dollars(1_900))
  })
})

describe('mineBlock', () => {
  it('keeps to the time and the base fee it is told', async () => {
    const { timestamp } = await actors.mineBlock()
    const block = await actors.mineBlock({
      timestamp: timestamp + 3_600n,
      baseFeePerGas: wei(77_000_000_000n),
    })
    expect(block).toMatchObject({ timestamp: timestamp + 3_600n, baseFeePerGas: 77_000_000_000n })
    expect((await actors.mineBlock()).baseFeePerGas).toBe(1_000_000_000n)
    await expect(actors.mineBlock({ timestamp })).rejects.toBeInstanceOf(WorldTimeError)
  })

  it('puts the oracle first, then the arbitrageur, then agents by their bid', async () => {
    const [low, high] = [privateKeyToAccount(generatePrivateKey()), privateKeyToAccount(generatePrivateKey())]
    await fundAccounts(
      world,
      [low, high].map(({ address: account }) => ({ account, eth: wei(parseEther('1')) })),
    )
    const pay = (account: typeof low, maxFeePerGas: bigint) =>
      world.wallet(account).sendTransaction({
        ...{ to: low.address, value: 1n, gas: 21_000n, maxFeePerGas, maxPriorityFeePerGas: 1n },
      })
    const cheap = await pay(low, 50_000_000_000n)
    const dear = await pay(high, 90_000_000_000n)
    const traded = await actors.arbitrageTo(dollars(1_800))
    const pushed = await actors.pushPrice(dollars(1_800))
    const { transactions } = await actors.mineBlock()
    expect(transactions).toEqual(
      [pushed, traded].map((sent) => (sent as { hash: string }).hash).concat([dear, cheap]),
    )
  })
})

describe('openPositions', () => {
  it('opens equal positions in one block, with wallets as asked for, and only once', async () => {
    await actors.pushPrice(dollars(2_000))
    await actors.mineBlock()
    const owners = [stranger(), stranger()] as const
    const block = await openPositions(world, owners.map(position))
    expect(block?.transactions).toHaveLength(7)
    expect(await openPositions(world, owners.map(position))).toBeUndefined()
    const factors = await Promise.all(owners.map(healthFactor))
    expect(factors[0]).toBe(factors[1])
    expect(Number(factors[0]) / 1e18).toBeCloseTo(1.1, 6)
    for (const owner of owners) {
      expect(await readBalance(rpc, usdc, owner)).toBe(parseUnits('700', 6))
      expect(await client.getBalance({ address: owner })).toBe(parseEther('1'))
    }
  })

  it('finishes what a crash cut off before the block', async () => {
    const owner = stranger()
    const timestamp = (await actors.mineBlock()).timestamp + 12n
    const snapshot = await client.snapshot()
    const whole = await openPositions(world, [position(owner)], { timestamp })
    await client.revert({ id: snapshot })
    // Sent, but not mined: exactly what is in the pool when a process dies just before the block.
    await expect(openPositions(world, [position(owner)], { timestamp: 1n })).rejects.toBeInstanceOf(
      WorldTimeError,
    )
    const resumed = await openPositions(world, [position(owner)], { timestamp })
    expect(resumed?.hash).toBe(whole?.hash)
  })

  it('says when Aave refuses', async () => {
    const request = { ...position(stranger()), debt: tokenAmount(parseUnits('16001', 6)) }
    await expect(openPositions(world, [request])).rejects.toMatchObject({
      constructor: WorldTransactionError,
      message: expect.stringContaining('borrow'),
    })
  })
})

describe('a fall of the price', () => {
  it('makes a position liquidatable by a funded liquidator', async () => {
    const owner = stranger()
    const liquidator = privateKeyToAccount(generatePrivateKey())
    await openPositions(world, [position(owner)])
    const wanted = { account: liquidator.address, eth: wei(parseEther('1')), usdc: tokenAmount(10n ** 10n) }
    await fundAccounts(world, [wanted])
    expect(await fundAccounts(world, [wanted])).toBeUndefined()
    await actors.pushPrice(dollars(1_780))
    await actors.mineBlock()
    expect(Number(await healthFactor(owner)) / 1e18).toBeCloseTo(0.979, 3)

    const wallet = world.wallet(liquidator)
    const fees = { maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 1n, gas: 1_000_000n, chain: world.chain }
    const erc20 = parseAbi(['function approve(address, uint256) returns (bool)'])
    await wallet.writeContract({
      ...{
        address: usdc,
        abi: erc20,
        functionName: 'approve',
        args: [book.aaveV3.pool, 10n ** 10n],
        ...fees,
      },
    })
    const hash = await wallet.writeContract({
      ...{ address: book.aaveV3.pool, abi: aavePoolAbi, functionName: 'liquidationCall', ...fees },
      args: [weth, usdc, owner, 2n ** 256n - 1n, false],
    })
    await actors.mineBlock()
    expect((await client.getTransactionReceipt({ hash })).status).toBe('success')
    // Half of 15,000 dollars at 1,780 with a bonus of 5 %, of which Aave keeps a tenth.
    expect(Number(await readBalance(rpc, weth, liquidator.address)) / 1e18).toBeCloseTo(4.403, 3)
  })
})
