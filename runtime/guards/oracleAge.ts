import { isAddressEqual } from 'viem'
import { allow, deny, type IntentGuard, notConcerned } from './guard.ts'
import { isRescue } from './standing.ts'
import { assetsOf, tokenName } from './valuation.ts'

/**
 * Every price that the judgement rests on comes from a feed, is not zero, and is not too old. A feed that missed
 * its heartbeat denies everything but a rescue, which its own limit bounds: liquidators act on that price as well.
 */
export const oracleAge: IntentGuard = (context, intent, plan) => {
  // It moves nothing, and what its gas costs is for `gasCap`: a feed that fails must not keep an allowance alive.
  if (intent.kind === 'revoke') return notConcerned(intent.kind)
  const rescue = isRescue(context, intent, plan)
  const { maxAgeSeconds } = rescue ? context.policy.riskReducing.oracle : context.policy.oracle
  const limit = String(maxAgeSeconds)
  let oldest = 0n
  for (const asset of assetsOf(context, intent)) {
    const name = tokenName(context, asset)
    const reading = context.snapshot.oracles.find((candidate) => isAddressEqual(candidate.asset, asset))
    if (reading === undefined || reading.price <= 0n)
      return deny('ORACLE_MISSING', {
        limit,
        observed: name,
        message: `There is no oracle price of ${name}.`,
      })
    const age = context.snapshot.block.timestamp - reading.updatedAt
    const observed = age.toString()
    if (age < 0n)
      return deny('NOT_JUDGEABLE', {
        limit,
        observed,
        message: `The price of ${name} claims to be from the future.`,
      })
    if (age > BigInt(maxAgeSeconds))
      return deny('ORACLE_STALE', {
        limit,
        observed,
        message: `The price of ${name} is ${age} s old; the limit is ${maxAgeSeconds} s.`,
      })
    if (reading.stale && !rescue)
      return deny('ORACLE_STALE', { limit, observed, message: `The feed of ${name} missed its heartbeat.` })
    if (age > oldest) oldest = age
  }
  return allow({ limit, observed: oldest.toString(), message: `The oldest price is ${oldest} s old.` })
}
