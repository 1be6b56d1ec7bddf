import {
  type Address,
  decodeFunctionData,
  encodeFunctionResult,
  type Hex,
  isAddressEqual,
  multicall3Abi,
} from 'viem'
import type { AddressBook } from '../../../runtime/core/addressBook.ts'
import type { ReadCall, ReadResult } from '../../../runtime/core/ports.ts'
import { type KnownContract, knownContract } from '../../../runtime/protocols/contracts.ts'
import {
  accountIn,
  allowanceIn,
  balanceIn,
  type MarketState,
  nativeIn,
  POOL_LIQUIDITY,
  POOL_TICK_SPACING,
  poolPriceIn,
  priceIn,
  RESERVE,
} from './marketState.ts'
import { addressArgument, addressWord, argument, flag, selector, words } from './words.ts'

type View = (state: MarketState, book: AddressBook, self: Address, data: Hex) => Hex | null

const decimalsOf = (book: AddressBook, token: Address): bigint =>
  BigInt(book.tokens.find(({ address }) => isAddressEqual(address, token))?.decimals ?? 18)

const reserveIndex = (book: AddressBook, asset: Address): number =>
  book.aaveV3.reserves.findIndex((reserve) => isAddressEqual(reserve.asset, asset))

/** `DataTypes.ReserveConfigurationMap`: active, borrowing enabled, nothing else. */
const configuration = (decimals: bigint): bigint =>
  RESERVE.ltv |
  (RESERVE.threshold << 16n) |
  (RESERVE.bonus << 32n) |
  (decimals << 48n) |
  (1n << 56n) |
  (1n << 58n)

const RAY = 10n ** 27n

const erc20: Record<string, View> = {
  'balanceOf(address)': (state, _, self, data) => words(balanceIn(state, self, addressArgument(data, 0))),
  'allowance(address,address)': (state, _, self, data) =>
    words(allowanceIn(state, self, addressArgument(data, 0), addressArgument(data, 1))),
  'decimals()': (_, book, self) => words(decimalsOf(book, self)),
  'scaledBalanceOf(address)': (state, _, self, data) =>
    words(balanceIn(state, self, addressArgument(data, 0))),
}

const round = (id: bigint, answer: bigint, updatedAt: bigint): Hex =>
  words(id, answer, updatedAt, updatedAt, id)

const assetOfFeed = (book: AddressBook, feed: Address): string =>
  (book.chainlink.find((entry) => isAddressEqual(entry.feed, feed))?.asset ?? '').toLowerCase()

/** What each contract of the book answers, by role and signature. Anything else reverts. */
const views: Partial<Record<KnownContract['role'], Record<string, View>>> = {
  erc20,
  'aave-v3.aToken': erc20,
  'aave-v3.variableDebtToken': erc20,
  multicall3: {
    'getEthBalance(address)': (state, _, __, data) => words(nativeIn(state, addressArgument(data, 0))),
    'aggregate3((address,bool,bytes)[])': (state, book, _, data) => aggregate(state, book, data),
  },
  'aave-v3.pool': {
    'getReserveData(address)': (_, book, __, data) => {
      const asset = addressArgument(data, 0)
      const id = reserveIndex(book, asset)
      const reserve = book.aaveV3.reserves[id]
      if (reserve === undefined) return null
      return words(
        ...[configuration(decimalsOf(book, asset)), RAY, 0n, RAY, 0n, 0n, 0n, BigInt(id)],
        ...[reserve.aToken, reserve.asset, reserve.variableDebtToken, reserve.asset].map(addressWord),
        ...[0n, 0n, 0n],
      )
    },
    'getUserConfiguration(address)': (state, book, _, data) => {
      const user = addressArgument(data, 0)
      return words(
        book.aaveV3.reserves.reduce(
          (bits, { aToken, variableDebtToken }, id) =>
            bits |
            (flag(balanceIn(state, variableDebtToken, user) > 0n) << BigInt(2 * id)) |
            (flag(balanceIn(state, aToken, user) > 0n) << BigInt(2 * id + 1)),
          0n,
        ),
      )
    },
    'getUserEMode(address)': () => words(0n),
    'getUserAccountData(address)': (state, book, _, data) => {
      const account = accountIn(state, book, addressArgument(data, 0))
      return words(
        account.totalCollateral,
        account.totalDebt,
        account.availableBorrows,
        account.liquidationThreshold,
        account.ltv,
        account.healthFactor,
      )
    },
    'getReserveNormalizedIncome(address)': () => words(RAY),
    'getReserveNormalizedVariableDebt(address)': () => words(RAY),
  },
  'aave-v3.oracle': {
    'getAssetPrice(address)': (state, _, __, data) => words(priceIn(state, addressArgument(data, 0))),
  },
  'chainlink.feed': {
    'decimals()': () => words(8n),
    'latestRoundData()': (state, book, self) => {
      const rounds = state.feeds.get(assetOfFeed(book, self)) ?? []
      const last = rounds.at(-1)
      return last === undefined ? null : round(BigInt(rounds.length), last.answer, last.updatedAt)
    },
    'getRoundData(uint80)': (state, book, self, data) => {
      const id = argument(data, 0)
      const found = state.feeds.get(assetOfFeed(book, self))?.[Number(id) - 1]
      return found === undefined ? null : round(id, found.answer, found.updatedAt)
    },
  },
  'uniswap-v3.pool': {
    'slot0()': (state, book, self) => {
      const pool = book.uniswapV3.pools.find(({ address }) => isAddressEqual(address, self))
      if (pool === undefined) return null
      const { sqrtPriceX96, tick } = poolPriceIn(state, book, pool)
      return words(sqrtPriceX96, BigInt(tick), 0n, 1n, 1n, 0n, 1n)
    },
    'liquidity()': () => words(POOL_LIQUIDITY),
    'tickSpacing()': () => words(BigInt(POOL_TICK_SPACING)),
    // Its liquidity is spread over the whole range: no tick in sight is initialised.
    'tickBitmap(int16)': () => words(0n),
  },
}

const bySelector = new Map(
  Object.entries(views).map(([role, functions]) => [
    role,
    new Map(Object.entries(functions).map(([signature, view]) => [selector(signature), view])),
  ]),
)

/** Answers one call from a state; `success` false where the contract would revert, and "0x" where there is none. */
export function readMarket(state: MarketState, book: AddressBook, { target, data }: ReadCall): ReadResult {
  const contract = knownContract(target, book)
  if (contract === null) return { success: true, data: '0x' }
  const answer = bySelector.get(contract.role)?.get(data.slice(0, 10) as Hex)?.(state, book, target, data)
  return answer === undefined || answer === null
    ? { success: false, data: '0x' }
    : { success: true, data: answer }
}

function aggregate(state: MarketState, book: AddressBook, data: Hex): Hex | null {
  const { functionName, args } = decodeFunctionData({ abi: multicall3Abi, data })
  if (functionName !== 'aggregate3') return null
  const results = args[0].map((call) => ({
    ...readMarket(state, book, { target: call.target, data: call.callData }),
    allowed: call.allowFailure,
  }))
  if (results.some(({ success, allowed }) => !success && !allowed)) return null
  return encodeFunctionResult({
    abi: multicall3Abi,
    functionName: 'aggregate3',
    result: results.map(({ success, data: returnData }) => ({ success, returnData })),
  })
}
