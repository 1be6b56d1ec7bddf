import type { Address } from 'viem'
import type { AddressBook } from '../../core/addressBook.ts'
import type { Hash } from '../../core/ids.ts'
import type { Chain } from '../../core/ports.ts'
import type { ReserveState } from '../../core/snapshot.ts'
import { bps, ray } from '../../core/units.ts'
import { reserveOf, tokenOf } from '../book.ts'
import { balanceOf } from '../erc20/read.ts'
import { combineReads, listReads, mapGroup, type ReadGroup, readAll } from '../read.ts'
import { assetPrice, decodeReserveConfiguration, reserveData } from './read.ts'

/** One reserve as stored, with Aave's price of its asset. */
export function reserveState(book: AddressBook, asset: Address): ReadGroup<ReserveState> {
  const { symbol } = tokenOf(book, asset)
  const { aToken, variableDebtToken } = reserveOf(book, asset)
  const group = combineReads({
    data: reserveData(book.aaveV3.pool, asset),
    price: assetPrice(book.aaveV3.oracle, asset),
    availableLiquidity: balanceOf(asset, aToken),
  })
  return mapGroup(group, ({ data, price, availableLiquidity }) => {
    const configuration = decodeReserveConfiguration(data.configuration)
    return {
      asset,
      symbol,
      decimals: configuration.decimals,
      aToken,
      variableDebtToken,
      ltv: bps(configuration.ltv),
      liquidationThreshold: bps(configuration.liquidationThreshold),
      liquidationBonus: bps(configuration.liquidationBonus),
      liquidationProtocolFee: bps(configuration.liquidationProtocolFee),
      isActive: configuration.isActive,
      isFrozen: configuration.isFrozen,
      isPaused: configuration.isPaused,
      borrowingEnabled: configuration.borrowingEnabled,
      liquidityIndex: ray(data.liquidityIndex),
      variableBorrowIndex: ray(data.variableBorrowIndex),
      liquidityRate: ray(data.currentLiquidityRate),
      variableBorrowRate: ray(data.currentVariableBorrowRate),
      lastUpdateTimestamp: BigInt(data.lastUpdateTimestamp),
      availableLiquidity,
      price,
    }
  })
}

/**
 * Aave reserves at a block, in the order of `assets`, with one `Chain.read`.
 *
 * @throws {NotInAddressBookError} for an asset that the book does not list.
 * @throws {ReadFailedError} naming what could not be read, a price that Aave's oracle refuses included.
 */
export async function getReserves(
  chain: Chain,
  at: Hash,
  book: AddressBook,
  assets: readonly Address[],
): Promise<readonly ReserveState[]> {
  const group = listReads(assets.map((asset) => reserveState(book, asset)))
  return (await readAll(chain, at, { reserves: group })).reserves
}
