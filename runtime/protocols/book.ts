import { type Address, isAddressEqual } from 'viem'
import type { AddressBook, PoolKey, Token } from '../core/addressBook.ts'
import { NotInAddressBookError } from './errors.ts'

/** The token of an address. @throws {NotInAddressBookError} */
export function tokenOf(book: AddressBook, address: Address): Token {
  const token = book.tokens.find((candidate) => isAddressEqual(candidate.address, address))
  if (token === undefined) throw new NotInAddressBookError('token', address, book.chainId)
  return token
}

/** aToken and debt token of an asset. @throws {NotInAddressBookError} */
export function reserveOf(book: AddressBook, asset: Address): AddressBook['aaveV3']['reserves'][number] {
  const reserve = book.aaveV3.reserves.find((candidate) => isAddressEqual(candidate.asset, asset))
  if (reserve === undefined) throw new NotInAddressBookError('Aave reserve', asset, book.chainId)
  return reserve
}

/** The Uniswap pool of an address. @throws {NotInAddressBookError} */
export function poolOf(book: AddressBook, address: Address): PoolKey {
  const pool = book.uniswapV3.pools.find((candidate) => isAddressEqual(candidate.address, address))
  if (pool === undefined) throw new NotInAddressBookError('Uniswap pool', address, book.chainId)
  return pool
}

/** The price feed of an asset. @throws {NotInAddressBookError} */
export function feedOf(book: AddressBook, asset: Address): AddressBook['chainlink'][number] {
  const feed = book.chainlink.find((candidate) => isAddressEqual(candidate.asset, asset))
  if (feed === undefined) throw new NotInAddressBookError('price feed for', asset, book.chainId)
  return feed
}

/** Our own contracts. @throws {NotInAddressBookError} where they are not deployed. */
export function rialtoOf(book: AddressBook): NonNullable<AddressBook['rialto']> {
  if (book.rialto === undefined)
    throw new NotInAddressBookError('deployment of', 'BatchAccount, FlashRepay and Assert', book.chainId)
  return book.rialto
}
