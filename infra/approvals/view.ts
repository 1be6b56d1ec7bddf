import { type Address, getAddress, isAddress, isHex } from 'viem'
import { z } from 'zod'
import type { ApprovalRecord } from '../../runtime/core/approvalRecords.ts'
import type { AgentId, Hash, IntentId } from '../../runtime/core/ids.ts'
import type { IntentStatus } from '../../runtime/core/journal.ts'
import { type Usd, usd } from '../../runtime/core/units.ts'
import { decodeEffects, decodePlan, encodeEffects, encodePlan } from '../store/json.ts'

/** A request as a person is shown it: with where its intent stands, and what the agent said of it. */
export type ApprovalView = {
  readonly record: ApprovalRecord
  readonly intent: IntentStatus
  /** In the agent's own words. Nobody vouches for them. */
  readonly reason: string
}

const address = z
  .string()
  .refine((text) => isAddress(text, { strict: false }))
  .transform((text): Address => getAddress(text))
const hash = z
  .string()
  .regex(/^0x[0-9a-f]{64}$/)
  .transform((text) => text as Hash)
const integer = z
  .string()
  .regex(/^\d{1,78}$/)
  .transform(BigInt)

/** A request on its way between the runtime and a command. Figures are decimal strings. */
const viewSchema = z.object({
  record: z.object({
    id: hash,
    intentId: z.string().transform((text) => text as IntentId),
    agent: z.string().transform((text) => text as AgentId),
    account: address,
    plan: z.unknown().transform(decodePlan),
    effects: z.unknown().transform(decodeEffects),
    policyVersion: z.string(),
    reserved: integer.transform((value): Usd => usd(value)),
    owners: z.array(address),
    threshold: z.int().positive(),
    requestedAt: integer,
    expiresAt: integer,
    status: z.enum(['pending', 'approved', 'rejected', 'expired', 'void']),
    signatures: z.array(
      z.object({
        signer: address,
        signature: z.custom<`0x${string}`>((value) => isHex(value)),
        signedAt: integer,
      }),
    ),
    reason: z.string().nullable(),
  }),
  intent: z.enum(['proposed', 'denied', 'expired', 'signed', 'done', 'reverted', 'deviated']),
  reason: z.string(),
})

export const viewsSchema = z.object({ approvals: z.array(viewSchema) })
export const answerSchema = z.object({ approval: viewSchema, changed: z.boolean() })

/** As JSON can carry it. */
export const encodeView = ({ record, intent, reason }: ApprovalView): unknown => ({
  record: {
    ...record,
    plan: encodePlan(record.plan),
    effects: encodeEffects(record.effects),
    reserved: record.reserved.toString(),
    requestedAt: record.requestedAt.toString(),
    expiresAt: record.expiresAt.toString(),
    signatures: record.signatures.map((one) => ({ ...one, signedAt: one.signedAt.toString() })),
  },
  intent,
  reason,
})
