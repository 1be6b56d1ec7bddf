import type { Address } from 'viem'

/** A token that Rialto may touch on a chain. */
export type Token = { readonly address: Address; readonly symbol: string; readonly decimals: number }

/** A Uniswap v3 pool. `token0 < token1` by address; `fee` in hundredths of a basis point (500 is 0.05 %). */
export type PoolKey = {
  readonly address: Address
  readonly token0: Address
  readonly token1: Address
  readonly fee: number
}

/**
 * Where everything is on one chain. Whatever is not in the book is unknown to Rialto, and what is unknown is
 * denied by the guards.
 */
export type AddressBook = {
  readonly chainId: number
  readonly multicall3: Address
  readonly tokens: readonly Token[]
  /** The ERC-20 that wraps the native coin: its price is the price of gas. */
  readonly wrappedNative: Address
  readonly aaveV3: {
    readonly poolAddressesProvider: Address
    readonly pool: Address
    readonly oracle: Address
    readonly dataProvider: Address
    /** aToken and variable debt token of each listed reserve. */
    readonly reserves: readonly {
      readonly asset: Address
      readonly aToken: Address
      readonly variableDebtToken: Address
    }[]
  }
  readonly uniswapV3: {
    readonly factory: Address
    readonly swapRouter: Address
    readonly quoter: Address
    readonly pools: readonly PoolKey[]
  }
  /** Chainlink feed (the proxy that consumers read) of each asset's US dollar price. */
  readonly chainlink: readonly {
    readonly asset: Address
    readonly feed: Address
    readonly heartbeat: number
  }[]
  /** Our own contracts. Absent where they are not deployed: then plans that need them are refused. */
  readonly rialto?: {
    readonly batchAccount: Address
    readonly flashRepay: Address
    readonly assert: Address
  }
}
