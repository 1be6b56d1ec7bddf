import { concatHex } from 'viem'
import { describe, expect, it } from 'vitest'
import { dollars, ether, price, protocolWorld, someone } from '../../test/protocolWorld.ts'
import type { Chain } from '../core/ports.ts'
import { snapshotHash } from '../core/snapshot.ts'
import { bps } from '../core/units.ts'
import { encodeBorrow, encodeSupply } from './aave-v3/encode.ts'
import { getPositions } from './aave-v3/getPositions.ts'
import { getReserves } from './aave-v3/getReserves.ts'
import { isModelled } from './aave-v3/healthFactor.ts'
import { getOracleReadings } from './chainlink/getOracleReadings.ts'
import { encodeApprove } from './erc20/encode.ts'
import { getWallet } from './erc20/getWallet.ts'
import { NotInAddressBookError, ReadFailedError } from './errors.ts'
import { readSnapshot } from './readSnapshot.ts'
import { getPoolStates } from './uniswap-v3/getPoolStates.ts'

describe('a snapshot of the real contracts', async () => {
  const { book, chain, head, world, fund, send, setPrice, snapshot, undone, weth, usdc, pool } =
    await protocolWorld()
  const alice = someone(21)
  await fund({ account: alice, weth: ether('11'), usdc: dollars('7') })
  await send(alice, encodeApprove(weth, book.aaveV3.pool, ether('10')))
  await send(alice, encodeSupply(book.aaveV3.pool, weth, ether('10'), alice))
  await send(alice, encodeBorrow(book.aaveV3.pool, usdc, dollars('8000'), alice))

  it('holds what was asked for', async () => {
    const state = await snapshot(alice)
    expect(state.wallet.tokens).toEqual([
      { token: weth, balance: ether('1') },
      { token: usdc, balance: dollars('8007') },
    ])
    expect(state.wallet.delegation).toBeNull()
    expect(state.wallet.native).toBeGreaterThan(ether('999'))
    expect(state.reserves).toMatchObject([
      { symbol: 'WETH', decimals: 18, price: price('2000'), ltv: 8_000n, liquidationBonus: 10_500n },
      {
        symbol: 'USDC',
        decimals: 6,
        price: price('1'),
        liquidationProtocolFee: 1_000n,
        borrowingEnabled: true,
      },
    ])
    expect(state.oracles).toMatchObject([
      { asset: weth, price: price('2000'), stale: false, deviating: false },
      { asset: usdc, price: price('1'), stale: false, deviating: false },
    ])
    const [position] = state.positions
    expect(position).toMatchObject({ user: alice, eMode: 0, reserves: [{ usedAsCollateral: true }, {}] })
    expect(position && isModelled(position, state.reserves, state.block.timestamp)).toBe(true)
    expect(state.pools).toMatchObject([{ address: pool, tickSpacing: 10, fee: 500 }])
    expect(state.pools[0]?.ticks.length).toBeGreaterThan(5)
  })

  it('is made with three reads, whatever it holds', async () => {
    let reads = 0
    const counting: Chain = {
      ...chain,
      read: (calls, at) => {
        reads++
        return chain.read(calls, at)
      },
    }
    const watch = { positions: [alice, someone(22), someone(23)], assets: [weth, usdc], pools: [pool] }
    await readSnapshot(counting, await head(), book, alice, watch)
    expect(reads).toBe(3)
  })

  it('is of its block, however late it is read, and reads the same every time', async () => {
    const before = await snapshot(alice)
    await setPrice({ oracle: price('1900'), pool: price('1900') })
    const watch = { positions: [alice], assets: [weth, usdc], pools: [pool] }
    const again = await readSnapshot(chain, before.block, book, alice, watch)
    expect(again).toEqual(before)
    expect(snapshotHash(again)).toBe(snapshotHash(before))
    expect(snapshotHash(await snapshot(alice))).not.toBe(snapshotHash(before))
  })

  it('is what the single readers give', async () => {
    const state = await snapshot(alice)
    const { hash } = state.block
    const assets = [weth, usdc]
    expect(await getReserves(chain, hash, book, assets)).toEqual(state.reserves)
    expect(await getPositions(chain, hash, book, [alice], assets)).toEqual(state.positions)
    expect(await getPoolStates(chain, hash, book, [pool])).toEqual(state.pools)
    expect(await getWallet(chain, hash, book, alice, assets)).toEqual(state.wallet)
    const readings = await getOracleReadings(chain, state.block, book, assets)
    expect(readings).toEqual(state.oracles.map(({ recent: _, ...reading }) => reading))
  })

  it('sees a delegation, and no other code, as one', async () => {
    await undone(async () => {
      const target = book.rialto?.batchAccount ?? '0x'
      await world.rpc('anvil_setCode', alice, concatHex(['0xef0100', target]))
      expect((await snapshot(alice)).wallet.delegation).toBe(target)
      await world.rpc('anvil_setCode', alice, '0x6000')
      expect((await snapshot(alice)).wallet.delegation).toBeNull()
    })
  })

  it('knows what a feed said before, up to now', async () => {
    await undone(async () => {
      const prices = ['1950', '1940', '1960'].map(price)
      for (const oracle of prices) await setPrice({ oracle })
      const state = await snapshot(alice)
      const [reading] = state.oracles
      expect(reading?.recent?.slice(-3).map((round) => round.price)).toEqual(prices)
      expect(reading?.recent?.at(-1)).toEqual({ price: reading?.price, updatedAt: reading?.updatedAt })
      const watch = { positions: [], assets: [weth], pools: [] }
      const short = await readSnapshot(chain, state.block, book, alice, watch, { recentRounds: 1 })
      expect(short.oracles[0]?.recent?.map((round) => round.price)).toEqual(prices.slice(-2))
    })
  })

  it('marks feeds that the pool contradicts, and feeds that are silent for too long', async () => {
    await undone(async () => {
      await setPrice({ oracle: price('1000'), pool: price('2000') })
      const { oracles, block } = await snapshot(alice)
      // Which of the two is wrong the pool cannot tell.
      expect(oracles).toMatchObject([{ deviating: true }, { deviating: true }])
      const lenient = { maxPoolDeviation: bps(20_000n) }
      const readings = await getOracleReadings(chain, block, book, [weth], lenient)
      expect(readings).toMatchObject([{ deviating: false, stale: false }])

      const silence = 3_600n + 300n
      await send(alice, { to: weth, data: '0x' }, block.timestamp + silence)
      expect((await snapshot(alice)).oracles[0]?.stale).toBe(false)
      await send(alice, { to: weth, data: '0x' }, block.timestamp + silence + 1n)
      expect((await snapshot(alice)).oracles).toMatchObject([{ stale: true }, { stale: false }])
    })
  })

  it('is refused for what the book does not know, and for a contract that is not there', async () => {
    const unknown = someone(99)
    await expect(snapshot(alice, { assets: [unknown] })).rejects.toBeInstanceOf(NotInAddressBookError)
    await expect(snapshot(alice, { pools: [unknown] })).rejects.toBeInstanceOf(NotInAddressBookError)
    const watch = { positions: [alice], assets: [weth], pools: [] }
    const wrong = { ...book, aaveV3: { ...book.aaveV3, oracle: unknown } }
    const failing = readSnapshot(chain, await head(), wrong, alice, watch)
    await expect(failing).rejects.toBeInstanceOf(ReadFailedError)
    await expect(failing).rejects.toThrow(`Aave price of ${weth}`)
  })
})
