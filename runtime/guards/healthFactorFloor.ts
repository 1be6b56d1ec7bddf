import { isRiskReducing } from '../core/intent.ts'
import { formatWad, MAX_UINT256 } from '../core/units.ts'
import { type EffectGuard, rule } from './guard.ts'

/**
 * The simulation leaves the position healthy enough.
 *
 * An intent that is meant to reduce risk must raise the health factor, and to where it promised; wherever it ends,
 * a position that was in danger is better off. Any other intent must not leave it below `healthFactor.minAfter`.
 */
export const healthFactorFloor: EffectGuard = ({ policy }, intent, plan) => {
  const before = plan.effects.position.before.healthFactor
  const after = plan.effects.position.after.healthFactor
  const observed = shown(after)
  if (isRiskReducing(intent) && before !== MAX_UINT256) {
    if (after <= before)
      return rule(false, 'HEALTH_FACTOR_NOT_IMPROVED', {
        limit: shown(before),
        observed,
        message: `A ${intent.kind} must raise the health factor; it goes from ${shown(before)} to ${observed}.`,
      })
    const promised = 'minHealthFactor' in intent ? intent.minHealthFactor : before
    return rule(after >= promised, 'HEALTH_FACTOR_FLOOR', {
      limit: shown(promised),
      observed,
      message: `The health factor rises from ${shown(before)} to ${observed}; at least ${shown(promised)} was promised.`,
    })
  }
  // Whoever may take the account's tokens is a danger in itself, however the position stands.
  if (intent.kind === 'revoke')
    return rule(after >= before, 'HEALTH_FACTOR_FLOOR', {
      limit: shown(before),
      observed,
      message: `The health factor goes from ${shown(before)} to ${observed}; a revoke must leave it alone.`,
    })
  const { minAfter } = policy.healthFactor
  return rule(after >= minAfter, 'HEALTH_FACTOR_FLOOR', {
    limit: shown(minAfter),
    observed,
    message: `The health factor ends at ${observed}; it must not be left below ${shown(minAfter)}.`,
  })
}

const shown = (healthFactor: bigint): string =>
  healthFactor === MAX_UINT256 ? 'no debt' : formatWad(healthFactor)
