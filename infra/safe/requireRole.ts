import type { Hex } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { Rpc } from '../chain/rpc.ts'
import { checkRole, type RoleCheck } from './checkRole.ts'
import type { Difference } from './compareRole.ts'
import { RoleMismatchError } from './errors.ts'
import type { Role } from './role.ts'

export type CheckEverywhereParameters = {
  /** Every node of the chain. */
  readonly rpcs: readonly Rpc[]
  /** How many of them have to answer. */
  readonly quorum: number
  readonly role: Role
  /** The role of the Safe's protector. */
  readonly protector?: Role | null
  /** Keys of the roles that other agents of the configuration have on the same modifier. */
  readonly otherRoles?: readonly Hex[]
  readonly book: AddressBook
  readonly firstBlock: bigint | null
}

/** What the nodes of a chain say of a role, each by itself. */
export type CheckedEverywhere = {
  /** Of the first node that answered. */
  readonly check: RoleCheck
  readonly hosts: readonly string[]
  /** What any of them says that differs, once each: a node can hide a grant, and none can make one up unseen. */
  readonly differences: readonly Difference[]
}

/**
 * Checks a role, and its protector's, at every node of a chain.
 *
 * @throws what {@link checkRole} does, when fewer nodes answer than have to.
 */
export async function checkRoleEverywhere(parameters: CheckEverywhereParameters): Promise<CheckedEverywhere> {
  const { rpcs, quorum, ...of } = parameters
  const checks = await Promise.allSettled(rpcs.map((rpc) => checkRole({ rpc, ...of })))
  const answered = checks.flatMap((result, index) =>
    result.status === 'fulfilled' ? [{ check: result.value, host: rpcs[index]?.host ?? '' }] : [],
  )
  const [first] = answered
  if (first === undefined || answered.length < quorum)
    throw checks.find((result) => result.status === 'rejected')?.reason
  const differences = new Map(
    answered.flatMap(({ check }) => check.differences.map((each) => [each.line, each] as const)),
  )
  return {
    check: first.check,
    hosts: answered.map(({ host }) => host),
    differences: [...differences.values()],
  }
}

/**
 * Lets an agent go on only if what is on-chain is what its policy says.
 *
 * @param agent its id
 * @throws {RoleMismatchError} naming every difference.
 */
export async function requireRole(
  agent: string,
  parameters: CheckEverywhereParameters,
): Promise<CheckedEverywhere> {
  const checked = await checkRoleEverywhere(parameters)
  if (checked.differences.length > 0)
    throw new RoleMismatchError(
      agent,
      checked.differences.map(({ line }) => line),
    )
  return checked
}
