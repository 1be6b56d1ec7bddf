import type { AddressBook } from '../core/addressBook.ts'
import { isRealChain } from '../core/developmentChains.ts'
import { contractAddress } from '../protocols/contracts.ts'
import { graduatedPolicies, policyOn } from './graduation.ts'
import { type Policy, PolicyError, type PolicyIssue } from './policy.ts'

/**
 * Holds a policy against the chain that it is for, before anything starts: a name that the address book does not
 * know would deny, in the middle of a crash, what its owner meant to allow, and on a real chain nobody acts before he
 * has asked for a while.
 *
 * @throws {PolicyError} naming every contract and token that is not in the book, and a first step that acts.
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
    ...(mayBegin(policy, book.chainId)
      ? []
      : [
          {
            path: ['graduation', 0, 'mode'],
            message: `is "execute", and on chain ${book.chainId}, which is real, an agent begins by asking: set it to "propose", and let a later step be "execute"`,
          },
        ]),
  ]
  if (issues.length > 0) throw new PolicyError(issues, file)
}

/** Whether an agent begins as it must on a chain: on a real one by asking. What has no steps asks there for good. */
export const mayBegin = (policy: Policy, chainId: number): boolean =>
  !isRealChain(chainId) || graduatedPolicies(policyOn(policy, chainId))[0].mode !== 'execute'
