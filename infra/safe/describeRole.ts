import { type Address, formatUnits, getAddress, hexToBigInt } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { contractName } from '../../runtime/protocols/contracts.ts'
import type { Condition } from './conditions.ts'
import type { Role, RoleAllowance, RoleFunction, RoleParameter } from './role.ts'

/** An amount of a token for people. @example describeAmount(80n * 10n ** 18n, weth) // '80 WETH' */
export const describeAmount = (
  amount: bigint,
  { decimals, symbol }: { readonly decimals: number; readonly symbol: string },
): string => `${formatUnits(amount, decimals)} ${symbol}`

/** What an allowance is called in words. @example allowanceName(allowance) // 'moves of WETH' */
export const allowanceName = ({ kind, token }: Pick<RoleAllowance, 'kind' | 'token'>): string =>
  `${kind} of ${token.symbol}`

/** A span of seconds for people. @example describeSeconds(86_400) // '24 h' */
export const describeSeconds = (seconds: number): string =>
  seconds % 3600 === 0 ? `${seconds / 3600} h` : `${seconds} s`

/** A role as lines for a person: its parties, its allowances, and every function with what is asked of each argument. */
export function describeRole(role: Role, book: AddressBook): readonly string[] {
  const { account, policy } = role
  return [
    `Role ${account.roleKey} of the policy ${policy.name} (${policy.version}), chain ${role.chainId}`,
    `  Safe      ${account.safe}`,
    `  modifier  ${account.modifier}`,
    `  MultiSend ${account.multiSend}`,
    `  member    ${account.sender ?? 'not named here'}`,
    '',
    `Allowances, full again every ${describeSeconds(role.period)}:`,
    ...role.allowances.map(
      (allowance) => `  ${allowanceName(allowance)}: ${describeAmount(allowance.amount, allowance.token)}`,
    ),
    ...(role.allowances.length === 0 ? ['  none: nothing may be moved'] : []),
    '',
    'It may call, without native coins and never as a delegate:',
    ...role.targets.flatMap(({ address, name, functions }) => [
      `  ${name} (${address})`,
      ...functions.flatMap((each) => describeFunction(each, role, book).map((line) => `    ${line}`)),
    ]),
    ...(role.targets.length === 0 ? ['  nothing'] : []),
  ]
}

/** A function with its conditions, a line for each way to call it. */
export function describeFunction(
  { name, parameters, condition }: RoleFunction,
  role: Role,
  book: AddressBook,
): readonly string[] {
  const ways = condition.is === 'oneOf' ? condition.of : [condition]
  return ways.map((way) => {
    const asked = way.is === 'call' ? describeAll(way.parameters, parameters, role, book) : ''
    return `${name}(${asked})`
  })
}

function describeAll(
  conditions: readonly Condition[],
  parameters: readonly RoleParameter[],
  role: Role,
  book: AddressBook,
): string {
  return conditions
    .map((condition, index) => {
      const parameter = parameters[index] ?? { name: `argument ${index + 1}`, type: 'bytes32' }
      if (condition.is === 'struct')
        return `{ ${describeAll(condition.fields, parameter.components ?? [], role, book)} }`
      return `${parameter.name} ${describe(condition, parameter, role, book)}`
    })
    .join(', ')
}

function describe(condition: Condition, parameter: RoleParameter, role: Role, book: AddressBook): string {
  switch (condition.is) {
    case 'anything':
      return 'any'
    case 'account':
      return '= the Safe'
    case 'equal':
      return `= ${describeWord(condition.word, parameter.type, book)}`
    case 'within': {
      const allowance = role.allowances.find(({ key }) => key === condition.allowance)
      return `within ${allowance === undefined ? condition.allowance : `the ${allowanceName(allowance)}`}`
    }
    case 'oneOf':
      return condition.of.map((each) => describe(each, parameter, role, book)).join(' or ')
    case 'not':
      return `not ${describe(condition.of, parameter, role, book)}`
    default:
      return describeAll(
        condition.is === 'struct' ? condition.fields : condition.parameters,
        parameter.components ?? [],
        role,
        book,
      )
  }
}

function describeWord(word: `0x${string}`, type: string, book: AddressBook): string {
  if (type === 'bool') return hexToBigInt(word) === 0n ? 'false' : 'true'
  if (type !== 'address') return hexToBigInt(word).toString()
  const at: Address = getAddress(`0x${word.slice(26)}`)
  return contractName(at, book) ?? at
}

/** The role as one JSON value: what `rialto policy compile --json` prints. */
export function roleToJson(role: Role, book: AddressBook) {
  const { account, policy, chainId, period } = role
  return {
    chainId,
    policy,
    account,
    period,
    allowances: role.allowances.map(({ key, kind, token, amount }) => ({
      key,
      kind,
      token: token.symbol,
      address: token.address,
      amount: amount.toString(),
    })),
    targets: role.targets.map(({ address, name, functions }) => ({
      address,
      name,
      functions: functions.map((each) => ({
        name: each.name,
        selector: each.selector,
        words: describeFunction(each, role, book),
        condition: each.condition,
      })),
    })),
  }
}
