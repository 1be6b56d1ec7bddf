import { type Address, getAddress, type Hex } from 'viem'
import type { AddressBook } from '../../core/addressBook.ts'
import type { Hash } from '../../core/ids.ts'
import type { Chain } from '../../core/ports.ts'
import type { WalletState } from '../../core/snapshot.ts'
import { tokenOf } from '../book.ts'
import { combineReads, listReads, mapGroup, type ReadGroup, readAll } from '../read.ts'
import { balanceOf, nativeBalanceOf } from './read.ts'

/**
 * The contract that an account delegates to by EIP-7702, from its code: `0xef0100` and the contract's address.
 * Any other code, and none, is no delegation.
 */
export function delegationOf(code: Hex): Address | null {
  return /^0xef0100[0-9a-f]{40}$/i.test(code) ? getAddress(`0x${code.slice(8)}`) : null
}

/** Native and token balances of an account, as one group of reads. Asset by asset, in the order given. */
export function walletBalances(
  book: AddressBook,
  account: Address,
  assets: readonly Address[],
): ReadGroup<Pick<WalletState, 'native' | 'tokens'>> {
  const tokens = assets.map((asset) => tokenOf(book, asset).address)
  const group = combineReads({
    native: nativeBalanceOf(book.multicall3, account),
    balances: listReads(tokens.map((token) => balanceOf(token, account))),
  })
  return mapGroup(group, ({ native, balances }) => ({
    native,
    tokens: tokens.flatMap((token, index) => {
      const balance = balances[index]
      return balance === undefined ? [] : [{ token, balance }]
    }),
  }))
}

/**
 * What an account holds at a block, and whom it delegates to.
 *
 * @throws {NotInAddressBookError} for an asset that is not in the book.
 * @throws {ReadFailedError} naming the balance that could not be read.
 */
export async function getWallet(
  chain: Chain,
  at: Hash,
  book: AddressBook,
  account: Address,
  assets: readonly Address[],
): Promise<WalletState> {
  const [{ balances }, code] = await Promise.all([
    readAll(chain, at, { balances: walletBalances(book, account, assets) }),
    chain.code(account, at),
  ])
  return { account, ...balances, delegation: delegationOf(code) }
}
