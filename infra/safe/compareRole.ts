import {
  type Abi,
  type Address,
  encodeFunctionData,
  getAddress,
  type Hex,
  isAddressEqual,
  zeroAddress,
} from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { Call } from '../../runtime/core/lifecycle.ts'
import { wei } from '../../runtime/core/units.ts'
import { contractName } from '../../runtime/protocols/contracts.ts'
import { rolesOwnerAbi, safeAbi } from './abi.ts'
import { FALLBACK_HANDLERS, MULTI_SENDS, minimalProxyCode, ZODIAC } from './addresses.ts'
import { type ConditionFlat, conditionHeader, flatten } from './conditions.ts'
import { allowanceName, describeAmount, describeFunction, describeSeconds } from './describeRole.ts'
import {
  type AllowanceState,
  functionKey,
  MULTI_SEND_SELECTOR,
  type RoleState,
  selectorOf,
  targetOf,
} from './readRole.ts'
import type { SafeState } from './readSafe.ts'
import type { Role, RoleAllowance, RoleFunction } from './role.ts'

/** A call of the owner's Safe that mends a difference, and what it does in words. */
export type Change = Call & { readonly words: string }

/** One way in which the chain is not what the policy says. */
export type Difference = {
  readonly code:
    | 'MODIFIER'
    | 'MULTI_SEND'
    | 'MODULE'
    | 'OWNER'
    | 'FALLBACK_HANDLER'
    | 'MEMBER'
    | 'OTHER_ROLE'
    | 'STANDING_ALLOWANCE'
    | 'UNWRAPPER'
    | 'TARGET'
    | 'FUNCTION'
    | 'ALLOWANCE'
  readonly line: string
  /** Null: nothing that a tool should undo by itself. */
  readonly change: Change | null
}

/** A target that is called by function alone, and may do nothing else. */
const SCOPED = 2
/** Neither native coins nor delegate calls. */
const NO_OPTIONS = 0
const NO_VALUE = wei(0n)

type Compared = {
  readonly role: Role
  readonly book: AddressBook
  readonly state: RoleState
  /** Keys of all roles that somebody means to be on the modifier: whoever is in another one is in it by mistake. */
  readonly meant: readonly Hex[]
}

/** What {@link readRole} has to look at for {@link compareRole}. */
export const namesOf = (role: Role) => ({
  targets: role.targets.map(({ address }) => address),
  functions: role.targets.flatMap(({ address, functions }) =>
    functions.map(({ selector }) => functionKey(address, selector)),
  ),
  allowances: role.allowances.map(({ key }) => key),
})

/**
 * Every difference between a role and what a modifier holds of it, with the call that mends it, in an order in which
 * no step allows more than the last: what is too much goes first, and the member comes when all its limits stand.
 */
export function* compareRole(compared: Compared): Generator<Difference> {
  yield* compareModifier(compared)
  yield* compareUnwrappers(compared)
  yield* compareLimits(compared)
}

/** As {@link compareRole}, of a second role on the same modifier: what it alone allows, and to whom. */
export function* compareProtectorRole(compared: Compared): Generator<Difference> {
  for (const { code, line, change } of compareLimits(compared))
    yield {
      code,
      line: `The protector's role: ${line}`,
      change: change === null ? null : { ...change, words: `the protector's role: ${change.words}` },
    }
}

function* compareLimits(compared: Compared): Generator<Difference> {
  yield* excess(compared)
  yield* compareAllowances(compared)
  yield* compareFunctions(compared)
  yield* compareMembers(compared)
}

function ownerCall(role: Role, functionName: string, args: readonly unknown[], words: string): Change {
  const abi: Abi = rolesOwnerAbi
  const data = encodeFunctionData({ abi, functionName, args })
  return { to: role.account.modifier, value: NO_VALUE, data, words }
}

function* compareModifier({ role, state }: Compared): Generator<Difference> {
  const { safe, modifier, multiSend } = role.account
  const wrong = (line: string): Difference => ({ code: 'MODIFIER', line, change: null })
  if (state.code !== minimalProxyCode(ZODIAC.rolesMastercopy))
    yield wrong(`The code of the modifier ${modifier} is not that of Zodiac Roles 2.1.0: it may do anything`)
  if (!isAddressEqual(state.owner, safe))
    yield wrong(`The modifier belongs to ${state.owner}, who can change the role without the Safe`)
  if (!isAddressEqual(state.avatar, safe))
    yield wrong(`The modifier takes ${state.avatar} for the account that conditions speak of, not the Safe`)
  if (!isAddressEqual(state.target, safe))
    yield wrong(`The modifier passes transactions on to ${state.target}, not to the Safe`)
  if (!MULTI_SENDS.some((known) => isAddressEqual(known, multiSend)))
    yield {
      code: 'MULTI_SEND',
      line: `${multiSend} is no MultiSend that Safe publishes: the Safe would run its code as its own`,
      change: null,
    }
}

function* compareUnwrappers({ role, state }: Compared): Generator<Difference> {
  const wanted = functionKey(role.account.multiSend, MULTI_SEND_SELECTOR)
  const set = (key: Hex, adapter: Address, words: string) =>
    ownerCall(role, 'setTransactionUnwrapper', [targetOf(key), selectorOf(key), adapter], words)
  const actual = state.unwrappers.get(wanted)
  if (actual === undefined || !isAddressEqual(actual, ZODIAC.multiSendUnwrapper))
    yield {
      code: 'UNWRAPPER',
      line: `Batches of ${role.account.multiSend} are read by ${actual ?? 'nobody'}, not by Zodiac's MultiSendUnwrapper`,
      change: set(wanted, ZODIAC.multiSendUnwrapper, 'read every call of a batch, by the MultiSendUnwrapper'),
    }
  for (const [key, adapter] of state.unwrappers) {
    // An adapter decides what the modifier gets to see: one that shows it nothing lets everything pass.
    const isPublished =
      isAddressEqual(adapter, ZODIAC.multiSendUnwrapper) &&
      selectorOf(key) === MULTI_SEND_SELECTOR &&
      MULTI_SENDS.some((known) => isAddressEqual(known, targetOf(key)))
    if (key === wanted || isPublished) continue
    const what = `${selectorOf(key)} of ${targetOf(key)}`
    yield {
      code: 'UNWRAPPER',
      line: `Calls of ${what} are read by ${adapter}, which may hide from the modifier what they do`,
      change: set(key, zeroAddress, `no longer have ${what} read by ${adapter}`),
    }
  }
}

/** What the chain allows and the policy does not. */
function* excess({ role, book, state }: Compared): Generator<Difference> {
  const { roleKey } = role.account
  const wanted = namesOf(role)
  const named = (address: Address) => contractName(address, book) ?? address
  for (const [address, { clearance }] of state.targets) {
    if (wanted.targets.some((each) => isAddressEqual(each, address))) continue
    const how = clearance === SCOPED ? 'may be called' : 'may be called with anything'
    yield {
      code: 'TARGET',
      line: `${named(address)} ${how}, which the policy does not say`,
      change: ownerCall(role, 'revokeTarget', [roleKey, address], `revoke ${named(address)}`),
    }
  }
  for (const key of state.functions.keys()) {
    if (wanted.functions.includes(key)) continue
    const [target, selector] = [targetOf(key), selectorOf(key)]
    yield {
      code: 'FUNCTION',
      line: `${selector} of ${named(target)} may be called, which the policy does not say`,
      change: ownerCall(
        role,
        'revokeFunction',
        [roleKey, target, selector],
        `revoke ${selector} of ${named(target)}`,
      ),
    }
  }
}

function* compareAllowances({ role, state }: Compared): Generator<Difference> {
  for (const allowance of role.allowances) {
    const actual = state.allowances.get(allowance.key)
    const period = BigInt(role.period)
    if (
      actual !== undefined &&
      actual.maxRefill === allowance.amount &&
      actual.refill === allowance.amount &&
      actual.period === period &&
      actual.balance <= allowance.amount
    )
      continue
    const amount = describeAmount(allowance.amount, allowance.token)
    const every = describeSeconds(role.period)
    yield {
      code: 'ALLOWANCE',
      line: `The ${allowanceName(allowance)} are ${describeActual(actual, allowance)}, not ${amount} every ${every}`,
      change: setAllowance(role, allowance, actual, state.block.timestamp),
    }
  }
}

const describeActual = (actual: AllowanceState | undefined, { token }: RoleAllowance): string =>
  actual === undefined || actual.timestamp === 0n
    ? 'not set'
    : `${describeAmount(actual.refill, token)} every ${describeSeconds(Number(actual.period))}, up to ${describeAmount(actual.maxRefill, token)}, with ${describeAmount(actual.balance, token)} left`

/** What was used up of the running period stays used up: to change a limit is not to fill it. */
function setAllowance(
  role: Role,
  allowance: RoleAllowance,
  actual: AllowanceState | undefined,
  now: bigint,
): Change {
  const { key, amount, token } = allowance
  const isNew = actual === undefined || actual.timestamp === 0n
  const used = isNew ? 0n : floor(actual.maxRefill - balanceAt(actual, now))
  const balance = floor(amount - used)
  const keepsPeriod = !isNew && actual.period === BigInt(role.period)
  const args = [key, balance, amount, amount, BigInt(role.period), keepsPeriod ? actual.timestamp : 0n]
  return ownerCall(
    role,
    'setAllowance',
    args,
    `limit the ${allowanceName(allowance)} to ${describeAmount(amount, token)} every ${describeSeconds(role.period)}, ${describeAmount(balance, token)} of it at once`,
  )
}

const floor = (value: bigint): bigint => (value > 0n ? value : 0n)

/** `_accruedAllowance` of the modifier: what is left at a time, in the token's smallest unit. */
export function balanceAt(
  { refill, maxRefill, period, balance, timestamp }: AllowanceState,
  now: bigint,
): bigint {
  if (period === 0n || now < timestamp + period || balance >= maxRefill) return balance
  const refilled = balance + refill * ((now - timestamp) / period)
  return refilled < maxRefill ? refilled : maxRefill
}

function* compareFunctions({ role, book, state }: Compared): Generator<Difference> {
  const { roleKey } = role.account
  for (const { address, name, functions } of role.targets) {
    for (const each of functions) {
      const flat = flatten(each.condition)
      const actual = state.functions.get(functionKey(address, each.selector))
      if (actual === conditionHeader(flat)) continue
      const what = `${name}.${each.name}`
      yield {
        code: 'FUNCTION',
        line:
          actual === undefined ? `${what} may not be called` : `${what} may be called under other conditions`,
        change: scopeFunction(role, book, { address, name }, each, flat),
      }
    }
    const actual = state.targets.get(address)
    if (actual?.clearance === SCOPED && actual.options === NO_OPTIONS) continue
    yield {
      code: 'TARGET',
      line: actual === undefined ? `${name} may not be called` : `${name} may be called with anything`,
      change: ownerCall(role, 'scopeTarget', [roleKey, address], `let ${name} be called, by function alone`),
    }
  }
}

function scopeFunction(
  role: Role,
  book: AddressBook,
  { address, name }: { readonly address: Address; readonly name: string },
  each: RoleFunction,
  flat: readonly ConditionFlat[],
): Change {
  const words = `allow ${name}: ${describeFunction(each, role, book).join('; ')}`
  const args = [role.account.roleKey, address, each.selector, flat, NO_OPTIONS]
  return ownerCall(role, 'scopeFunction', args, words)
}

function* compareMembers({ role, state, meant }: Compared): Generator<Difference> {
  const { roleKey, sender } = role.account
  const assign = (member: Address, isMember: boolean) =>
    ownerCall(
      role,
      'assignRoles',
      [member, [roleKey], [isMember]],
      isMember ? `make ${member} a member of the role` : `end the membership of ${member}`,
    )
  const isEmpty = role.targets.length === 0
  for (const member of state.members) {
    if (!isEmpty && (sender === null || isAddressEqual(sender, member))) continue
    yield { code: 'MEMBER', line: `${member} is a member of the role`, change: assign(member, false) }
  }
  const staying = isEmpty ? [] : sender === null ? state.members : [sender]
  for (const { roleKey: other, member } of state.otherRoles) {
    const stays = staying.some((each) => isAddressEqual(each, member))
    // Whoever does not stay in this role may have one of the others. No policy limits what a role of nobody's allows.
    if (!stays && meant.includes(other)) continue
    yield {
      code: 'OTHER_ROLE',
      line: stays
        ? `${member} is also a member of the role ${other}, which this policy says nothing of`
        : `${member} is a member of the role ${other} of the same modifier, which the configuration does not name`,
      change: ownerCall(
        role,
        'assignRoles',
        [member, [other], [false]],
        `end the membership of ${member} in the role ${other}`,
      ),
    }
  }
  if (!isEmpty && sender === null && state.members.length === 0)
    yield { code: 'MEMBER', line: 'Nobody is a member of the role', change: null }
  if (!isEmpty && sender !== null && !state.enabledMembers.some((member) => isAddressEqual(member, sender)))
    yield { code: 'MEMBER', line: `${sender} is no member of the role`, change: assign(sender, true) }
}

/** Every way around the role that the Safe itself leaves open to whoever holds the key of a member. */
export function* compareSafe(
  role: Role,
  safe: SafeState,
  members: readonly Address[],
): Generator<Difference> {
  const { account } = role
  const isModifier = (module: Address) => isAddressEqual(module, account.modifier)
  for (const module of safe.modules.filter((each) => !isModifier(each)))
    yield {
      code: 'MODULE',
      line: `The Safe has another module, ${module}, which can do anything without the role`,
      change: null,
    }
  for (const member of members.filter((each) => safe.owners.some((owner) => isAddressEqual(owner, each))))
    yield {
      code: 'OWNER',
      line: `${member} is an owner of the Safe (${safe.threshold} of ${safe.owners.length} sign): whoever has its key needs no role`,
      change: null,
    }
  const { fallbackHandler } = safe
  if (fallbackHandler !== null && !FALLBACK_HANDLERS.some((known) => isAddressEqual(known, fallbackHandler)))
    yield {
      code: 'FALLBACK_HANDLER',
      line: `The Safe's fallback handler ${fallbackHandler} is none that Safe publishes: anybody can call it as the Safe`,
      change: null,
    }
  if (!safe.modules.some(isModifier))
    yield {
      code: 'MODULE',
      line: 'The modifier is no module of the Safe, so the role can do nothing',
      change: {
        to: account.safe,
        value: NO_VALUE,
        data: encodeFunctionData({ abi: safeAbi, functionName: 'enableModule', args: [account.modifier] }),
        words: `let the modifier ${getAddress(account.modifier)} act for the Safe`,
      },
    }
}
