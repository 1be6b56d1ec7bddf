import {
  type Abi,
  type AbiFunction,
  type AbiParameter,
  type Address,
  encodePacked,
  type Hex,
  isAddressEqual,
  keccak256,
  numberToHex,
  pad,
  parseUnits,
  toFunctionSelector,
} from 'viem'
import type { AddressBook, Token } from '../../runtime/core/addressBook.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { type TokenAmount, tokenAmount } from '../../runtime/core/units.ts'
import { assertPolicyFits } from '../../runtime/guards/assertPolicyFits.ts'
import { type Policy, PolicyError } from '../../runtime/guards/policy.ts'
import { aavePoolActionsAbi, VARIABLE_RATE } from '../../runtime/protocols/aave-v3/abi.ts'
import { contractAddress } from '../../runtime/protocols/contracts.ts'
import { erc20ActionsAbi } from '../../runtime/protocols/erc20/abi.ts'
import { assertActionsAbi, flashRepayActionsAbi } from '../../runtime/protocols/rialto/abi.ts'
import { swapRouterActionsAbi } from '../../runtime/protocols/uniswap-v3/abi.ts'
import type { Condition } from './conditions.ts'
import type {
  AllowanceKind,
  Role,
  RoleAllowance,
  RoleFunction,
  RoleParameter,
  RoleTarget,
  SafeAccount,
} from './role.ts'

/** So that no number of missed refills overflows the modifier's 128 bits and locks the role. */
const MAX_ALLOWANCE = 2n ** 96n

const abis: Readonly<Record<string, Abi>> = {
  erc20: erc20ActionsAbi,
  'aave-v3.aToken': erc20ActionsAbi,
  'aave-v3.pool': aavePoolActionsAbi,
  'uniswap-v3.router': swapRouterActionsAbi,
  'rialto.flashRepay': flashRepayActionsAbi,
  'rialto.assert': assertActionsAbi,
}

/** The kind of intent that has a function at its heart. Approvals and assertions belong to all. */
const intentOf: Readonly<Record<string, Policy['intents'][number]>> = {
  supply: 'supply',
  withdraw: 'withdraw',
  borrow: 'borrow',
  repay: 'repay',
  liquidationCall: 'liquidate',
  exactInputSingle: 'swap',
  flashRepay: 'deleverage',
  transfer: 'transfer',
}

const ANYTHING: Condition = { is: 'anything' }
const ACCOUNT: Condition = { is: 'account' }
const address = (value: Address): Condition => ({
  is: 'equal',
  word: pad(value, { size: 32 }).toLowerCase() as Hex,
})
const number = (value: bigint): Condition => ({ is: 'equal', word: numberToHex(value, { size: 32 }) })
const call = (...parameters: readonly Condition[]): Condition => ({ is: 'call', parameters })

/** One of several, of which there may be none: then the function is not allowed at all. */
function oneOf(choices: readonly Condition[]): Condition | null {
  const [first, ...others] = choices
  if (first === undefined) return null
  return others.length === 0 ? first : { is: 'oneOf', of: choices }
}

/** What a policy says, in the terms of an address book. */
type Context = {
  readonly policy: Policy
  readonly book: AddressBook
  /** Takes from an allowance, which is one of the role from then on; null where the policy names none of the token. */
  take(kind: AllowanceKind, token: Token): Condition | null
}

const allows = ({ policy }: Context, contract: string, functionName: string): boolean => {
  const intent = intentOf[functionName]
  if (intent !== undefined && !policy.intents.includes(intent)) return false
  return (
    Object.hasOwn(policy.contracts, contract) && policy.contracts[contract]?.includes(functionName) === true
  )
}

/** The reserves whose underlying token is in the book, in the book's order. */
const reservesOf = ({ book }: Context) =>
  book.aaveV3.reserves.flatMap((reserve) => {
    const token = book.tokens.find((each) => isAddressEqual(each.address, reserve.asset))
    return token === undefined ? [] : [{ ...reserve, token }]
  })

/** The tokens that may be approved: whatever an action takes by an allowance is one of them. */
const approvable = (context: Context, token: Token): boolean =>
  allows(context, `erc20:${token.symbol}`, 'approve')

/** Whom an approval may be for: those alone that an allowed function has take this token. */
function spendersOf(context: Context, token: Token): readonly Address[] {
  const { book } = context
  const isReserve = reservesOf(context).some(({ asset }) => isAddressEqual(asset, token.address))
  const pulls = ['supply', 'repay', 'liquidationCall'].some((name) => allows(context, 'aave-v3.pool', name))
  const isTraded = book.uniswapV3.pools.some(({ token0, token1 }) =>
    [token0, token1].some((each) => isAddressEqual(each, token.address)),
  )
  return [
    ...(isReserve && pulls ? [book.aaveV3.pool] : []),
    ...(isTraded && allows(context, 'uniswap-v3.router', 'exactInputSingle')
      ? [book.uniswapV3.swapRouter]
      : []),
  ]
}

/** For each reserve whose token may be moved, and approved if it is pulled: a call that moves some of it. */
const forEachMove = (
  context: Context,
  pulls: boolean,
  make: (token: Token, amount: Condition) => Condition,
) =>
  oneOf(
    reservesOf(context).flatMap(({ token }) => {
      if (pulls && !approvable(context, token)) return []
      const amount = context.take('moves', token)
      return amount === null ? [] : [make(token, amount)]
    }),
  )

function poolCondition(functionName: string, context: Context): Condition | null {
  const rate = number(VARIABLE_RATE)
  switch (functionName) {
    case 'supply':
      return forEachMove(context, true, (token, amount) =>
        call(address(token.address), amount, ACCOUNT, ANYTHING),
      )
    case 'repay':
      return forEachMove(context, true, (token, amount) =>
        call(address(token.address), amount, rate, ACCOUNT),
      )
    case 'withdraw':
      return forEachMove(context, false, (token, amount) => call(address(token.address), amount, ACCOUNT))
    case 'borrow':
      return forEachMove(context, false, (token, amount) =>
        call(address(token.address), amount, rate, ANYTHING, ACCOUNT),
      )
    case 'liquidationCall': {
      const collateral = oneOf(reservesOf(context).map(({ asset }) => address(asset)))
      if (collateral === null) return null
      return forEachMove(context, true, (token, amount) =>
        // Never the Safe itself, and paid out in the underlying.
        call(collateral, address(token.address), { is: 'not', of: ACCOUNT }, amount, number(0n)),
      )
    }
    default:
      return null
  }
}

function tokenCondition(
  functionName: string,
  token: Token,
  spenders: readonly Address[],
  context: Context,
): Condition | null {
  if (functionName === 'transfer') return amountFor(context.policy.recipients, 'moves', token, context)
  const approval = amountFor(spenders, 'approvals', token, context)
  // To take back what somebody may take can do no harm, whoever it is.
  const isRevocable = context.policy.intents.includes('revoke')
  return oneOf([
    ...(approval === null ? [] : [approval]),
    ...(isRevocable ? [call(ANYTHING, number(0n))] : []),
  ])
}

/** A call that names one of several and an amount within an allowance. */
function amountFor(
  named: readonly Address[],
  kind: AllowanceKind,
  token: Token,
  context: Context,
): Condition | null {
  const party = oneOf(named.map(address))
  const amount = party === null ? null : context.take(kind, token)
  return party === null || amount === null ? null : call(party, amount)
}

function swapCondition(context: Context): Condition | null {
  const { pools } = context.book.uniswapV3
  const tokenAt = (at: Address) => context.book.tokens.find((each) => isAddressEqual(each.address, at))
  return oneOf(
    pools.flatMap(({ token0, token1, fee }) =>
      [[token0, token1] as const, [token1, token0] as const].flatMap(([from, to]) => {
        const token = tokenAt(from)
        if (token === undefined || tokenAt(to) === undefined || !approvable(context, token)) return []
        const amount = context.take('moves', token)
        if (amount === null) return []
        // Neither deadline nor minimum nor price limit: whoever holds the key chooses them.
        const fields = [
          address(from),
          address(to),
          number(BigInt(fee)),
          ACCOUNT,
          ANYTHING,
          amount,
          ANYTHING,
          ANYTHING,
        ]
        return [call({ is: 'struct', fields })]
      }),
    ),
  )
}

function flashRepayCondition(context: Context): Condition | null {
  const { book } = context
  const reserves = reservesOf(context)
  return oneOf(
    reserves.flatMap(({ asset, aToken, token }) => {
      if (!allows(context, `aave-v3.aToken:${token.symbol}`, 'approve')) return []
      return book.uniswapV3.pools.flatMap((pool) => {
        const tokens = [pool.token0, pool.token1]
        const debt = tokens.find((each) => !isAddressEqual(each, asset))
        const isPair = debt !== undefined && tokens.some((each) => isAddressEqual(each, asset))
        if (!isPair || !reserves.some((each) => isAddressEqual(each.asset, debt))) return []
        const maximum = context.take('moves', token)
        if (maximum === null) return []
        const fields = [book.aaveV3.pool, pool.address, debt, asset, aToken].map(address)
        return [call({ is: 'struct', fields: [...fields, ANYTHING, maximum] })]
      })
    }),
  )
}

/** Assertions do nothing, whatever they are asked: they are only held to the account where they ask for one. */
const assertCondition = (functionName: string): Condition | null => {
  switch (functionName) {
    case 'minHealthFactor':
    case 'minBalance':
    case 'maxBalance':
    case 'zeroAllowance':
      return call(ANYTHING, ACCOUNT, ANYTHING)
    case 'notAfter':
      return call(ANYTHING)
    default:
      return null
  }
}

function conditionOf(contract: string, functionName: string, context: Context): Condition | null {
  const [role, symbol] = contract.split(':', 2)
  const token = context.book.tokens.find((each) => each.symbol === symbol)
  switch (role) {
    case 'erc20':
      return token === undefined
        ? null
        : tokenCondition(functionName, token, spendersOf(context, token), context)
    case 'aave-v3.aToken': {
      if (token === undefined) return null
      const { rialto } = context.book
      const isUsed = rialto !== undefined && allows(context, 'rialto.flashRepay', 'flashRepay')
      return tokenCondition(functionName, token, isUsed ? [rialto.flashRepay] : [], context)
    }
    case 'aave-v3.pool':
      return poolCondition(functionName, context)
    case 'uniswap-v3.router':
      return swapCondition(context)
    case 'rialto.flashRepay':
      return flashRepayCondition(context)
    case 'rialto.assert':
      return assertCondition(functionName)
    default:
      return null
  }
}

const parameterOf = (parameter: AbiParameter): RoleParameter => ({
  name: parameter.name ?? '',
  type: parameter.type,
  ...('components' in parameter ? { components: parameter.components.map(parameterOf) } : {}),
})

/**
 * Turns a policy into a role: which contracts and functions may be called, with which arguments, and how much of each
 * token within which time.
 *
 * Only what money can be bounded by is in it. Prices, health factors, the sum of losses and who asked are not: a
 * modifier cannot see them. The mode of the policy is not either; whoever may only propose signs nothing.
 *
 * @throws {PolicyError} when the policy names what the address book does not know, or an amount that no modifier holds.
 * @throws {ConditionTooLargeError} later, when a condition is flattened.
 * @example compileRole(policy, book, account).targets.map(({ name }) => name) // ['aave-v3.pool', 'erc20:USDC', …]
 */
export function compileRole(policy: Policy, book: AddressBook, account: SafeAccount): Role {
  assertPolicyFits(policy, book)
  return roleOf(policy, book, account, ['allowances'])
}

/**
 * The role of a Safe's protector, by the limits that `protectorPolicy` derives: the functions of a rescue, and counters
 * of their own, since their keys are made of the role's.
 *
 * @param policy derived, of a policy that fits the book; null where nothing is reserved, and then nobody may be in it
 * @throws {PolicyError} as {@link compileRole} does.
 * @example compileProtectorRole(protectorPolicy(policy), book, { ...account, roleKey, sender: protector }).allowances
 */
export function compileProtectorRole(policy: Policy | null, book: AddressBook, account: SafeAccount): Role {
  if (policy !== null) return roleOf(policy, book, account, ['protector', 'allowances'])
  const nothing = { name: 'none', version: 'none' }
  return { chainId: book.chainId, account, policy: nothing, targets: [], allowances: [], period: 0 }
}

/** @param at where in the policy file the allowances are */
function roleOf(policy: Policy, book: AddressBook, account: SafeAccount, at: readonly string[]): Role {
  const limits = amountsOf(policy, book, at)
  const taken = new Map<Hex, RoleAllowance>()
  const context: Context = {
    policy,
    book,
    take(kind, token) {
      const amount = limits.get(token.symbol)
      if (amount === undefined || amount === 0n) return null
      const key = allowanceKey(account.roleKey, kind, token)
      taken.set(key, { key, kind, token, amount })
      return { is: 'within', allowance: key }
    },
  }
  const targets = Object.keys(policy.contracts)
    .sort()
    .flatMap((name): RoleTarget[] => {
      const functions = functionsOf(name, context)
      const at = contractAddress(name, book)
      if (at === null) throw new InvariantError(`The address book lost ${name}.`)
      return functions.length === 0 ? [] : [{ address: at, name, functions }]
    })
  return {
    chainId: book.chainId,
    account,
    policy: { name: policy.name, version: policy.version },
    targets,
    allowances: [...taken.values()].sort((a, b) => compare(labelOf(a), labelOf(b))),
    period: policy.spend.windowSeconds,
  }
}

function functionsOf(contract: string, context: Context): readonly RoleFunction[] {
  const abi = abis[contract.split(':', 1)[0] ?? ''] ?? []
  return abi
    .filter((item): item is AbiFunction => item.type === 'function' && allows(context, contract, item.name))
    .sort((a, b) => compare(a.name, b.name))
    .flatMap((item) => {
      const condition = conditionOf(contract, item.name, context)
      if (condition === null) return []
      const parameters = item.inputs.map(parameterOf)
      return [{ name: item.name, selector: toFunctionSelector(item), parameters, condition }]
    })
}

/** The policy's allowances in smallest units, by symbol. `native` is gas, which the sender pays and no modifier sees. */
function amountsOf(
  policy: Policy,
  book: AddressBook,
  at: readonly string[],
): ReadonlyMap<string, TokenAmount> {
  const amounts = new Map<string, TokenAmount>()
  for (const [symbol, text] of Object.entries(policy.allowances)) {
    if (symbol === 'native') continue
    const refuse = (message: string): never => {
      throw new PolicyError([{ path: [...at, symbol], message }])
    }
    const token = book.tokens.find((each) => each.symbol === symbol)
    if (token === undefined)
      return refuse(
        `is no token in the address book of chain ${book.chainId}: correct the symbol, or remove it`,
      )
    if ((text.split('.')[1] ?? '').length > token.decimals)
      refuse(`has more than the ${token.decimals} decimals of ${symbol}: round it`)
    const amount = parseUnits(text, token.decimals)
    if (amount >= MAX_ALLOWANCE) refuse('is more than a Roles modifier can count: lower it')
    amounts.set(symbol, tokenAmount(amount))
  }
  return amounts
}

/** An allowance is the modifier's, not the role's: two roles on one modifier must not share one. */
const allowanceKey = (roleKey: Hex, kind: AllowanceKind, token: Token): Hex =>
  keccak256(encodePacked(['bytes32', 'string', 'address'], [roleKey, kind, token.address]))

const labelOf = ({ kind, token }: RoleAllowance): string => `${kind}:${token.symbol}`

/** By code units, so that every machine sorts alike. */
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
