import { type Address, isAddressEqual } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import type { Hash } from '../core/ids.ts'
import type { Chain } from '../core/ports.ts'
import { knownContracts } from '../protocols/contracts.ts'
import { allowance } from '../protocols/erc20/read.ts'
import { listReads, mapRead, readAll } from '../protocols/read.ts'
import type { Allowance } from './nextStep.ts'

/**
 * What others may take of an account: of every token and aToken of the address book, every contract of the book and
 * whoever else is named. Those of zero are left out.
 *
 * @param others spenders that the book does not list
 * @throws {ReadFailedError} naming the allowance that could not be read.
 */
export async function readAllowances(
  chain: Chain,
  at: Hash,
  book: AddressBook,
  account: Address,
  others: readonly Address[],
): Promise<readonly Allowance[]> {
  const tokens = [
    ...book.tokens.map(({ address }) => address),
    ...book.aaveV3.reserves.map(({ aToken }) => aToken),
  ]
  const spenders = [...knownContracts(book).map(({ address }) => address), ...others].filter(
    (spender, index, all) => all.findIndex((other) => isAddressEqual(other, spender)) === index,
  )
  const reads = tokens.flatMap((token) =>
    spenders.map((spender) =>
      mapRead(allowance(token, account, spender), (amount): Allowance => ({ token, spender, amount })),
    ),
  )
  const { found } = await readAll(chain, at, { found: listReads(reads) })
  return found.filter(({ amount }) => amount > 0n)
}
