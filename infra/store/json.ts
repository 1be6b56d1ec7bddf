import { type Address, getAddress, type Hex, isAddress, isHex } from 'viem'
import { z } from 'zod'
import { canonicalJson } from '../../runtime/core/canonical.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { Hash, IntentId } from '../../runtime/core/ids.ts'
import { type Action, parseIntent } from '../../runtime/core/intent.ts'
import type { Effects, Outcome, Plan } from '../../runtime/core/lifecycle.ts'
import { type Bps, bps, type Usd, usd, type Wad, type Wei, wad, wei } from '../../runtime/core/units.ts'
import type { Verdict } from '../../runtime/core/verdict.ts'
import { storable } from './columns.ts'

/*
 * What the journal keeps as JSON: whole documents that are never computed with. Integers are decimal strings there,
 * so that nothing between here and the disk can take them for floats.
 */

const address = z
  .string()
  .refine((text) => isAddress(text, { strict: false }))
  .transform((text): Address => getAddress(text))
const hex = z
  .string()
  .refine((text) => isHex(text))
  .transform((text) => text as Hex)
const hash = hex.transform((text) => text.toLowerCase() as Hash)
const integer = z
  .string()
  .regex(/^-?\d+$/)
  .transform(BigInt)
const inWei = integer.transform((value): Wei => wei(value))

const planSchema = z.object({
  intentId: z.string().transform((text) => text as IntentId),
  chainId: z.number().int().positive(),
  account: address,
  calls: z.array(z.object({ to: address, value: inWei, data: hex })),
  delegateTo: address.nullable(),
  gasLimit: integer,
  maxFeePerGas: inWei,
  maxPriorityFeePerGas: inWei,
  block: z.object({ number: integer, hash }),
  lastValidBlock: integer,
  policyVersion: z.string(),
  via: z
    .object({
      kind: z.literal('roles'),
      modifier: address,
      multiSend: address,
      roleKey: hash,
      sender: address,
    })
    .exactOptional(),
})

const inUsd = integer.transform((value): Usd => usd(value))
const inBps = integer.transform((value): Bps => bps(value))

const accountDataSchema = z.object({
  totalCollateral: inUsd,
  totalDebt: inUsd,
  availableBorrows: inUsd,
  liquidationThreshold: inBps,
  ltv: inBps,
  healthFactor: integer.transform((value): Wad => wad(value)),
})

const effectsSchema = z.object({
  gasUsed: integer,
  balances: z.array(
    z.object({ account: address, token: address.nullable(), before: integer, after: integer }),
  ),
  allowances: z.array(
    z.object({ token: address, owner: address, spender: address, before: integer, after: integer }),
  ),
  position: z.object({ before: accountDataSchema, after: accountDataSchema }),
  equity: z.object({ before: integer, after: integer }),
  logCount: z.number().int().nonnegative(),
})

const balanceChangesSchema = z.array(z.object({ token: address, change: integer }))

/** A value with every `bigint` in it as a decimal string. */
function toJson(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, member) => (typeof member === 'bigint' ? `${member}` : member)),
  )
}

function decode<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const path = result.error.issues[0]?.path.join('.')
  throw new InvariantError(`The journal holds ${what} that cannot be read.`, { path })
}

export const encodeAction = (action: Action): unknown => toJson(action)

/** @throws {InvalidIntentError | InvariantError} when it is no action. */
export function decodeAction(value: unknown): Action {
  const intent = parseIntent(value)
  if (intent.kind === 'nothing') throw new InvariantError('The journal holds an intent to do nothing.')
  return intent
}

export const encodePlan = (plan: Plan): unknown => toJson(plan)
/** @throws {InvariantError} when it is no plan. */
export const decodePlan = (value: unknown): Plan => decode(planSchema, value, 'a plan')

export const encodeEffects = (effects: Effects): unknown => toJson(effects)
/** @throws {InvariantError} when it is no measurement of effects. */
export const decodeEffects = (value: unknown): Effects => decode(effectsSchema, value, 'effects')

export const encodeBalanceChanges = (changes: Outcome['balanceChanges']) =>
  changes.map(({ token, change }) => ({ token: token.toLowerCase(), change: change.toString() }))
/** @throws {InvariantError} when it is no list of balance changes. */
export const decodeBalanceChanges = (value: unknown): Outcome['balanceChanges'] =>
  decode(balanceChangesSchema, value, 'balance changes')

/** A verdict as it is stored: see {@link storable}. */
export const storableVerdict = (verdict: Verdict): Verdict => ({
  phase: verdict.phase,
  allowed: verdict.allowed,
  findings: verdict.findings.map(({ guard, allowed, code, limit, observed, message }) => ({
    guard: storable(guard),
    allowed,
    code,
    limit: storable(limit),
    observed: storable(observed),
    message: storable(message),
  })),
  policyVersion: storable(verdict.policyVersion),
})

/** Whether two verdicts say the same. */
export const sameVerdict = (one: Verdict, other: Verdict): boolean =>
  canonicalJson(storableVerdict(one)) === canonicalJson(storableVerdict(other))
