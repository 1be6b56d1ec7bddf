import { z } from 'zod'

/** The version of the situation's shape. An analyst answers only what it knows how to read. */
export const SITUATION_SCHEMA_ID = 'rialto.situation/v1'

/** Health factors above this are written as this: how far beyond safe a position is tells nothing but its owner. */
export const HEALTH_FACTOR_CAP = 10
/** How many of the latest returns a situation may carry. */
export const MAX_RETURNS = 64
/** The pool's deviation from the oracle is written in multiples of this many basis points. */
export const DEVIATION_STEP_BPS = 10
/** Deviations beyond this are written as this. */
export const DEVIATION_CAP_BPS = 2_000
/** Costs beyond the whole equity are written as the whole equity. */
export const COST_CAP_BPS = 10_000
/** What gas may be said to cost, in basis points of the debt; the true cost is rounded up to one of these. */
export const GAS_COST_BUCKETS_BPS = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000] as const

const percent = z.number().int().min(0).max(100)
const basisPoints = z.number().int().min(0).max(10_000)
const healthFactor = z.number().min(0).max(HEALTH_FACTOR_CAP).multipleOf(0.01)

/** What a candidate does. `wait` is always among the candidates, so that saying nothing is never the only way to wait. */
const candidateKindSchema = z.enum(['repay', 'deleverage', 'add-collateral', 'wait'])

/** What a candidate would lead to at one size, as the protocols' pure math projects it. */
const projectionSchema = z.strictObject({
  /** Per cent of the candidate's maximum. */
  size: percent,
  /** Rounded down to 0.01 and capped at {@link HEALTH_FACTOR_CAP}. */
  healthFactorAfter: healthFactor,
  /** Gas, fees and slippage, in basis points of the equity now, rounded up. */
  costBps: z.number().int().min(0).max(COST_CAP_BPS),
  /** The debt afterwards as a part of the debt now, rounded up to 0.01. */
  debtAfter: z.number().min(0).max(1).multipleOf(0.01),
})

const candidateSchema = z.strictObject({
  id: z.string().regex(/^c[1-9]\d?$/),
  kind: candidateKindSchema,
  /** The smallest and largest size that may be chosen, in per cent of the candidate's maximum, both included. */
  sizeBounds: z.tuple([percent, percent]),
  projections: z.array(projectionSchema).min(1).max(8),
})

/**
 * All that a model learns of a position: ratios and coarse buckets.
 *
 * The schema is strict and its steps are coarse on purpose. There is no place in it for an address, an amount,
 * a block, a hash or a time, so a caller who puts one in fails here and not in a stranger's log.
 *
 * @example see `agents/lending-guardian/README.md`
 */
export const situationSchema = z
  .strictObject({
    schema: z.literal(SITUATION_SCHEMA_ID),
    /** Rounded down to 0.01. Under 1 the position can be liquidated. */
    healthFactor,
    /** Under this health factor waiting is not allowed. */
    hardFloor: healthFactor,
    /** Under this health factor the agent thinks of acting. */
    trigger: healthFactor,
    /** The health factor to come back to. */
    target: healthFactor,
    /** How many blocks the decision should hold for. */
    horizonBlocks: z.number().int().min(1).max(1_024),
    /**
     * Per-block changes of the health factor that prices alone caused, oldest first, in basis points rounded to
     * one: what collateral over debt returned with the balances held still.
     */
    returnsBps: z.array(z.number().int().min(-10_000).max(10_000)).max(MAX_RETURNS),
    /**
     * How far the pool's price of the collateral lies from the oracle's, in multiples of
     * {@link DEVIATION_STEP_BPS}; negative where the pool is lower. Null where no pool can tell.
     */
    poolDeviationBps: z
      .number()
      .int()
      .min(-DEVIATION_CAP_BPS)
      .max(DEVIATION_CAP_BPS)
      .multipleOf(DEVIATION_STEP_BPS)
      .nullable(),
    /** What one transaction costs in gas, in basis points of the debt, rounded up to a bucket. */
    gasCostBps: z.literal(GAS_COST_BUCKETS_BPS),
    /** The protocol's public parameters for this collateral. */
    liquidation: z.strictObject({
      /** The part of the collateral's value that counts against the debt. */
      thresholdBps: basisPoints.min(1),
      /** What a liquidator receives beyond the debt that it repays. */
      bonusBps: basisPoints,
      /** The part of the debt that one liquidation may repay. */
      closeFactorBps: basisPoints,
    }),
    candidates: z.array(candidateSchema).min(1).max(16),
  })
  .superRefine((situation, context) => {
    const seen = new Set<string>()
    for (const [index, candidate] of situation.candidates.entries()) {
      const [least, most] = candidate.sizeBounds
      const at = (...path: (string | number)[]) => ['candidates', index, ...path]
      if (seen.has(candidate.id))
        context.addIssue({ code: 'custom', path: at('id'), message: 'Two candidates share this id.' })
      seen.add(candidate.id)
      if (least > most)
        context.addIssue({ code: 'custom', path: at('sizeBounds'), message: 'The bounds are reversed.' })
      for (const [position, { size }] of candidate.projections.entries())
        if (size < least || size > most)
          context.addIssue({
            code: 'custom',
            path: at('projections', position, 'size'),
            message: 'This projection lies outside the bounds.',
          })
    }
  })

/**
 * What a model answers with: which candidate, how much of it, and why.
 *
 * The reason has no limit here, because a long one is no error: `cleanReason` cuts it.
 */
export const answerSchema = z.object({
  candidate: z.string().describe('The id of the chosen candidate, such as "c1".'),
  size: percent.describe("Per cent of the candidate's maximum, within its sizeBounds. 0 when waiting."),
  reason: z.string().describe('Why, in one or two sentences.'),
})

export type CandidateKind = z.infer<typeof candidateKindSchema>
export type Projection = z.infer<typeof projectionSchema>
export type Candidate = z.infer<typeof candidateSchema>
export type Situation = z.infer<typeof situationSchema>
export type Answer = z.infer<typeof answerSchema>
