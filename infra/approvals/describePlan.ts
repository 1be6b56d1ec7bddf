import { type AbiParameter, type Address, formatUnits, isAddressEqual, zeroAddress } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { Call, Effects, Plan } from '../../runtime/core/lifecycle.ts'
import { formatUsd, formatWad, MAX_UINT256 } from '../../runtime/core/units.ts'
import { aaveDebtTokenActionsAbi, aavePoolActionsAbi } from '../../runtime/protocols/aave-v3/abi.ts'
import { contractName } from '../../runtime/protocols/contracts.ts'
import { decodeCall } from '../../runtime/protocols/decodeCall.ts'
import { erc20ActionsAbi } from '../../runtime/protocols/erc20/abi.ts'
import { assertActionsAbi, flashRepayActionsAbi } from '../../runtime/protocols/rialto/abi.ts'
import { swapRouterActionsAbi } from '../../runtime/protocols/uniswap-v3/abi.ts'

/** A call in words, told from its calldata alone. */
export type DescribedCall = {
  /** By its name in the address book; null when it is not in it, or its calldata cannot be read. */
  readonly contract: string | null
  readonly functionName: string | null
  /** In the order of the function, each as a person reads it. */
  readonly arguments: readonly { readonly name: string; readonly value: string }[]
  readonly to: Address
}

type Named = { readonly name: string; readonly value: unknown }

const abis = {
  erc20: erc20ActionsAbi,
  'aave-v3.aToken': erc20ActionsAbi,
  'aave-v3.variableDebtToken': aaveDebtTokenActionsAbi,
  'aave-v3.pool': aavePoolActionsAbi,
  'uniswap-v3.router': swapRouterActionsAbi,
  'rialto.flashRepay': flashRepayActionsAbi,
  'rialto.assert': assertActionsAbi,
} as const

/**
 * Reads a call anew: nothing of what an agent said is in it.
 *
 * @example describeCall(call, plan, book)
 * // { contract: 'erc20:USDC', functionName: 'approve', arguments: [{ name: 'amount', value: '12.5 USDC' }, …] }
 */
export function describeCall(
  call: Call,
  { account }: Pick<Plan, 'account'>,
  book: AddressBook,
): DescribedCall {
  const read = decodeCall(call, book)
  if (read === null)
    return { contract: contractName(call.to, book), functionName: null, arguments: [], to: call.to }
  const item = abis[read.role].find(({ name }) => name === read.functionName)
  const named = nameArguments(item?.inputs ?? [], read.args)
  return {
    contract: read.contract,
    functionName: read.functionName,
    arguments: named.map(({ name, value }) => ({
      name,
      value: inWords(value, unitOf(read.functionName, name, named, call.to), account, book),
    })),
    to: call.to,
  }
}

/** A struct's members count as arguments of their own. */
function nameArguments(inputs: readonly AbiParameter[], values: readonly unknown[]): readonly Named[] {
  return inputs.flatMap((input, index) => {
    const value = values[index]
    if ('components' in input && typeof value === 'object' && value !== null)
      return Object.entries(value).map(([name, member]) => ({ name, value: member }))
    return [{ name: input.name ?? `argument ${index + 1}`, value }]
  })
}

/** What a number counts: smallest units of a token, a health factor, or nothing. */
type Unit = { readonly token: Address } | 'wad' | null

const asToken = (named: readonly Named[], name: string): Unit => {
  const value = named.find((one) => one.name === name)?.value
  return typeof value === 'string' ? { token: value as Address } : null
}

function unitOf(functionName: string, name: string, named: readonly Named[], to: Address): Unit {
  switch (`${functionName}.${name}`) {
    case 'approve.amount':
    case 'transfer.amount':
      return { token: to }
    case 'supply.amount':
    case 'withdraw.amount':
    case 'borrow.amount':
    case 'repay.amount':
      return asToken(named, 'asset')
    case 'liquidationCall.debtToCover':
      return asToken(named, 'debtAsset')
    case 'exactInputSingle.amountIn':
      return asToken(named, 'tokenIn')
    case 'exactInputSingle.amountOutMinimum':
      return asToken(named, 'tokenOut')
    case 'flashRepay.repayAmount':
      return asToken(named, 'debtAsset')
    case 'flashRepay.maxCollateral':
      return asToken(named, 'collateralAsset')
    case 'minBalance.minimum':
    case 'maxBalance.maximum':
      return asToken(named, 'token')
    case 'minHealthFactor.minimum':
      return 'wad'
    default:
      return null
  }
}

function inWords(value: unknown, unit: Unit, account: Address, book: AddressBook): string {
  if (typeof value === 'bigint') {
    if (value === MAX_UINT256) return 'all there is (2^256 - 1)'
    if (unit === 'wad') return formatWad(value)
    return unit === null ? value.toString() : formatToken(value, unit.token, book)
  }
  if (typeof value === 'string' && value.startsWith('0x') && value.length === 42)
    return nameAddress(value as Address, account, book)
  return String(value)
}

/** @example nameAddress(book.aaveV3.pool, account, book) // 'aave-v3.pool (0x8787…)' */
export function nameAddress(address: Address, account: Address, book: AddressBook): string {
  if (isAddressEqual(address, account)) return `the account itself (${address})`
  const name = contractName(address, book)
  return name === null ? `${address}, which is not in the address book` : `${name} (${address})`
}

type Known = { readonly name: string; readonly decimals: number }

/** A token, or what Aave gives for one: an aToken has the decimals of what it stands for. */
function knownToken(token: Address, book: AddressBook): Known | null {
  const held = book.tokens.find(({ address }) => isAddressEqual(address, token))
  if (held !== undefined) return { name: held.symbol, decimals: held.decimals }
  const reserve = book.aaveV3.reserves.find(
    ({ aToken, variableDebtToken }) =>
      isAddressEqual(aToken, token) || isAddressEqual(variableDebtToken, token),
  )
  const asset =
    reserve === undefined
      ? undefined
      : book.tokens.find(({ address }) => isAddressEqual(address, reserve.asset))
  if (reserve === undefined || asset === undefined) return null
  const kind = isAddressEqual(reserve.aToken, token) ? 'supplied' : 'owed'
  return { name: `${asset.symbol} ${kind} to Aave`, decimals: asset.decimals }
}

/** @example formatToken(12_500_000n, usdc, book) // '12.5 USDC' */
export function formatToken(amount: bigint, token: Address | null, book: AddressBook): string {
  if (token === null || token === zeroAddress) return `${formatUnits(amount, 18)} of the native coin`
  const known = knownToken(token, book)
  return known === null
    ? `${amount} smallest units of ${token}, which is not in the address book`
    : `${formatUnits(amount, known.decimals)} ${known.name}`
}

/** What a plan does and may cost, as lines for a person. */
export function describePlan(plan: Plan, book: AddressBook): readonly string[] {
  const calls = plan.calls.map((call, index) => {
    const { contract, functionName, arguments: named, to } = describeCall(call, plan, book)
    const value = call.value === 0n ? '' : `, with ${formatToken(call.value, null, book)}`
    const head = `${index + 1}. ${contract ?? to}${functionName === null ? '' : `.${functionName}`}${value}`
    if (functionName === null)
      return [head, `   CANNOT BE READ: ${(call.data.length - 2) / 2} bytes of calldata. Do not approve it.`]
    return [head, ...named.map(({ name, value: said }) => `   ${name}: ${said}`)]
  })
  return calls.flat()
}

const signed = (change: bigint, format: (amount: bigint) => string): string =>
  change < 0n ? `-${format(-change)}` : `+${format(change)}`

const healthOf = (healthFactor: bigint): string =>
  healthFactor === MAX_UINT256 ? 'none, for there is no debt' : formatWad(healthFactor)

/** What was measured, as lines for a person: the account itself first, what stayed as it was left out. */
export function describeEffects(effects: Effects, account: Address, book: AddressBook): readonly string[] {
  const { position, equity } = effects
  const moved = effects.balances
    .filter(({ before, after }) => before !== after)
    .toSorted(
      (a, b) => Number(isAddressEqual(b.account, account)) - Number(isAddressEqual(a.account, account)),
    )
  const lost = equity.before - equity.after
  return [
    ...moved.map(
      ({ account: holder, token, before, after }) =>
        `${nameAddress(holder, account, book)}: ${signed(after - before, (amount) => formatToken(amount, token, book))}`,
    ),
    ...effects.allowances
      .filter(({ before, after }) => before !== 0n || after !== 0n)
      .map(
        ({ token, owner, spender, before, after }) =>
          `allowance of ${nameAddress(owner, account, book)} for ${nameAddress(spender, account, book)}: ${formatToken(before, token, book)}, then ${formatToken(after, token, book)}`,
      ),
    `health factor: ${healthOf(position.before.healthFactor)}, then ${healthOf(position.after.healthFactor)}`,
    `equity: $${formatUsd(equity.before)}, then $${formatUsd(equity.after)}: ${lost > 0n ? `$${formatUsd(lost)} lost` : 'nothing lost'}, gas not counted`,
  ]
}
