import type { Address } from 'viem'
import { type HDAccount, mnemonicToAccount } from 'viem/accounts'

const MNEMONIC = 'test test test test test test test test test test test junk'

const role = (index: number): HDAccount => mnemonicToAccount(MNEMONIC, { addressIndex: index })

/**
 * Who does what in the world. They are anvil's development accounts, whose keys everybody knows: no account that
 * Rialto guards may be one of them.
 */
export const worldAccounts = {
  /** Deploys everything, administers Aave and mints dollars. */
  deployer: role(0),
  /** Provides the Uniswap pool's liquidity. */
  liquidityProvider: role(1),
  /** Supplies what others borrow from Aave. */
  whale: role(2),
  /** The one oracle of the Chainlink aggregators. */
  oracle: role(3),
  /** Moves the Uniswap pool towards the oracle's price. */
  arbitrageur: role(4),
  /** Gets Aave's share of interest. */
  treasury: role(9),
} as const

export type WorldRole = keyof typeof worldAccounts

export const addressOf = (name: WorldRole): Address => worldAccounts[name].address
