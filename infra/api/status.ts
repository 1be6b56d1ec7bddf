import { z } from 'zod'

const tradingState = z.enum(['active', 'reducing', 'halted'])

/** What the runtime says of itself. Money and health factors as decimal strings. */
export const statusSchema = z.object({
  version: z.string(),
  pid: z.int(),
  /** `playing` a scenario, `done` with it, or `watching` a chain. */
  phase: z.enum(['starting', 'playing', 'done', 'watching']),
  chainId: z.int(),
  block: z.int().nullable(),
  scenario: z
    .object({ name: z.string(), seed: z.int(), blocks: z.int(), passed: z.boolean().nullable() })
    .nullable(),
  agents: z.array(
    z.object({
      id: z.string(),
      account: z.string(),
      tradingState,
      healthFactor: z.string().nullable(),
      equityUsd: z.string().nullable(),
      lastDecision: z.object({ block: z.int(), intent: z.string(), reason: z.string() }).nullable(),
    }),
  ),
  inFlight: z.int(),
})

export type Status = z.output<typeof statusSchema>

/** An order of the owner. `agent` null means all agents. */
export const tradingOrderSchema = z.strictObject({
  agent: z.string().nullable(),
  state: tradingState,
  reason: z.string().max(200),
})

export type TradingOrder = z.output<typeof tradingOrderSchema>

/** What holds once an order was taken: the strictest of what was said to all and to one. */
export const orderAnswerSchema = z.object({ agents: z.array(z.object({ id: z.string(), tradingState })) })

export type OrderAnswer = z.output<typeof orderAnswerSchema>

/**
 * What to say of an order for an agent that there is not: whoever mistypes a name must not believe that it is halted.
 * Null when there is such an agent, or the order is for all of them.
 */
export const findStranger = (agent: string | null, known: readonly string[]): string | null =>
  agent === null || known.includes(agent)
    ? null
    : `There is no agent "${agent}". Name one of ${known.join(', ')}, or leave --agent out to mean all of them.`
