import { type Address, getAddress } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import { InvalidInputError } from '../core/errors.ts'

/** What a contract of the address book can be asked for: decides which ABI reads calls to it. */
export type ContractRole =
  | 'erc20'
  | 'aave-v3.aToken'
  | 'aave-v3.variableDebtToken'
  | 'aave-v3.pool'
  | 'aave-v3.oracle'
  | 'aave-v3.dataProvider'
  | 'aave-v3.poolAddressesProvider'
  | 'uniswap-v3.router'
  | 'uniswap-v3.quoter'
  | 'uniswap-v3.factory'
  | 'uniswap-v3.pool'
  | 'chainlink.feed'
  | 'multicall3'
  | 'rialto.batchAccount'
  | 'rialto.flashRepay'
  | 'rialto.assert'

/** A contract of the address book: an address, what it is, and what policy files call it. */
export type KnownContract = {
  readonly address: Address
  readonly role: ContractRole
  /** The role, and for roles that many contracts have, which of them: `erc20:WETH`, `uniswap-v3.pool:USDC/WETH/500`. */
  readonly name: string
}

/** Two contracts of the address book that share an address or a name, so that a policy could mean either. */
export class AmbiguousAddressBookError extends InvalidInputError {
  override readonly name = 'AmbiguousAddressBookError'
  constructor(what: string, chainId: number) {
    super(`The address book of chain ${chainId} lists ${what} twice.`, {
      code: 'AMBIGUOUS_ADDRESS_BOOK',
      fix: 'Remove one of the two, or give the token another symbol.',
    })
  }
}

type Index = {
  readonly byAddress: ReadonlyMap<string, KnownContract>
  readonly byName: ReadonlyMap<string, KnownContract>
}

// A book does not change after it was loaded, and guards ask for every call of every plan.
const indices = new WeakMap<AddressBook, Index>()

function listContracts(book: AddressBook): readonly KnownContract[] {
  const symbols = new Map(book.tokens.map((token) => [token.address.toLowerCase(), token.symbol]))
  const symbolOf = (address: Address) => symbols.get(address.toLowerCase()) ?? getAddress(address)
  const one = (role: ContractRole, address: Address, which?: string): KnownContract => ({
    address: getAddress(address),
    role,
    name: which === undefined ? role : `${role}:${which}`,
  })
  const { aaveV3, uniswapV3, rialto } = book
  return [
    one('multicall3', book.multicall3),
    ...book.tokens.map((token) => one('erc20', token.address, token.symbol)),
    one('aave-v3.pool', aaveV3.pool),
    one('aave-v3.oracle', aaveV3.oracle),
    one('aave-v3.dataProvider', aaveV3.dataProvider),
    one('aave-v3.poolAddressesProvider', aaveV3.poolAddressesProvider),
    ...aaveV3.reserves.flatMap((reserve) => [
      one('aave-v3.aToken', reserve.aToken, symbolOf(reserve.asset)),
      one('aave-v3.variableDebtToken', reserve.variableDebtToken, symbolOf(reserve.asset)),
    ]),
    one('uniswap-v3.factory', uniswapV3.factory),
    one('uniswap-v3.router', uniswapV3.swapRouter),
    one('uniswap-v3.quoter', uniswapV3.quoter),
    ...uniswapV3.pools.map((pool) =>
      one('uniswap-v3.pool', pool.address, `${symbolOf(pool.token0)}/${symbolOf(pool.token1)}/${pool.fee}`),
    ),
    ...book.chainlink.map((feed) => one('chainlink.feed', feed.feed, symbolOf(feed.asset))),
    ...(rialto === undefined
      ? []
      : [
          one('rialto.batchAccount', rialto.batchAccount),
          one('rialto.flashRepay', rialto.flashRepay),
          one('rialto.assert', rialto.assert),
        ]),
  ]
}

function indexOf(book: AddressBook): Index {
  const known = indices.get(book)
  if (known !== undefined) return known
  const byAddress = new Map<string, KnownContract>()
  const byName = new Map<string, KnownContract>()
  for (const contract of listContracts(book)) {
    const address = contract.address.toLowerCase()
    if (byAddress.has(address)) throw new AmbiguousAddressBookError(contract.address, book.chainId)
    if (byName.has(contract.name)) throw new AmbiguousAddressBookError(contract.name, book.chainId)
    byAddress.set(address, contract)
    byName.set(contract.name, contract)
  }
  const index = { byAddress, byName }
  indices.set(book, index)
  return index
}

/** Every contract of the book. @throws {AmbiguousAddressBookError} */
export const knownContracts = (book: AddressBook): readonly KnownContract[] => [
  ...indexOf(book).byAddress.values(),
]

/** What is known of an address; null when it is not in the book. @throws {AmbiguousAddressBookError} */
export const knownContract = (address: Address, book: AddressBook): KnownContract | null =>
  indexOf(book).byAddress.get(address.toLowerCase()) ?? null

/**
 * What policy files call a contract; null when it is not in the book.
 *
 * @throws {AmbiguousAddressBookError}
 * @example contractName(book.aaveV3.pool, book) // 'aave-v3.pool'
 */
export const contractName = (address: Address, book: AddressBook): string | null =>
  knownContract(address, book)?.name ?? null

/**
 * The address of a contract by its name in policy files; null when the book has none of that name.
 *
 * @throws {AmbiguousAddressBookError}
 * @example contractAddress('erc20:WETH', book) // '0xC02a…'
 */
export const contractAddress = (name: string, book: AddressBook): Address | null =>
  indexOf(book).byName.get(name)?.address ?? null
