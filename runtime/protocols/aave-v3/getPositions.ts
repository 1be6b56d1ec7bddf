import type { Address } from 'viem'
import type { AddressBook } from '../../core/addressBook.ts'
import type { Hash } from '../../core/ids.ts'
import type { Chain } from '../../core/ports.ts'
import type { PositionState } from '../../core/snapshot.ts'
import { reserveOf } from '../book.ts'
import { combineReads, listReads, mapGroup, type ReadGroup, readAll } from '../read.ts'
import { reserveData, scaledBalanceOf, userAccountData, userConfiguration, userEMode } from './read.ts'

/** A user's part in each of the given assets, and what the Pool says about the user as a whole. */
export function positionState(
  book: AddressBook,
  user: Address,
  assets: readonly Address[],
): ReadGroup<PositionState> {
  const { pool } = book.aaveV3
  const group = combineReads({
    account: userAccountData(pool, user),
    configuration: userConfiguration(pool, user),
    eMode: userEMode(pool, user),
    parts: listReads(
      assets.map((asset) => {
        const { aToken, variableDebtToken } = reserveOf(book, asset)
        return combineReads({
          // Only for the reserve's id; the batch makes a call once that several reads share.
          reserve: reserveData(pool, asset),
          supplied: scaledBalanceOf(aToken, user),
          owed: scaledBalanceOf(variableDebtToken, user),
        })
      }),
    ),
  })
  return mapGroup(group, ({ account, configuration, eMode, parts }) => ({
    user,
    eMode,
    reserves: assets.flatMap((asset, index) => {
      const part = parts[index]
      if (part === undefined) return []
      const collateralBit = 1n << (BigInt(part.reserve.id) * 2n + 1n)
      return [
        {
          asset,
          scaledATokenBalance: part.supplied,
          scaledVariableDebt: part.owed,
          usedAsCollateral: (configuration & collateralBit) !== 0n,
        },
      ]
    }),
    account,
  }))
}

/**
 * Aave positions at a block, in the order of `users`, with one `Chain.read`.
 *
 * @param assets the reserves whose parts are read; parts in others show in `account` alone (see `isModelled`)
 * @throws {NotInAddressBookError} for an asset that the book does not list.
 * @throws {ReadFailedError} naming what could not be read.
 */
export async function getPositions(
  chain: Chain,
  at: Hash,
  book: AddressBook,
  users: readonly Address[],
  assets: readonly Address[],
): Promise<readonly PositionState[]> {
  const group = listReads(users.map((user) => positionState(book, user, assets)))
  return (await readAll(chain, at, { positions: group })).positions
}
