import type { Address } from 'viem'
import type { AccountData } from '../../core/snapshot.ts'
import { bps, type Ray, ray, type TokenAmount, tokenAmount, type Usd, usd, wad } from '../../core/units.ts'
import { contractRead, mapRead, type Read } from '../read.ts'
import { aaveDebtTokenReadsAbi, aaveOracleReadsAbi, aavePoolReadsAbi, aaveTokenReadsAbi } from './abi.ts'

/** A reserve's configuration bitmap, taken apart. `ReserveConfiguration` of Aave 3.0.x. */
export type ReserveConfiguration = {
  readonly ltv: bigint
  readonly liquidationThreshold: bigint
  readonly liquidationBonus: bigint
  readonly decimals: number
  readonly isActive: boolean
  readonly isFrozen: boolean
  readonly borrowingEnabled: boolean
  readonly isPaused: boolean
  readonly reserveFactor: bigint
  readonly liquidationProtocolFee: bigint
}

/** @example decodeReserveConfiguration(0n).isActive // false */
export function decodeReserveConfiguration(bitmap: bigint): ReserveConfiguration {
  const bits = (from: bigint, width: bigint): bigint => (bitmap >> from) & ((1n << width) - 1n)
  const flag = (at: bigint): boolean => bits(at, 1n) === 1n
  return {
    ltv: bits(0n, 16n),
    liquidationThreshold: bits(16n, 16n),
    liquidationBonus: bits(32n, 16n),
    decimals: Number(bits(48n, 8n)),
    isActive: flag(56n),
    isFrozen: flag(57n),
    borrowingEnabled: flag(58n),
    isPaused: flag(60n),
    reserveFactor: bits(64n, 16n),
    liquidationProtocolFee: bits(152n, 16n),
  }
}

/** Everything that the Pool stores about a reserve. */
export const reserveData = (pool: Address, asset: Address) =>
  contractRead(`Aave reserve ${asset}`, pool, aavePoolReadsAbi, 'getReserveData', [asset])

/** Two bits per reserve id: borrowed (even), used as collateral (odd). */
export const userConfiguration = (pool: Address, user: Address): Read<bigint> =>
  contractRead(`Aave configuration of ${user}`, pool, aavePoolReadsAbi, 'getUserConfiguration', [user])

/** The user's efficiency-mode category; 0 is none. */
export const userEMode = (pool: Address, user: Address): Read<number> =>
  mapRead(
    contractRead(`Aave efficiency mode of ${user}`, pool, aavePoolReadsAbi, 'getUserEMode', [user]),
    Number,
  )

/** What the Pool says about a user. */
export const userAccountData = (pool: Address, user: Address): Read<AccountData> =>
  mapRead(
    contractRead(`Aave account data of ${user}`, pool, aavePoolReadsAbi, 'getUserAccountData', [user]),
    ([totalCollateral, totalDebt, availableBorrows, liquidationThreshold, ltv, healthFactor]) => ({
      totalCollateral: usd(totalCollateral),
      totalDebt: usd(totalDebt),
      availableBorrows: usd(availableBorrows),
      liquidationThreshold: bps(liquidationThreshold),
      ltv: bps(ltv),
      healthFactor: wad(healthFactor),
    }),
  )

/** What one scaled aToken is worth in the block of the read. */
export const reserveNormalizedIncome = (pool: Address, asset: Address): Read<Ray> =>
  mapRead(
    contractRead(`Aave income index of ${asset}`, pool, aavePoolReadsAbi, 'getReserveNormalizedIncome', [
      asset,
    ]),
    ray,
  )

/** What one scaled debt token owes in the block of the read. */
export const reserveNormalizedVariableDebt = (pool: Address, asset: Address): Read<Ray> =>
  mapRead(
    contractRead(`Aave debt index of ${asset}`, pool, aavePoolReadsAbi, 'getReserveNormalizedVariableDebt', [
      asset,
    ]),
    ray,
  )

/** A user's balance of an aToken or debt token, without interest. */
export const scaledBalanceOf = (token: Address, user: Address): Read<bigint> =>
  contractRead(`scaled balance of ${user} in ${token}`, token, aaveTokenReadsAbi, 'scaledBalanceOf', [user])

/** What `delegatee` may borrow in `owner`'s name, in the smallest unit of the reserve. */
export const borrowAllowance = (
  variableDebtToken: Address,
  owner: Address,
  delegatee: Address,
): Read<TokenAmount> =>
  mapRead(
    contractRead(
      `credit that ${owner} delegated to ${delegatee} in ${variableDebtToken}`,
      variableDebtToken,
      aaveDebtTokenReadsAbi,
      'borrowAllowance',
      [owner, delegatee],
    ),
    tokenAmount,
  )

/** The price that Aave values an asset at, US dollars per whole token. */
export const assetPrice = (oracle: Address, asset: Address): Read<Usd> =>
  mapRead(contractRead(`Aave price of ${asset}`, oracle, aaveOracleReadsAbi, 'getAssetPrice', [asset]), usd)
