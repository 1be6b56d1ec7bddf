import { isAddressEqual } from 'viem'
import type { OracleReading } from '../core/snapshot.ts'
import { BPS, mulDiv } from '../core/units.ts'
import { allow, deny, type IntentGuard, notConcerned } from './guard.ts'
import { isRescue } from './standing.ts'
import { assetsOf, tokenName } from './valuation.ts'

/**
 * No feed is further from its reference pool, nor from the price that Aave uses, than the policy allows: one absurd
 * price must not make an agent sell. A token without a reference pool has to be named in the policy.
 */
export const oracleDeviation: IntentGuard = (context, intent, plan) => {
  // It moves nothing, and what its gas costs is for `gasCap`: a feed that fails must not keep an allowance alive.
  if (intent.kind === 'revoke') return notConcerned(intent.kind)
  const { policy, snapshot } = context
  const { maxDeviation } = isRescue(context, intent, plan) ? policy.riskReducing.oracle : policy.oracle
  const limit = maxDeviation.toString()
  let widest = 0n
  for (const asset of assetsOf(context, intent)) {
    const name = tokenName(context, asset)
    const reading = snapshot.oracles.find((candidate) => isAddressEqual(candidate.asset, asset))
    if (reading === undefined || reading.price <= 0n)
      return deny('ORACLE_MISSING', {
        limit,
        observed: name,
        message: `There is no oracle price of ${name}.`,
      })
    if (reading.poolDeviation === null && !policy.oracle.withoutReferencePool.includes(name))
      return deny('NOT_JUDGEABLE', {
        limit,
        observed: name,
        message: `No pool vouches for the price of ${name}, and oracle.withoutReferencePool does not name it.`,
      })
    const reserve = snapshot.reserves.find((candidate) => isAddressEqual(candidate.asset, asset))
    const distances = [
      { from: 'its reference pool', distance: reading.poolDeviation ?? 0n },
      { from: "Aave's price", distance: reserve === undefined ? 0n : apart(reading, reserve.price) },
    ]
    for (const { from, distance } of distances) {
      if (distance > maxDeviation)
        return deny('ORACLE_DEVIATION', {
          limit,
          observed: distance.toString(),
          message: `The price of ${name} is ${distance} bps from ${from}; the limit is ${maxDeviation} bps.`,
        })
      if (distance > widest) widest = distance
    }
  }
  return allow({ limit, observed: widest.toString(), message: `The widest deviation is ${widest} bps.` })
}

/** Distance in basis points of the feed's price, rounded up. */
function apart(reading: OracleReading, price: bigint): bigint {
  const distance = reading.price > price ? reading.price - price : price - reading.price
  return mulDiv(distance, BPS, reading.price, 'up')
}
