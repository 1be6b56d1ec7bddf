import { type Address, parseAbi } from 'viem'
import type { AddressBook, Token } from '../../runtime/core/addressBook.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import {
  type Bps,
  bps,
  type TokenAmount,
  tokenAmount,
  type Usd,
  usd,
  usdValue,
  type Wei,
  wei,
} from '../../runtime/core/units.ts'
import { aaveOracleReadsAbi, aavePoolReadsAbi } from '../../runtime/protocols/aave-v3/abi.ts'
import { erc20ReadsAbi } from '../../runtime/protocols/erc20/abi.ts'
import { ReadFailedError } from '../../runtime/protocols/errors.ts'
import type { StateReader } from '../chain/stateReader.ts'

/** What an account has of the tokens in the address book, at Aave's oracle prices, as of one block. */
export type Holdings = {
  readonly block: BlockRef
  /** Every token of the book; US dollars per whole token, 8 decimals, null where Aave's oracle has no price. */
  readonly tokens: readonly {
    readonly token: Token
    readonly wallet: TokenAmount
    readonly price: Usd | null
  }[]
  readonly collateral: Usd
  readonly debt: Usd
  /** What more could be borrowed against the collateral. */
  readonly borrowable: Usd
  /** Wallet and collateral less debt, of tokens that have a price; nothing where the debt is more. */
  readonly equity: Usd
  /** The largest part of a debt that a liquidation takes on top of it. */
  readonly liquidationPenalty: Bps
  /** The native coin of whoever pays for gas. */
  readonly gas: Wei
}

const dataProviderAbi = parseAbi([
  'function getReserveConfigurationData(address asset) view returns (uint256 decimals, uint256 ltv, uint256 liquidationThreshold, uint256 liquidationBonus, uint256 reserveFactor, bool usageAsCollateralEnabled, bool borrowingEnabled, bool stableBorrowRateEnabled, bool isActive, bool isFrozen)',
])

/** Aave gives a bonus as the whole of what is seized: 10,500 is a penalty of 5 %. */
const WHOLE = 10_000n

/**
 * Reads what an account has.
 *
 * @param payer whose native coins pay for gas: the sender of a role, or the account itself
 * @throws {ReadFailedError} when a contract of the address book is not there.
 */
export async function readHoldings(
  reader: StateReader,
  book: AddressBook,
  account: Address,
  payer: Address | null,
): Promise<Holdings> {
  const { pool, oracle, dataProvider, reserves } = book.aaveV3
  const [prices, balances, position, configurations, gas] = await Promise.all([
    Promise.all(book.tokens.map(({ address }) => priceOf(reader, oracle, address))),
    Promise.all(
      book.tokens.map(({ address }) => reader.read(address, erc20ReadsAbi, 'balanceOf', [account])),
    ),
    reader.read(pool, aavePoolReadsAbi, 'getUserAccountData', [account]),
    Promise.all(
      reserves.map(({ asset }) =>
        reader.read(dataProvider, dataProviderAbi, 'getReserveConfigurationData', [asset]),
      ),
    ),
    payer === null ? 0n : reader.balance(payer),
  ])
  const tokens = book.tokens.map((token, index) => ({
    token,
    wallet: tokenAmount(balances[index] ?? 0n),
    price: prices[index] ?? null,
  }))
  const [collateral, debt, borrowable] = position
  const wallet = tokens.reduce(
    (sum, { token, wallet: amount, price }) =>
      sum + (price === null ? 0n : usdValue(amount, price, token.decimals, 'up')),
    0n,
  )
  const bonuses = configurations.map(([, , , bonus]) => (bonus > WHOLE ? bonus - WHOLE : 0n))
  return {
    block: reader.block,
    tokens,
    collateral: usd(collateral),
    debt: usd(debt),
    borrowable: usd(borrowable),
    equity: usd(wallet + collateral > debt ? wallet + collateral - debt : 0n),
    liquidationPenalty: bps(bonuses.reduce((most, each) => (each > most ? each : most), 0n)),
    gas: wei(gas),
  }
}

/** Aave answers for a token without a source by a revert, or by zero. */
async function priceOf(reader: StateReader, oracle: Address, token: Address): Promise<Usd | null> {
  try {
    const price = await reader.read(oracle, aaveOracleReadsAbi, 'getAssetPrice', [token])
    return price === 0n ? null : usd(price)
  } catch (error) {
    if (error instanceof ReadFailedError) return null
    throw error
  }
}
