import {
  type Abi,
  type DecodeFunctionDataReturnType,
  decodeFunctionData,
  encodeFunctionData,
  type Hex,
} from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import type { Call } from '../core/lifecycle.ts'
import { aaveDebtTokenActionsAbi, aavePoolActionsAbi } from './aave-v3/abi.ts'
import { type ContractRole, knownContract } from './contracts.ts'
import { erc20ActionsAbi } from './erc20/abi.ts'
import { assertActionsAbi, flashRepayActionsAbi } from './rialto/abi.ts'
import { swapRouterActionsAbi } from './uniswap-v3/abi.ts'

/** The functions that Rialto itself calls, by role. Whatever is not here is unreadable, and so denied. */
const actions = {
  erc20: erc20ActionsAbi,
  'aave-v3.aToken': erc20ActionsAbi,
  'aave-v3.variableDebtToken': aaveDebtTokenActionsAbi,
  'aave-v3.pool': aavePoolActionsAbi,
  'uniswap-v3.router': swapRouterActionsAbi,
  'rialto.flashRepay': flashRepayActionsAbi,
  'rialto.assert': assertActionsAbi,
} as const satisfies Partial<Record<ContractRole, Abi>>

type Actions = typeof actions

/**
 * A call that Rialto can read: which contract by its name in policy files, which function, with which arguments.
 * `role` and `functionName` tell the type of `args`.
 *
 * @example
 * { contract: 'erc20:USDC', role: 'erc20', functionName: 'approve', args: ['0x…', 1_000_000n] }
 */
export type DecodedCall = {
  [Role in keyof Actions]: { readonly role: Role; readonly contract: string } & DecodeFunctionDataReturnType<
    Actions[Role]
  >
}[keyof Actions]

/**
 * Reads a call, or gives null when it is anything that Rialto would not have written: a contract that is not in
 * the book, a function that is not used, native coins along, or calldata that is not byte for byte what encoding
 * the decoded arguments gives (a decoder passes over trailing bytes and dirty padding; a contract might not).
 *
 * @throws {AmbiguousAddressBookError}
 */
export function decodeCall(call: Call, book: AddressBook): DecodedCall | null {
  const known = knownContract(call.to, book)
  if (known === null || !(known.role in actions) || call.value !== 0n) return null
  const role = known.role as keyof Actions
  const abi: Abi = actions[role]
  const data = call.data.toLowerCase() as Hex
  try {
    const decoded = decodeFunctionData({ abi, data })
    if (encodeFunctionData({ abi, ...decoded } as never) !== data) return null
    return { role, contract: known.name, ...decoded } as DecodedCall
  } catch {
    // viem has no decoder that answers instead of throwing; whatever it cannot read is unreadable.
    return null
  }
}
