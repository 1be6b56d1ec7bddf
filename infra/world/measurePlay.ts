import { type Address, createPublicClient, http, isAddressEqual, parseAbiItem } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { Chain } from '../../runtime/core/ports.ts'
import { formatUsd, formatWad, MAX_UINT256, type TokenAmount, usdValue } from '../../runtime/core/units.ts'
import { assetPrice, userAccountData } from '../../runtime/protocols/aave-v3/read.ts'
import { tokenOf } from '../../runtime/protocols/book.ts'
import { balanceOf, nativeBalanceOf } from '../../runtime/protocols/erc20/read.ts'
import { combineReads, listReads, type ReadGroup, readAll } from '../../runtime/protocols/read.ts'

/** How a borrower fared between two blocks. Dollars and health factors as decimal strings. */
export type Fate = {
  readonly liquidated: boolean
  /** The lowest at the end of any block; "none" when there never was a debt. */
  readonly minHealthFactor: string
  readonly equityUsd: { readonly start: string; readonly end: string }
}

export type Holdings = { readonly healthFactor: bigint; readonly equity: bigint }

/** Reads of an account's whole worth: wallet and collateral less debt, at Aave's oracle prices, 8 decimals. */
function holdings(book: AddressBook, account: Address): ReadGroup<Holdings> {
  const assets = book.aaveV3.reserves.map(({ asset }) => tokenOf(book, asset))
  const group = combineReads({
    position: userAccountData(book.aaveV3.pool, account),
    native: nativeBalanceOf(book.multicall3, account),
    balances: listReads(assets.map(({ address }) => balanceOf(address, account))),
    prices: listReads(assets.map(({ address }) => assetPrice(book.aaveV3.oracle, address))),
  })
  return {
    reads: group.reads,
    assemble(values) {
      const { position, native, balances, prices } = group.assemble(values)
      const worth = (amount: bigint, index: number): bigint => {
        const [token, price] = [assets[index], prices[index]]
        return token === undefined || price === undefined
          ? 0n
          : usdValue(amount as TokenAmount, price, token.decimals, 'down')
      }
      const nativeIndex = assets.findIndex(({ address }) => isAddressEqual(address, book.wrappedNative))
      const wallet = balances.reduce((total, balance, index) => total + worth(balance, index), 0n)
      return {
        healthFactor: position.healthFactor,
        equity: wallet + worth(native, nativeIndex) + position.totalCollateral - position.totalDebt,
      }
    },
  }
}

/** Follows borrowers through a play, by the chain alone: a restart reads what it missed. */
export type PlayMeter = {
  /** Reads every block up to this one that was not read yet, and returns what holds there. */
  measure(upTo: bigint): Promise<readonly Holdings[]>
  /** What became of each account between the start and the last block measured. */
  fates(): Promise<readonly Fate[]>
}

const liquidationCall = parseAbiItem(
  'event LiquidationCall(address indexed collateralAsset, address indexed debtAsset, address indexed user, uint256 debtToCover, uint256 liquidatedCollateralAmount, address liquidator, bool receiveAToken)',
)

/**
 * @example
 * const meter = createPlayMeter({ chain, url, book, accounts: [guarded, twin], startBlock })
 * await meter.measure(head.number)
 */
export function createPlayMeter(options: {
  readonly chain: Chain
  readonly url: string
  readonly book: AddressBook
  readonly accounts: readonly Address[]
  readonly startBlock: bigint
}): PlayMeter {
  const { chain, book, accounts, startBlock } = options
  const client = createPublicClient({ transport: http(options.url, { retryCount: 0 }) })
  const reads = listReads(accounts.map((account) => holdings(book, account)))
  let next = startBlock
  let first: readonly Holdings[] = []
  let last: readonly Holdings[] = []
  let lowest: readonly bigint[] = accounts.map(() => MAX_UINT256)

  return {
    async measure(upTo) {
      for (; next <= upTo; next += 1n) {
        const { hash } = await chain.block(next)
        const { now } = await readAll(chain, hash, { now: reads })
        if (next === startBlock) first = now
        last = now
        lowest = lowest.map((low, index) => {
          const factor = now[index]?.healthFactor ?? MAX_UINT256
          return factor < low ? factor : low
        })
      }
      return last
    },
    async fates() {
      const logs = await client.getLogs({
        address: book.aaveV3.pool,
        event: liquidationCall,
        fromBlock: startBlock,
        toBlock: next - 1n,
        strict: true,
      })
      return accounts.map((account, index) => ({
        liquidated: logs.some(({ args }) => isAddressEqual(args.user, account)),
        minHealthFactor: formatHealthFactor(lowest[index] ?? MAX_UINT256),
        equityUsd: {
          start: formatUsd(first[index]?.equity ?? 0n),
          end: formatUsd(last[index]?.equity ?? 0n),
        },
      }))
    },
  }
}

/** A health factor as a decimal string; "none" without debt. */
export const formatHealthFactor = (factor: bigint): string =>
  factor === MAX_UINT256 ? 'none' : formatWad(factor)
