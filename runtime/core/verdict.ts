/** The closed list of reasons for which a guard denies. Programs match on these; never rename one. */
export const denialCodes = [
  'CONTRACT_NOT_ALLOWED',
  'SELECTOR_NOT_ALLOWED',
  'CALLDATA_UNREADABLE',
  'TOKEN_UNKNOWN',
  'RECIPIENT_NOT_ALLOWED',
  'SPEND_CAP_TRANSACTION',
  'SPEND_CAP_ROLLING',
  'ALLOWANCE',
  'SLIPPAGE_ORACLE',
  'SLIPPAGE_POOL',
  'ORACLE_MISSING',
  'ORACLE_STALE',
  'ORACLE_DEVIATION',
  'HEALTH_FACTOR_FLOOR',
  'HEALTH_FACTOR_NOT_IMPROVED',
  'APPROVAL_UNLIMITED',
  'APPROVAL_LEFT_OVER',
  'GAS_CAP',
  'GAS_UNAFFORDABLE',
  'COOLDOWN',
  'DRAWDOWN',
  'TRADING_HALTED',
  'TRADING_REDUCING',
  'INTENT_EXPIRED',
  'EXPIRY_TOO_FAR',
  'INTENT_KIND_NOT_ALLOWED',
  'ATTEMPT_IN_FLIGHT',
  'PLAN_MISMATCH',
  'ASSERTION_MISSING',
  'SIMULATION_REVERTED',
  'EFFECT_UNEXPECTED',
  'NOT_JUDGEABLE',
  'NOT_GRADUATED',
] as const

export type DenialCode = (typeof denialCodes)[number]

/** What one guard found. `limit` and `observed` are decimal strings or names, fit for a record and a person. */
export type Finding = {
  /** The guard's file name, in camel case. */
  readonly guard: string
  readonly allowed: boolean
  /** Set exactly when the guard denies. */
  readonly code: DenialCode | null
  readonly limit: string
  readonly observed: string
  /** One line for a person. */
  readonly message: string
}

/** What all guards of one phase found together: allowed only if every one of them allows. */
export type Verdict = {
  readonly phase: 'intent' | 'effect'
  readonly allowed: boolean
  readonly findings: readonly Finding[]
  readonly policyVersion: string
}

/** The findings that deny, in the order of the guards. */
export const denials = (verdict: Verdict): readonly Finding[] =>
  verdict.findings.filter((finding) => !finding.allowed)

/** Owners stop agents with this: `reducing` lets only risk-reducing intents through, `halted` nothing. */
export type TradingState = 'active' | 'reducing' | 'halted'

/** The strictest of several orders; `active` when there is none. @example strictest(['reducing', 'active']) // 'reducing' */
export const strictest = (states: readonly TradingState[]): TradingState =>
  states.includes('halted') ? 'halted' : states.includes('reducing') ? 'reducing' : 'active'
