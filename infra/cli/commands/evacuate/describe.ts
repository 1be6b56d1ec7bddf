import { type Address, formatEther, formatUnits, isAddressEqual } from 'viem'
import type { AddressBook } from '../../../../runtime/core/addressBook.ts'
import { formatUsd, formatWad, MAX_UINT256 } from '../../../../runtime/core/units.ts'
import { isOfValue, type Remainder } from '../../../../runtime/evacuation/nextStep.ts'
import type { Rehearsal } from '../../../../runtime/evacuation/rehearse.ts'
import type { Arrival } from '../../../evacuation/readArrivals.ts'
import type { EvacuationEnd, Evacuee } from '../../../evacuation/runEvacuation.ts'
import { money } from '../../money.ts'

/** A sequence, and the block it was simulated on. */
export type EvacuationPlan = {
  readonly evacuee: Evacuee
  readonly rehearsal: Rehearsal
  readonly block: bigint
}

/** What a simulation of everything on one block leaves open. */
const UNKNOWN =
  'not known beforehand: prices and what the pools recover between the steps, interest, the base fee, and what workers have signed already'

/** The sequence as lines for a person. */
export function describePlan(
  { evacuee, rehearsal, block }: EvacuationPlan,
  book: AddressBook,
): readonly string[] {
  const { steps, remains, stopped } = rehearsal
  const gas = steps.reduce((sum, { mostGas }) => sum + mostGas, 0n)
  return [
    `${evacuee.config.id}: ${evacuee.account} to ${evacuee.destination}, simulated on block ${block}`,
    ...steps.map(
      ({ reason, healthFactor, lost, mostGas }, index) =>
        `  ${index + 1}. ${reason}: health factor ${shownFactor(healthFactor)}, loses ${money(formatUsd(lost))} dollars, gas up to ${formatEther(mostGas)}`,
    ),
    `  arrives: ${listed(arriving(rehearsal), book)}`,
    `  gas, all steps at their limits: ${formatEther(gas)}`,
    ...remains.map((remainder) => `  stays: ${describeRemainder(remainder, book)}`),
    ...(stopped === null ? [] : [`  stops: ${stopped}`]),
    `  ${UNKNOWN}`,
  ]
}

export const planAsJson = ({ evacuee, rehearsal, block }: EvacuationPlan, book: AddressBook) => ({
  agent: evacuee.config.id,
  account: evacuee.account,
  destination: evacuee.destination,
  block: block.toString(),
  steps: rehearsal.steps.map(({ kind, reason, healthFactor, lost, mostGas }) => ({
    kind,
    reason,
    healthFactor: healthFactor === MAX_UINT256 ? null : formatWad(healthFactor),
    lostUsd: formatUsd(lost),
    mostGas: formatEther(mostGas),
  })),
  arrives: arriving(rehearsal).map((arrival) => arrivalAsJson(arrival, book)),
  remains: rehearsal.remains.map((remainder) => remainderAsJson(remainder, book)),
  stopped: rehearsal.stopped,
})

/** How it ended, as lines for a person. */
export function describeEnd(
  { evacuee, stopped, remains }: EvacuationEnd,
  arrivals: readonly Arrival[],
  book: AddressBook,
): readonly string[] {
  return [
    `${evacuee.config.id}: ${stopped === null ? 'evacuated; nothing of value is left' : `stopped: ${stopped}`}.`,
    `  arrived at ${evacuee.destination}: ${listed(arrivals, book)}`,
    ...remains.map((remainder) => `  stays: ${describeRemainder(remainder, book)}`),
    '  everybody else stays halted there: "rialto resume" takes it back',
  ]
}

export const endAsJson = (
  { evacuee, stopped, remains }: EvacuationEnd,
  arrivals: readonly Arrival[],
  book: AddressBook,
) => ({
  agent: evacuee.config.id,
  account: evacuee.account,
  destination: evacuee.destination,
  stopped,
  arrived: arrivals.map((arrival) => arrivalAsJson(arrival, book)),
  remains: remains.map((remainder) => remainderAsJson(remainder, book)),
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

const listed = (arrivals: readonly Arrival[], book: AddressBook): string =>
  arrivals.map(({ token, amount }) => amountOf(token, amount, book)).join(', ') || 'nothing'

const describeRemainder = ({ what, token, amount, worth, why }: Remainder, book: AddressBook): string =>
  `${what === 'debt' ? 'a debt of ' : ''}${amountOf(token, amount, book)}${worth === null ? '' : `, ${money(formatUsd(worth))} dollars`}: ${why}`

const arrivalAsJson = ({ token, amount }: Arrival, book: AddressBook) => ({
  token,
  symbol: tokenOf(token, book)?.symbol ?? null,
  amount: amount.toString(),
})

const remainderAsJson = (remainder: Remainder, book: AddressBook) => ({
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
