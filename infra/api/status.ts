import { getAddress, isAddress } from 'viem'
import { z } from 'zod'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import type { AgentId } from '../../runtime/core/ids.ts'
import type { TradingScope } from '../../runtime/core/journal.ts'

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
      /**
       * On which step of its policy it stands, from 0; since when (chain time in seconds) nothing was denied and nothing
       * deviated; and whole days until the next step. Absent where the whole policy holds.
       */
      graduation: z
        .object({
          step: z.int(),
          of: z.int(),
          goodSince: z.int().nullable(),
          mode: z.enum(['observe', 'propose', 'execute']),
          nextInDays: z.int().nullable(),
          /** Whole days by the signer's own count, where that is what holds the agent back. */
          signerDays: z.int().nullable(),
        })
        .exactOptional(),
      lastDecision: z.object({ block: z.int(), intent: z.string(), reason: z.string() }).nullable(),
    }),
  ),
  /** Nonces whose outcome is not known yet. */
  inFlight: z.int(),
})

export type Status = z.output<typeof statusSchema>

const scope = z.union([
  z.literal('all'),
  z.strictObject({ agent: z.string().transform((text) => text as AgentId) }),
  z.strictObject({
    account: z
      .string()
      .refine((text) => isAddress(text, { strict: false }))
      .transform((text) => getAddress(text)),
  }),
])

/** An order of the owner: to one agent, to whoever acts on one account, or to all. */
export const tradingOrderSchema = z.strictObject({
  scope,
  state: tradingState,
  reason: z.string().max(200),
})

export type TradingOrder = z.output<typeof tradingOrderSchema>

/** What holds once an order was taken: the strictest of what was said to all and to one. */
export const orderAnswerSchema = z.object({ agents: z.array(z.object({ id: z.string(), tradingState })) })

export type OrderAnswer = z.output<typeof orderAnswerSchema>

/** An order names an agent or an account that there is not. */
export class StrangerError extends InvalidInputError {
  override readonly name = 'StrangerError'
  constructor(message: string) {
    super(message, { code: 'UNKNOWN_AGENT' })
  }
}

/**
 * What to say of an order for an agent or an account that there is not: whoever mistypes a name must not believe that
 * it is halted. Null when there is such a one, or the order is for all.
 */
export function findStranger(
  whom: TradingScope,
  known: { readonly agents: readonly string[]; readonly accounts: readonly string[] },
): string | null {
  if (whom === 'all') return null
  if ('agent' in whom)
    return known.agents.includes(whom.agent)
      ? null
      : `There is no agent "${whom.agent}". Name one of ${known.agents.join(', ')}, or leave --agent out to mean all of them.`
  const accounts = known.accounts.map((account) => account.toLowerCase())
  return accounts.includes(whom.account.toLowerCase())
    ? null
    : `No agent acts on ${whom.account}. Name one of ${known.accounts.join(', ') || 'none'}, or leave --account out to mean all of them.`
}
