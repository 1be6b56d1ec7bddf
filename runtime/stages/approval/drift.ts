import { type Address, zeroAddress } from 'viem'
import type { Effects, Plan } from '../../core/lifecycle.ts'
import { BPS, formatUsd, formatWad, mulDiv } from '../../core/units.ts'
import type { Policy } from '../../guards/policy.ts'

/** Smallest units by which two readings of a balance that grows with every block may differ: it is rounded twice. */
const ROUNDING = 2n

/**
 * What keeps a plan from being what a person approved, as one line for that person; null when it is.
 *
 * It may fall short by as much as an outcome may fall short of its simulation (`maxDeviationBps`), and not further:
 *
 * - every balance and allowance moves the way it was shown to, and none moves that was shown to stay;
 * - the loss is not higher by more than that part of the equity;
 * - the health factor afterwards is not lower by more than that part of itself (the plan's own assertions hold a floor
 *   under it besides);
 * - its gas fits under the limit that was approved.
 *
 * @param shown what the owners were shown
 * @param now what the very same plan does on the newest block
 */
export function driftOf(
  shown: Effects,
  now: Effects,
  { gasLimit }: Pick<Plan, 'gasLimit'>,
  { maxDeviation }: Pick<Policy, 'maxDeviation'>,
): string | null {
  return (
    otherWay('balance', balancesOf(shown), balancesOf(now)) ??
    otherWay('allowance', allowancesOf(shown), allowancesOf(now)) ??
    higherLoss(shown, now, maxDeviation) ??
    lowerHealth(shown, now, maxDeviation) ??
    (now.gasUsed > gasLimit ? `it takes ${now.gasUsed} gas, and ${gasLimit} were approved` : null)
  )
}

type Changes = ReadonlyMap<string, bigint>

const key = (...parts: readonly Address[]): string => parts.join(' ').toLowerCase()

const balancesOf = ({ balances }: Effects): Changes =>
  new Map(
    balances.map(({ account, token, before, after }) => [key(token ?? zeroAddress, account), after - before]),
  )

const allowancesOf = ({ allowances }: Effects): Changes =>
  new Map(
    allowances.map(({ token, owner, spender, before, after }) => [
      key(token, owner, spender),
      after - before,
    ]),
  )

function otherWay(what: string, shown: Changes, now: Changes): string | null {
  for (const whose of new Set([...shown.keys(), ...now.keys()])) {
    const [was, is] = [shown.get(whose) ?? 0n, now.get(whose) ?? 0n]
    if (direction(was) === direction(is)) continue
    const [token, ...holders] = whose.split(' ')
    return `the ${what} of ${holders.join(' for ')} in ${token} changes by ${is}, and ${was} was shown`
  }
  return null
}

const direction = (change: bigint): -1 | 0 | 1 => (change > ROUNDING ? 1 : change < -ROUNDING ? -1 : 0)

function higherLoss(shown: Effects, now: Effects, maxDeviation: bigint): string | null {
  const lossOf = ({ equity }: Effects) => equity.before - equity.after
  const equity = shown.equity.before > 0n ? shown.equity.before : 0n
  const most = lossOf(shown) + mulDiv(equity, maxDeviation, BPS, 'down')
  return lossOf(now) <= most
    ? null
    : `it loses $${formatUsd(lossOf(now))}, and $${formatUsd(lossOf(shown))} was shown`
}

function lowerHealth(shown: Effects, now: Effects, maxDeviation: bigint): string | null {
  const [was, is] = [shown.position.after.healthFactor, now.position.after.healthFactor]
  const least = mulDiv(was, BPS - (maxDeviation < BPS ? maxDeviation : BPS), BPS, 'up')
  return is >= least
    ? null
    : `the health factor would be ${formatWad(is)} afterwards, and ${formatWad(was)} was shown`
}
