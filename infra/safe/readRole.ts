import {
  type Address,
  concatHex,
  decodeEventLog,
  encodeAbiParameters,
  getAddress,
  type Hex,
  hexToBigInt,
  keccak256,
  numberToHex,
  pad,
  toFunctionSelector,
  zeroAddress,
} from 'viem'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { multiSendAbi } from '../../runtime/protocols/safe/abi.ts'
import type { Log, StateReader } from '../chain/stateReader.ts'
import { rolesEventsAbi, rolesReadsAbi } from './abi.ts'
import { LogsMissingError } from './errors.ts'
import type { SafeAccount } from './role.ts'

/** `multiSend(bytes)`: what the modifier has to know how to read. */
export const MULTI_SEND_SELECTOR: Hex = toFunctionSelector(multiSendAbi[0])

/** A counter as it stands. Amounts in the token's smallest unit, times in seconds. */
export type AllowanceState = {
  readonly refill: bigint
  readonly maxRefill: bigint
  readonly period: bigint
  /** What was left at `timestamp`. */
  readonly balance: bigint
  readonly timestamp: bigint
}

/** `clearance` of a target: 0 nothing, 1 everything, 2 by function. */
export type TargetState = { readonly clearance: number; readonly options: number }

/** Everything that a modifier holds of one role, as of one block. */
export type RoleState = {
  readonly block: BlockRef
  readonly code: Hex
  readonly owner: Address
  readonly avatar: Address
  readonly target: Address
  /** Everybody who is a member now. */
  readonly members: readonly Address[]
  /** Members that the modifier also lets in: it keeps a list of its own. */
  readonly enabledMembers: readonly Address[]
  /** Targets with any clearance, by address. */
  readonly targets: ReadonlyMap<Address, TargetState>
  /** What storage holds of each function that was ever named, by {@link functionKey}; none that are zero. */
  readonly functions: ReadonlyMap<Hex, Hex>
  readonly allowances: ReadonlyMap<Hex, AllowanceState>
  /** By {@link functionKey} of what they read. */
  readonly unwrappers: ReadonlyMap<Hex, Address>
  /** Everybody who is a member of another role of this modifier now, whether of this one too or not. */
  readonly otherRoles: readonly { readonly roleKey: Hex; readonly member: Address }[]
}

/** A function of a contract, as the modifier names it: address, selector, zeros. */
export const functionKey = (target: Address, selector: Hex): Hex =>
  concatHex([target.toLowerCase() as Hex, selector, pad('0x', { size: 8 })])

export const targetOf = (key: Hex): Address => getAddress(`0x${key.slice(2, 42)}`)
export const selectorOf = (key: Hex): Hex => `0x${key.slice(42, 50)}`

/** Where `Roles` 2.1.0 keeps `mapping(bytes32 => Role) roles`. */
const ROLES_SLOT = 4n

/** The slot of a mapping's value (Solidity's layout of storage). */
const slotIn = (key: Hex, mapping: bigint): bigint =>
  hexToBigInt(keccak256(encodeAbiParameters([{ type: 'bytes32' }, { type: 'uint256' }], [key, mapping])))

/** The members of `struct Role`: members, targets, scopeConfig. */
const slots = (roleKey: Hex) => {
  const base = slotIn(roleKey, ROLES_SLOT)
  const hex = (slot: bigint) => numberToHex(slot, { size: 32 })
  const word = (address: Address) => pad(address, { size: 32 })
  return {
    member: (address: Address) => hex(slotIn(word(address), base)),
    target: (address: Address) => hex(slotIn(word(address), base + 1n)),
    scope: (key: Hex) => hex(slotIn(key, base + 2n)),
  }
}

type Named = {
  readonly members: Set<Address>
  readonly targets: Set<Address>
  readonly functions: Set<Hex>
  readonly unwrappers: Set<Hex>
  readonly rolesOf: Map<Address, Set<Hex>>
  isSetUp: boolean
}

/** Every key that an event of the modifier names. What became of it is read from storage. */
function namesIn(logs: readonly Log[], roleKey: Hex): Named {
  const named: Named = {
    members: new Set(),
    targets: new Set(),
    functions: new Set(),
    unwrappers: new Set(),
    rolesOf: new Map(),
    isSetUp: false,
  }
  for (const { topics, data } of logs) {
    const event = readEvent(topics, data)
    if (event === null) continue
    switch (event.eventName) {
      case 'RolesModSetup':
        named.isSetUp = true
        break
      case 'AssignRoles': {
        const roles = named.rolesOf.get(event.args.module) ?? new Set()
        for (const key of event.args.roleKeys) roles.add(key)
        named.rolesOf.set(event.args.module, roles)
        if (event.args.roleKeys.includes(roleKey)) named.members.add(event.args.module)
        break
      }
      case 'SetUnwrapAdapter':
        named.unwrappers.add(functionKey(event.args.to, event.args.selector))
        break
      case 'AllowFunction':
      case 'RevokeFunction':
      case 'ScopeFunction':
        if (event.args.roleKey !== roleKey) break
        named.functions.add(functionKey(event.args.targetAddress, event.args.selector))
        break
      default:
        if (event.args.roleKey === roleKey) named.targets.add(event.args.targetAddress)
    }
  }
  return named
}

/** Null for an event that names nothing here, of which a modifier has many. */
function readEvent(topics: readonly Hex[], data: Hex) {
  const [signature, ...indexed] = topics
  if (signature === undefined) return null
  try {
    return decodeEventLog({ abi: rolesEventsAbi, data, topics: [signature, ...indexed] })
  } catch {
    // viem has no decoder that answers instead of throwing.
    return null
  }
}

/**
 * Reads what a modifier holds of a role.
 *
 * The modifier has no getters for conditions, and mappings cannot be listed. So events say which members, targets and
 * functions were *ever* named, and what they are *now* is read from storage at one block. A function's word in
 * storage holds an address that follows from the whole condition (see `conditionHeader`), so nothing is taken from
 * events but names: a node that makes events up can add nothing, one that hides them could hide a grant.
 *
 * @param expected functions, targets and allowances that are looked at whether an event names them or not
 * @throws {ReadFailedError} when there is no modifier at the address.
 * @throws {LogsMissingError | FirstBlockUnknownError} when the node's logs do not reach back to its beginning.
 */
export async function readRole(
  reader: StateReader,
  { modifier, roleKey, multiSend, sender }: SafeAccount,
  options: {
    readonly firstBlock: bigint | null
    readonly targets: readonly Address[]
    readonly functions: readonly Hex[]
    readonly allowances: readonly Hex[]
  },
): Promise<RoleState> {
  const [owner, avatar, target, code] = await Promise.all([
    reader.read(modifier, rolesReadsAbi, 'owner', []),
    reader.read(modifier, rolesReadsAbi, 'avatar', []),
    reader.read(modifier, rolesReadsAbi, 'target', []),
    reader.code(modifier),
  ])
  const named = namesIn(await reader.logs(modifier, options.firstBlock), roleKey)
  if (!named.isSetUp) throw new LogsMissingError(modifier, reader.host)

  const at = slots(roleKey)
  const isTrue = async (slot: Hex) => hexToBigInt(await reader.storage(modifier, slot)) !== 0n
  const candidates = unique([...named.members, ...(sender === null ? [] : [sender])])
  const members = await keep(candidates, (member) => isTrue(at.member(member)))
  const enabledMembers = await keep(members, (member) =>
    reader.read(modifier, rolesReadsAbi, 'isModuleEnabled', [member]),
  )
  const targets = await entries(unique([...named.targets, ...options.targets]), async (address) => {
    const word = hexToBigInt(await reader.storage(modifier, at.target(address)))
    const state = { clearance: Number(word & 0xffn), options: Number((word >> 8n) & 0xffn) }
    return state.clearance === 0 ? null : state
  })
  const functions = await entries(unique([...named.functions, ...options.functions]), async (key) => {
    const header = await reader.storage(modifier, at.scope(key))
    return hexToBigInt(header) === 0n ? null : header
  })
  const allowances = await entries(options.allowances, async (key) => {
    const [refill, maxRefill, period, balance, timestamp] = await reader.read(
      modifier,
      rolesReadsAbi,
      'allowances',
      [key],
    )
    return { refill, maxRefill, period, balance, timestamp }
  })
  const batch = functionKey(multiSend, MULTI_SEND_SELECTOR)
  const unwrappers = await entries(unique([...named.unwrappers, batch]), async (key) => {
    const adapter = await reader.read(modifier, rolesReadsAbi, 'unwrappers', [key])
    return adapter === zeroAddress ? null : adapter
  })
  const others = [...named.rolesOf].flatMap(([member, keys]) =>
    [...keys].filter((key) => key !== roleKey).map((key) => ({ roleKey: key, member })),
  )
  const otherRoles = await keep(others, (other) => isTrue(slots(other.roleKey).member(other.member)))
  await reader.confirm()
  return {
    block: reader.block,
    code,
    owner,
    avatar,
    target,
    members,
    enabledMembers,
    targets,
    functions,
    allowances,
    unwrappers,
    otherRoles,
  }
}

const unique = <Item extends string>(items: readonly Item[]): readonly Item[] => [...new Set(items)]

async function keep<Item>(
  items: readonly Item[],
  isKept: (item: Item) => Promise<boolean>,
): Promise<readonly Item[]> {
  const kept = await Promise.all(items.map(isKept))
  return items.filter((_, index) => kept[index] === true)
}

async function entries<Key, Value>(
  keys: readonly Key[],
  read: (key: Key) => Promise<Value | null>,
): Promise<ReadonlyMap<Key, Value>> {
  const values = await Promise.all(keys.map(async (key) => [key, await read(key)] as const))
  return new Map(values.flatMap(([key, value]) => (value === null ? [] : [[key, value] as const])))
}
