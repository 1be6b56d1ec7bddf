import { z } from 'zod'

const decimal = z.string().regex(/^-?\d+(\.\d+)?$/)
const factor = z.union([decimal, z.literal('none')])
const fate = z.strictObject({
  liquidated: z.boolean(),
  minHealthFactor: factor,
  equityUsd: z.strictObject({ start: decimal, end: decimal }),
})
const outcome = z.strictObject({
  healthFactor: factor,
  collateralUsd: decimal,
  debtUsd: decimal,
  equityUsd: decimal,
  gasUsed: decimal,
  gasCostEth: decimal,
  balances: z.record(z.string(), decimal),
})

/** What `rialto start --json` promises, to the last field. */
export const reportSchema = z.strictObject({
  scenario: z.string(),
  seed: z.int(),
  passed: z.boolean(),
  blocks: z.int(),
  guarded: fate,
  twin: fate,
  decisions: z.array(
    z.strictObject({
      block: z.int(),
      runId: z.string(),
      intent: z.string(),
      verdict: z.enum(['none', 'pending', 'allowed', 'denied', 'expired']),
      reason: z.string(),
      candidates: z.int(),
    }),
  ),
  transactions: z.array(
    z.strictObject({
      intentId: z.string(),
      kind: z.string(),
      hash: z.string().regex(/^0x[0-9a-f]{64}$/),
      status: z.string(),
      block: z.int(),
      expected: outcome,
      actual: outcome,
    }),
  ),
  inference: z.strictObject({ calls: z.int(), model: z.string() }),
  journal: z.strictObject({ runs: z.int(), intents: z.int(), attempts: z.int() }),
  durationMs: z.int(),
})

export type ReportJson = z.output<typeof reportSchema>
