import { BPS, mulDiv, RAY, WAD } from '../../core/units.ts'

// Aave's WadRayMath and PercentageMath: every operation rounds half up.

/** `a * b` of two 27-decimal numbers. `WadRayMath.rayMul`. */
export const rayMul = (a: bigint, b: bigint): bigint => mulDiv(a, b, RAY, 'half-up')
/** `a / b` of two 27-decimal numbers. `WadRayMath.rayDiv`. */
export const rayDiv = (a: bigint, b: bigint): bigint => mulDiv(a, RAY, b, 'half-up')
/** `a / b` of two 18-decimal numbers. `WadRayMath.wadDiv`. */
export const wadDiv = (a: bigint, b: bigint): bigint => mulDiv(a, WAD, b, 'half-up')
/** `value * percentage / 10,000`. `PercentageMath.percentMul`. */
export const percentMul = (value: bigint, percentage: bigint): bigint =>
  mulDiv(value, percentage, BPS, 'half-up')
/** `value * 10,000 / percentage`. `PercentageMath.percentDiv`. */
export const percentDiv = (value: bigint, percentage: bigint): bigint =>
  mulDiv(value, BPS, percentage, 'half-up')
