import { type Address, formatEther, formatUnits, isAddressEqual } from 'viem'
import type { AddressBook } from '../../../../runtime/core/addressBook.ts'
import { formatUsd, formatWad, MAX_UINT256 } from '../../../../runtime/core/units.ts'
import { isOfValue, type Remainder } from '../../../../runtime/evacuation/nextStep.ts'
import type { Rehearsal } from '../../../../runtime/evacuation/rehearse.ts'
import type { Arrival } from '../../../evacuation/readArrivals.ts'
import type { EvacuationEnd, Evacuee } from '../../../evacuation/runEvacuation.ts'
import type { Unsearched } from '../../../evacuation/searchApprovals.ts'
import { money } from '../../money.ts'

/** A sequence, and the block it was simulated on. */
export type EvacuationPlan = {
  readonly evacuee: Evacuee
  readonly rehearsal: Rehearsal
  readonly block: bigint
  readonly unsearched: Unsearched | null
}

/** What a simulation of everything on one block leaves open. */
const UNKNOWN =
  'not known beforehand: prices and what the pools recover between the steps, interest, the base fee, and what workers have signed already'

/** The sequence as lines for a person. */
export function describePlan(
  { evacuee, rehearsal, block, unsearched }: EvacuationPlan,
  book: AddressBook,
): readonly string[] {
  const { steps, remains, stopped } = rehearsal
  const gas = steps.reduce((sum, { mostGas }) => sum + mostGas, 0n)
  return [
    `${evacuee.config.id}: ${evacuee.account} to ${evacuee.destination}, simulated on block ${block}`,
    ...steps.flatMap(({ reason, healthFactor, lost, mostGas, changes }, index) => [
      `  ${index + 1}. ${reason}: health factor ${shownFactor(healthFactor)}, loses ${money(formatUsd(lost))} dollars, gas up to ${formatEther(mostGas)} of the native coin`,
      ...(changes.length === 0
        ? []
        : [`     measured: ${changes.map((one) => signed(one, book)).join(', ')}`]),
    ]),
    `  arrives: ${listed(arriving(rehearsal), book)}`,
    `  gas, all steps at their limits: ${formatEther(gas)} of the native coin`,
    ...remains.map((remainder) => `  stays: ${describeRemainder(remainder, book)}`),
    ...(stopped === null ? [] : [`  stops: ${stopped}`]),
    ...unsearchedLines(unsearched),
    `  ${UNKNOWN}`,
  ]
}

export const planAsJson = ({ evacuee, rehearsal, block, unsearched }: EvacuationPlan, book: AddressBook) => ({
  agent: evacuee.config.id,
  account: evacuee.account,
  destination: evacuee.destination,
  block: block.toString(),
  steps: rehearsal.steps.map(({ kind, reason, healthFactor, lost, mostGas, changes }) => ({
    kind,
    reason,
    healthFactor: healthFactor === MAX_UINT256 ? null : formatWad(healthFactor),
    lostUsd: formatUsd(lost),
    mostGas: formatEther(mostGas),
    changes: changes.map(({ token, change }) => ({
      token,
      name: nameOf(token, book),
      change: change.toString(),
    })),
  })),
  arrives: arriving(rehearsal).map((arrival) => arrivalAsJson(arrival, book)),
  remains: rehearsal.remains.map((remainder) => remainderAsJson(remainder, book)),
  stopped: rehearsal.stopped,
  unsearched: unsearchedAsJson(unsearched),
})

/** How it ended, as lines for a person. `arrivals` null: nobody could tell. */
export function describeEnd(
  { evacuee, stopped, remains, unsearched }: EvacuationEnd,
  arrivals: readonly Arrival[] | null,
  book: AddressBook,
): readonly string[] {
  return [
    `${evacuee.config.id}: ${stopped === null ? 'evacuated; nothing of value is left' : `stopped: ${stopped}`}.`,
    `  arrived at ${evacuee.destination}: ${arrivals === null ? 'what cannot be told now' : listed(arrivals, book)}`,
    ...remains.map((remainder) => `  stays: ${describeRemainder(remainder, book)}`),
    ...unsearchedLines(unsearched),
    '  everybody else stays halted there: "rialto resume" takes it back',
  ]
}

export const endAsJson = (
  { evacuee, stopped, remains, unsearched }: EvacuationEnd,
  arrivals: readonly Arrival[] | null,
  book: AddressBook,
) => ({
  agent: evacuee.config.id,
  account: evacuee.account,
  destination: evacuee.destination,
  stopped,
  arrived: arrivals?.map((arrival) => arrivalAsJson(arrival, book)) ?? null,
  remains: remains.map((remainder) => remainderAsJson(remainder, book)),
  unsearched: unsearchedAsJson(unsearched),
})

function arriving({ steps }: Rehearsal): readonly Arrival[] {
  return steps.flatMap(({ sends }) => (sends === null ? [] : [sends]))
}

const tokenOf = (token: Address, { tokens }: AddressBook) =>
  tokens.find(({ address }) => isAddressEqual(address, token))

function amountOf(token: Address | null, amount: bigint, book: AddressBook): string {
  if (token === null) return `${formatEther(amount)} of the native coin`
  const known = tokenOf(token, book)
  return known === undefined
    ? `${amount} of ${token}`
    : `${formatUnits(amount, known.decimals)} ${known.symbol}`
}

/** What a token of the book is called; aTokens and debt tokens by what they stand for. */
export function nameOf(token: Address, book: AddressBook): string {
  const symbolOf = (asset: Address) => tokenOf(asset, book)?.symbol ?? asset
  for (const { asset, aToken, variableDebtToken } of book.aaveV3.reserves) {
    if (isAddressEqual(aToken, token)) return `${symbolOf(asset)} of collateral`
    if (isAddressEqual(variableDebtToken, token)) return `${symbolOf(asset)} of debt`
  }
  return symbolOf(token)
}

/** @example signed({ token: aWeth, change: -10n ** 18n }, book) // '-1 WETH of collateral' */
export function signed(
  { token, change }: { readonly token: Address; readonly change: bigint },
  book: AddressBook,
): string {
  const reserve = book.aaveV3.reserves.find(({ aToken, variableDebtToken }) =>
    [aToken, variableDebtToken].some((one) => isAddressEqual(one, token)),
  )
  const { decimals } = tokenOf(reserve?.asset ?? token, book) ?? { decimals: 0 }
  return `${change > 0n ? '+' : ''}${formatUnits(change, decimals)} ${nameOf(token, book)}`
}

export const unsearchedLines = (unsearched: Unsearched | null): readonly string[] =>
  unsearched === null
    ? []
    : [
        `  not looked at: who was let take something, or borrow, from block ${unsearched.from} to ${unsearched.to} (${unsearched.why})`,
        '    Ask another node, or name the first block of the account with --first-block.',
      ]

export const unsearchedAsJson = (unsearched: Unsearched | null) =>
  unsearched === null
    ? null
    : { from: unsearched.from.toString(), to: unsearched.to.toString(), why: unsearched.why }

const listed = (arrivals: readonly Arrival[], book: AddressBook): string =>
  arrivals.map(({ token, amount }) => amountOf(token, amount, book)).join(', ') || 'nothing'

export const describeRemainder = (
  { what, token, amount, worth, why }: Remainder,
  book: AddressBook,
): string =>
  `${what === 'debt' ? 'a debt of ' : ''}${amountOf(token, amount, book)}${worth === null ? '' : `, ${money(formatUsd(worth))} dollars`}: ${why}`

const arrivalAsJson = ({ token, amount }: Arrival, book: AddressBook) => ({
  token,
  symbol: token === null ? null : (tokenOf(token, book)?.symbol ?? null),
  amount: amount.toString(),
})

export const remainderAsJson = (remainder: Remainder, book: AddressBook) => ({
  what: remainder.what,
  token: remainder.token,
  symbol: remainder.token === null ? null : (tokenOf(remainder.token, book)?.symbol ?? null),
  amount: remainder.amount.toString(),
  worthUsd: remainder.worth === null ? null : formatUsd(remainder.worth),
  isOfValue: isOfValue(remainder),
  why: remainder.why,
})

const shownFactor = (healthFactor: bigint): string =>
  healthFactor === MAX_UINT256 ? 'without a debt' : formatWad(healthFactor).slice(0, 6)
