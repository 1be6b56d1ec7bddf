import type { AddressBook } from '../core/addressBook.ts'
import { contractAddress } from '../protocols/contracts.ts'
import { type Policy, PolicyError, type PolicyIssue } from './policy.ts'

/**
 * Holds a policy against the chain that it is for, before anything starts: a name that the address book does not
 * know would deny, in the middle of a crash, what its owner meant to allow.
 *
 * @throws {PolicyError} naming every contract and token that is not in the book.
 */
export function assertPolicyFits(policy: Policy, book: AddressBook, file?: string): void {
  const issues: PolicyIssue[] = [
    ...Object.keys(policy.contracts)
      .filter((name) => contractAddress(name, book) === null)
      .map((name) => ({
        path: ['contracts', name],
        message: `is not in the address book of chain ${book.chainId}: correct the name, or add it to the book`,
      })),
    ...policy.oracle.withoutReferencePool.flatMap((symbol, index) =>
      book.tokens.some((token) => token.symbol === symbol)
        ? []
        : [
            {
              path: ['oracle', 'withoutReferencePool', index],
              message: `is no token in the address book of chain ${book.chainId}: correct the symbol, or remove it`,
            },
          ],
    ),
  ]
  if (issues.length > 0) throw new PolicyError(issues, file)
}
