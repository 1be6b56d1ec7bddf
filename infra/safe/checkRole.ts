import { type Address, getAddress, type Hex, parseAbi } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { contractName } from '../../runtime/protocols/contracts.ts'
import { erc20ReadsAbi } from '../../runtime/protocols/erc20/abi.ts'
import { WrongChainError } from '../chain/errors.ts'
import type { Rpc } from '../chain/rpc.ts'
import { openStateReader, type StateReader } from '../chain/stateReader.ts'
import { parseAnswer, quantity } from '../chain/wire.ts'
import { compareProtectorRole, compareRole, compareSafe, type Difference, namesOf } from './compareRole.ts'
import { type RoleState, readRole } from './readRole.ts'
import { readSafe, type SafeState } from './readSafe.ts'
import type { Role } from './role.ts'

/** What is on-chain, and how it differs from what the policy says. */
export type RoleCheck = {
  readonly block: BlockRef
  readonly role: RoleState
  /** Null where no protector's role was looked at. */
  readonly protector: RoleState | null
  readonly safe: SafeState
  /** Empty: what is on-chain is what the policy says. */
  readonly differences: readonly Difference[]
  /** What is as it may be, and a person should know. */
  readonly notes: readonly string[]
}

export type CheckRoleParameters = {
  readonly rpc: Rpc
  readonly role: Role
  /** The role of the Safe's protector on the same modifier. */
  readonly protector?: Role | null
  /** Keys of the roles that other agents of the configuration have on the same modifier. */
  readonly otherRoles?: readonly Hex[]
  readonly book: AddressBook
  /** The block in which the modifier was made, for nodes that serve logs in pieces and no old state. */
  readonly firstBlock?: bigint | null
}

const debtTokenAbi = parseAbi([
  'function borrowAllowance(address fromUser, address toUser) view returns (uint256)',
])

/**
 * Compares a role, and its protector's, with the chain, at its newest block: every condition, allowance and member of the
 * modifier, and every way around it that Safe, modules, handlers and standing allowances leave open.
 *
 * What it proves, it proves of one node's word: names of what was ever granted come from its logs, and everything
 * they and the policy name is read from its storage at one block.
 *
 * @throws {WrongChainError} when the RPC serves another chain.
 * @throws {ReadFailedError} when there is no modifier or no Safe at its address.
 * @throws {LogsMissingError | FirstBlockUnknownError | ChainMovedError}
 * @example (await checkRole({ rpc, role, book })).differences.map(({ line }) => line) // []
 */
export async function checkRole(parameters: CheckRoleParameters): Promise<RoleCheck> {
  const { rpc, role, protector = null, otherRoles = [], book, firstBlock = null } = parameters
  const { account } = role
  const chainId = parseAnswer(quantity, await rpc.call('eth_chainId', []), 'eth_chainId', rpc.host)
  if (chainId !== BigInt(role.chainId)) throw new WrongChainError(rpc.host, role.chainId, Number(chainId))

  const reader = await openStateReader(rpc)
  const read = (of: Role) => readRole(reader, of.account, { firstBlock, ...namesOf(of) })
  const state = await read(role)
  const second = protector === null ? null : await read(protector)
  const safe = await readSafe(reader, account.safe)
  // Whoever is to be a member counts as one: a way around the role is none the better for being there first.
  const members = addressesOf([
    ...state.members,
    account.sender,
    ...(second?.members ?? []),
    protector?.account.sender ?? null,
  ])
  const meant = [account.roleKey, ...(protector === null ? [] : [protector.account.roleKey]), ...otherRoles]
  const differences = mendedOnce([
    ...compareRole({ role, book, state, meant }),
    ...(protector === null || second === null
      ? []
      : compareProtectorRole({ role: protector, book, state: second, meant })),
    ...compareSafe(role, safe, members),
    ...(await standing(reader, account.safe, members, book)),
  ])
  return {
    ...{ block: reader.block, role: state, protector: second, safe, differences },
    notes: notesOf(role, state, safe),
  }
}

/** Each once. */
const addressesOf = (all: readonly (Address | null)[]): readonly Address[] => [
  ...new Set(all.flatMap((address) => (address === null ? [] : [getAddress(address)]))),
]

/** Two roles can want the very same of the owner: that whoever has both leaves one. */
const mendedOnce = (differences: readonly Difference[]): readonly Difference[] =>
  differences.filter(
    ({ change }, index) =>
      change === null || differences.findIndex((other) => other.change?.data === change.data) === index,
  )

/** What members may take of the Safe by themselves, by an allowance or a delegation of credit that it once gave. */
async function standing(
  reader: StateReader,
  safe: Address,
  members: readonly Address[],
  book: AddressBook,
): Promise<readonly Difference[]> {
  const tokens = [
    ...book.tokens.map(({ address }) => address),
    ...book.aaveV3.reserves.map(({ aToken }) => aToken),
  ]
  const debts = book.aaveV3.reserves.map(({ variableDebtToken }) => variableDebtToken)
  const found = await Promise.all(
    members.flatMap((member) => [
      ...tokens.map(async (token) => ({
        member,
        token,
        how: 'take',
        amount: await reader.read(token, erc20ReadsAbi, 'allowance', [safe, member]),
      })),
      ...debts.map(async (token) => ({
        member,
        token,
        how: 'borrow on its account',
        amount: await reader.read(token, debtTokenAbi, 'borrowAllowance', [safe, member]),
      })),
    ]),
  )
  return found
    .filter(({ amount }) => amount > 0n)
    .map(({ member, token, how, amount }) => ({
      code: 'STANDING_ALLOWANCE' as const,
      line: `${member} may ${how} ${amount} of ${contractName(token, book) ?? token} by an allowance of the Safe, without the role`,
      change: null,
    }))
}

function notesOf({ account }: Role, { members }: RoleState, safe: SafeState): readonly string[] {
  const { owners, threshold, guard, moduleGuard } = safe
  return [
    `${threshold} of ${owners.length} owners can change all of this: ${owners.join(', ')}`,
    ...(account.sender === null ? members.map((member) => `Taken for the agent's: ${member}`) : []),
    ...(guard === null ? [] : [`A guard looks at what owners do: ${guard}`]),
    ...(moduleGuard === null
      ? []
      : [`A guard looks at what the role does, and may refuse it: ${moduleGuard}`]),
  ]
}

/** Said with every check: what it rests on. */
export const WHAT_IS_PROVEN = [
  'Which functions were ever granted is taken from the logs of the node; what each of them allows now is read from its',
  'storage, whose word for a function commits to the whole condition (a hash). A node that hides logs could hide a grant, and a',
  'second one (chain.rpcUrls) would show it.',
].join(' ')
