import { z } from 'zod'

/** The version of the situation's shape. An analyst answers only what it knows how to read. */
export const SITUATION_SCHEMA_ID = 'rialto.situation/v2'

// Everything a situation can say is one of a few values. What is finer than these would tell who asks: on a public
// chain an exact health factor, debt or wallet belongs to one address.

/** Health factors are rounded down to one of these, to the hard floor or to the target: fine where danger is, coarse where none is. */
export const HEALTH_FACTOR_RUNGS = [0, 0.95, 1, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2, 3, 5, 10] as const
/** Health factors above this are written as this: how far beyond safe a position is tells nothing but its owner. */
export const HEALTH_FACTOR_CAP = 10
/** How far there may be said to be a way, in per cent of the way to the target, rounded down. */
export const REACHES = [50, 100] as const
/** The sizes that projections are shown at, in per cent of the way to the target. */
export const PROJECTED_SIZES = [25, 50, 75, 100] as const
/** What going there may be said to cost, in basis points of the debt, rounded up. */
export const COST_BUCKETS_BPS = [0, 30, 100, 300, 1_000] as const
/** What the market did is written in multiples of this many basis points, rounded away from zero. */
export const MARKET_STEP_BPS = 10
/** How much of the debt may be said to be left at the end of the way, as a part of the debt now, rounded up. */
export const DEBT_LEFT_BUCKETS = [0.7, 1] as const
/** How far under the oracle a pool may be said to trade, in basis points, rounded away from zero. */
export const DEVIATION_BUCKETS_BPS = [0, -25, -50, -100, -200, -500, -1_000, -2_000] as const
/** What a liquidator may be said to receive beyond the debt, in basis points, rounded up. */
export const BONUS_BUCKETS_BPS = [750, 1_500, 10_000] as const

const percent = z.number().int().min(0).max(100)
/** A threshold of the owner's policy, or what follows from one. */
const healthFactor = z.number().min(0).max(HEALTH_FACTOR_CAP).multipleOf(0.01)

/**
 * What a candidate does: `protect` goes some of the way to the target, `wait` leaves everything as it is.
 *
 * By which way there (from the wallet, by more collateral, through a swap) is not asked: what somebody holds in a
 * wallet tells who they are, and the cheapest way is a matter of exact figures, which code decides at home.
 */
const candidateKindSchema = z.enum(['protect', 'wait'])

/** What a candidate would lead to at one size. */
const projectionSchema = z.strictObject({
  /** Per cent of the way from the health factor to the target. */
  size: z.literal([0, ...PROJECTED_SIZES]),
  /** The least that it ends at. */
  healthFactorAfter: healthFactor,
  /** Gas, fees and slippage, in basis points of the debt now. */
  costBps: z.literal(COST_BUCKETS_BPS),
  /** The most that is owed afterwards, as a part of the debt now. */
  debtAfter: z.number().min(0).max(1).multipleOf(0.05),
})

const candidateSchema = z.strictObject({
  id: z.literal(['c1', 'c2']),
  kind: candidateKindSchema,
  /** The smallest and largest size that may be chosen, both included. */
  sizeBounds: z.tuple([z.literal([0, 1]), z.literal([0, ...REACHES])]),
  projections: z.array(projectionSchema).min(1).max(PROJECTED_SIZES.length),
})

/**
 * All that a model learns of a position: to which class it belongs, and what follows from the class.
 *
 * The schema is strict and its steps are coarse on purpose. There is no place in it for an address, an amount,
 * a block, a hash or a time, so a caller who puts one in fails here and not in a stranger's log.
 *
 * @example see `agents/lending-guardian/README.md`
 */
export const situationSchema = z
  .strictObject({
    schema: z.literal(SITUATION_SCHEMA_ID),
    /** Rounded down: to one of {@link HEALTH_FACTOR_RUNGS}, the hard floor or the target. Under 1 it can be liquidated. */
    healthFactor,
    /** Under this health factor waiting is not allowed. */
    hardFloor: healthFactor,
    /** The health factor to come back to. */
    target: healthFactor,
    /** How many blocks the decision should hold for. */
    horizonBlocks: z.number().int().min(1).max(1_024),
    /** What prices of the main collateral in the main debt did in the latest blocks: public, and nobody's own mix. */
    market: z.strictObject({
      /** Standard deviation of one block's move. */
      volatilityBps: z.number().int().min(0).max(10_000).multipleOf(MARKET_STEP_BPS),
      /** The mean of one block's move where it is a fall beyond its own standard error, else zero. */
      driftBps: z.number().int().min(-10_000).max(0).multipleOf(MARKET_STEP_BPS),
      /** How far the pool's price of the collateral lies under the oracle's. Zero where it does not, or none can tell. */
      poolDeviationBps: z.literal(DEVIATION_BUCKETS_BPS),
    }),
    /** What a liquidation takes. */
    liquidation: z.strictObject({
      /** What a liquidator receives beyond the debt that it repays. */
      bonusBps: z.literal(BONUS_BUCKETS_BPS),
      /** The part of the debt that one liquidation may repay. */
      closeFactorBps: z.literal([5_000, 10_000]),
    }),
    candidates: z.array(candidateSchema).min(1).max(2),
  })
  .superRefine((situation, context) => {
    const { healthFactor, hardFloor, target } = situation
    if (![...HEALTH_FACTOR_RUNGS, hardFloor, target].includes(healthFactor))
      context.addIssue({ code: 'custom', path: ['healthFactor'], message: 'This is none of the rungs.' })
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
  size: percent.describe('Per cent of the way to the target, within its sizeBounds. 0 when waiting.'),
  reason: z.string().describe('Why, in one or two sentences.'),
})

export type Projection = z.infer<typeof projectionSchema>
export type Candidate = z.infer<typeof candidateSchema>
export type Situation = z.infer<typeof situationSchema>
export type Answer = z.infer<typeof answerSchema>
