import { BPS, bps, MAX_UINT256, portion, WAD, type Wad, wad } from '../core/units.ts'
import type { Policy } from '../guards/policy.ts'

/** What is promised where no debt is left: far above any position with one, and true with a unit of debt in the way. */
const FREE_OF_DEBT: Wad = wad(10n * WAD)

/**
 * The health factor that a plan asserts: the projected one, less what the oracle may move until it is mined.
 *
 * @example promised(parseDecimal('1.5', 18), policy) // 1.425 where the policy lets an oracle deviate by 5 %
 */
export const promised = (projected: Wad, { oracle }: Pick<Policy, 'oracle'>): Wad =>
  projected === MAX_UINT256 ? FREE_OF_DEBT : portion(projected, bps(BPS - oracle.maxDeviation), 'down')
