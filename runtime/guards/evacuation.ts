import { type Address, isAddressEqual } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import { InvalidInputError } from '../core/errors.ts'
import { BPS, MAX_UINT256, usd, wad } from '../core/units.ts'
import { knownContract, knownContracts } from '../protocols/contracts.ts'
import { type Policy, type PolicyLimits, policyVersion } from './policy.ts'

/** What an evacuation is made of. Nothing of it opens a position, and nothing goes anywhere but to the destination. */
export const evacuationKinds = ['repay', 'deleverage', 'revoke', 'withdraw', 'transfer'] as const

/** Whole tokens of anything, or dollars, that nobody has: what limits an evacuation is where it may send, not how much. */
const EVERYTHING = '9'.repeat(30)
const EVERY_DOLLAR = usd(10n ** 38n)

/** Gas for an account whose agent has none: some fifty steps at 20 gwei. */
const LEAST_GAS = '1'

/**
 * The limits of an evacuation: derived from the agent's own policy and nothing else, so that guards and signer come to
 * the same without a word between them.
 *
 * - It may repay, deleverage, withdraw, transfer to `destination` alone, and take back what anybody may take or borrow. The
 *   native coin no guard lets go; what the signer lets go of it see `judgePlan`.
 * - Prices, slippage and gas are limited as the policy limits a rescue; a transaction's gas may cost what the policy lets
 *   a rescue spend.
 * - Nothing caps how much is moved, since what goes to the owner is no loss, and no cooldown, drawdown or person holds it
 *   up: the owner has ordered it. So the most that it can cost is `riskReducing.slippage.oracleBps` of the debt, paid in
 *   collateral when it is sold, and gas: at most what `allowances.native` lets the agent burn, and as much again.
 *
 * @param policy of the agent whose account is evacuated, in whatever mode
 * @param destination where everything goes; null for a Safe from which its owners take nothing: then nothing is sent
 * @throws {InvalidInputError} when nobody could take anything out of the destination again.
 * @example evacuationPolicy(policy, book, owner).recipients // [owner]
 */
export function evacuationPolicy(policy: Policy, book: AddressBook, destination: Address | null): Policy {
  if (destination !== null) requireDestination(destination, book)
  const { version: _version, ...limits } = policy
  const { riskReducing } = limits
  const derived: PolicyLimits = {
    ...limits,
    name: `${limits.name.slice(0, 50)}-evacuation`,
    mode: 'execute',
    intents: [...evacuationKinds],
    contracts: contractsOf(book),
    recipients: destination === null ? [] : [destination],
    spend: { ...limits.spend, perTransaction: EVERY_DOLLAR, rolling: EVERY_DOLLAR },
    slippage: riskReducing.slippage,
    oracle: { ...limits.oracle, ...riskReducing.oracle },
    // While there is a debt, nothing but what reduces it goes on under the hard floor; and every debt is one to rescue from.
    healthFactor: { ...limits.healthFactor, minAfter: limits.healthFactor.floor, target: wad(MAX_UINT256) },
    gas: { maxFeePerGas: riskReducing.gas.maxFeePerGas, maxCost: riskReducing.spend.perTransaction },
    cooldownSeconds: 0,
    drawdownStop: BPS,
    allowances: {
      ...Object.fromEntries(book.tokens.map(({ symbol }) => [symbol, EVERYTHING])),
      native: twice(limits.allowances.native),
    },
    approvals: { ...limits.approvals, personAbove: null },
    protector: 'none',
    graduation: 'none',
    riskReducing: {
      ...riskReducing,
      spend: { perTransaction: EVERY_DOLLAR, rolling: EVERY_DOLLAR },
    },
  }
  return Object.freeze({ ...derived, version: policyVersion(derived) })
}

/** Why nothing should be evacuated to an address, as the rest of a sentence; null when nothing speaks against it. */
export function evacuationFault(destination: Address, book: AddressBook, account?: Address): string | null {
  if (BigInt(destination) === 0n) return 'is the zero address'
  if (account !== undefined && isAddressEqual(destination, account))
    return 'is the account that would be evacuated'
  const known = knownContract(destination, book)
  return known === null ? null : `is the contract ${known.name}, which would give nothing back`
}

/** @throws {InvalidInputError} when {@link evacuationFault} finds one. */
export function requireDestination(destination: Address, book: AddressBook, account?: Address): void {
  const fault = evacuationFault(destination, book, account)
  if (fault === null) return
  throw new InvalidInputError(`Funds cannot be evacuated to ${destination}: it ${fault}.`, {
    code: 'EVACUATION_DESTINATION',
    fix: 'Set evacuateTo to an account whose key the owner holds.',
    details: { destination },
  })
}

/** Everything that `encodeIntent` calls for the kinds above, in this address book. */
function contractsOf(book: AddressBook): Record<string, string[]> {
  const functions: Readonly<Partial<Record<string, readonly string[]>>> = {
    erc20: ['approve', 'transfer'],
    'aave-v3.aToken': ['approve'],
    'aave-v3.variableDebtToken': ['approveDelegation'],
    'aave-v3.pool': ['repay', 'withdraw'],
    'rialto.flashRepay': ['flashRepay'],
    'rialto.assert': ['minHealthFactor', 'minBalance', 'zeroAllowance', 'notAfter'],
  }
  return Object.fromEntries(
    knownContracts(book).flatMap(({ role, name }) => {
      const named = functions[role]
      return named === undefined ? [] : [[name, [...named]] as const]
    }),
  )
}

/** A decimal string of whole coins, doubled: the agent may have burnt its own allowance already. */
function twice(allowance: string | undefined): string {
  if (allowance === undefined) return LEAST_GAS
  const [whole = '0', fraction = ''] = allowance.split('.')
  const doubled = (BigInt(whole + fraction) * 2n).toString().padStart(fraction.length + 1, '0')
  const point = doubled.length - fraction.length
  return fraction === '' ? doubled : `${doubled.slice(0, point)}.${doubled.slice(point)}`
}
