import type { Address } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import type { Hash } from '../core/ids.ts'
import type { Chain } from '../core/ports.ts'
import { borrowAllowance } from '../protocols/aave-v3/read.ts'
import { knownContracts } from '../protocols/contracts.ts'
import { allowance } from '../protocols/erc20/read.ts'
import { listReads, mapRead, readAll } from '../protocols/read.ts'
import type { ApprovalName } from './approvalSearch.ts'
import type { Allowance } from './nextStep.ts'

/** Tokens that can be approved, and debt tokens on which credit can be delegated. */
export const approvableTokens = ({ tokens, aaveV3 }: AddressBook) => ({
  tokens: [...tokens.map(({ address }) => address), ...aaveV3.reserves.map(({ aToken }) => aToken)],
  debtTokens: aaveV3.reserves.map(({ variableDebtToken }) => variableDebtToken),
})

/**
 * What others may take of an account, or borrow in its name: of every token, aToken and variable debt token of the
 * address book, every contract of the book and whoever else is named. Those of zero are left out.
 *
 * @param others whom the book does not list. A token that it does not list is passed over: nothing of it is known.
 * @throws {ReadFailedError} naming the allowance that could not be read.
 */
export async function readAllowances(
  chain: Chain,
  at: Hash,
  book: AddressBook,
  account: Address,
  others: readonly ApprovalName[],
): Promise<readonly Allowance[]> {
  const { tokens, debtTokens } = approvableTokens(book)
  const isDebt = new Set(debtTokens.map(keyOf))
  const isKnown = new Set([...tokens, ...debtTokens].map(keyOf))
  const spenders = knownContracts(book).map(({ address }) => address)
  const asked = new Map<string, ApprovalName>()
  for (const name of [
    ...[...tokens, ...debtTokens].flatMap((token) => spenders.map((spender) => ({ token, spender }))),
    ...others.filter(({ token }) => isKnown.has(keyOf(token))),
  ])
    asked.set(`${keyOf(name.token)}/${keyOf(name.spender)}`, name)
  const reads = [...asked.values()].map(({ token, spender }) =>
    mapRead(
      (isDebt.has(keyOf(token)) ? borrowAllowance : allowance)(token, account, spender),
      (amount): Allowance => ({ token, spender, amount }),
    ),
  )
  const { found } = await readAll(chain, at, { found: listReads(reads) })
  return found.filter(({ amount }) => amount > 0n)
}

const keyOf = (address: Address): string => address.toLowerCase()
