import { type Address, getAddress, isAddress } from 'viem'
import { z } from 'zod'
import { InvalidInputError } from './errors.ts'
import { MAX_UINT256, type TokenAmount, tokenAmount, type Wad, wad } from './units.ts'

const address = z
  .string()
  .refine((text) => isAddress(text, { strict: false }), 'not an address')
  .transform((text): Address => getAddress(text))

/** A non-negative 256-bit integer, as `bigint` or, in JSON, as a decimal string. */
const uint = z
  .union([
    z.bigint(),
    z
      .string()
      .regex(/^\d{1,78}$/, 'not a decimal integer')
      .transform(BigInt),
  ])
  .refine((value) => value >= 0n && value <= MAX_UINT256, 'out of range')

const amount = uint.transform((value): TokenAmount => tokenAmount(value))
const positiveAmount = uint
  .refine((value) => value > 0n, 'must be positive')
  .transform((value): TokenAmount => tokenAmount(value))
const fixed18 = uint.transform((value): Wad => wad(value))

/** The last block in which the intent may be executed. */
const expiresAtBlock = uint

/**
 * The closed union of everything an agent may want. Amounts are in the token's smallest unit.
 *
 * | tag | meaning |
 * |---|---|
 * | `supply` | give `amount` of `asset` from the wallet to Aave as collateral |
 * | `withdraw` | take `amount` of `asset` out of Aave into the wallet |
 * | `borrow` | borrow `amount` of `asset` at the variable rate |
 * | `repay` | repay `amount` of the variable debt in `asset` from the wallet |
 * | `deleverage` | repay `repayAmount` of `debt` with at most `maxCollateralIn` of `collateral`, swapped in `pool` |
 * | `swap` | swap exactly `amountIn` for at least `minAmountOut` in `pool` |
 * | `transfer` | send `amount` of `asset` to `to` |
 * | `liquidate` | repay `debtToCover` of `user` and seize at least `minCollateralOut` |
 * | `revoke` | take back all that `spender` may take of the account's `asset`, or borrow in its name |
 * | `nothing` | leave everything as it is |
 */
export const intentSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('supply'), asset: address, amount: positiveAmount, expiresAtBlock }),
  z.strictObject({ kind: z.literal('withdraw'), asset: address, amount: positiveAmount, expiresAtBlock }),
  z.strictObject({ kind: z.literal('borrow'), asset: address, amount: positiveAmount, expiresAtBlock }),
  z.strictObject({
    kind: z.literal('repay'),
    asset: address,
    amount: positiveAmount,
    /** The plan reverts unless the health factor ends at least here. */
    minHealthFactor: fixed18,
    expiresAtBlock,
  }),
  z.strictObject({
    kind: z.literal('deleverage'),
    collateral: address,
    debt: address,
    pool: address,
    repayAmount: positiveAmount,
    maxCollateralIn: positiveAmount,
    minHealthFactor: fixed18,
    expiresAtBlock,
  }),
  z.strictObject({
    kind: z.literal('swap'),
    tokenIn: address,
    tokenOut: address,
    pool: address,
    amountIn: positiveAmount,
    minAmountOut: positiveAmount,
    expiresAtBlock,
  }),
  z.strictObject({
    kind: z.literal('transfer'),
    asset: address,
    to: address,
    amount: positiveAmount,
    expiresAtBlock,
  }),
  z.strictObject({
    kind: z.literal('liquidate'),
    collateral: address,
    debt: address,
    user: address,
    debtToCover: positiveAmount,
    minCollateralOut: amount,
    expiresAtBlock,
  }),
  z.strictObject({
    kind: z.literal('revoke'),
    /** The token that was approved: one of the address book, or an aToken; a variable debt token for delegated credit. */
    asset: address,
    spender: address,
    expiresAtBlock,
  }),
  z.strictObject({ kind: z.literal('nothing'), expiresAtBlock }),
])

export type Intent = z.output<typeof intentSchema>
export type IntentKind = Intent['kind']
export type IntentOf<Kind extends IntentKind> = Extract<Intent, { kind: Kind }>
/** An intent that moves something. */
export type Action = Exclude<Intent, { kind: 'nothing' }>

/** Intents that can only lower the risk of the owner's own lending position. They have limits of their own. */
const RISK_REDUCING: ReadonlySet<IntentKind> = new Set(['supply', 'repay', 'deleverage'])

/** Whether an intent is meant to reduce risk. The guards believe it only when the simulation shows it. */
export const isRiskReducing = ({ kind }: Pick<Intent, 'kind'>): boolean => RISK_REDUCING.has(kind)

/** @throws {InvalidIntentError} naming the first thing that is wrong. */
export function parseIntent(value: unknown): Intent {
  const result = intentSchema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new InvalidIntentError(`${issue?.path.join('.') || 'intent'}: ${issue?.message ?? 'invalid'}`)
}

/** A proposal that is no member of the union. */
export class InvalidIntentError extends InvalidInputError {
  override readonly name = 'InvalidIntentError'
  constructor(reason: string) {
    super(`The proposal is not a valid intent (${reason}).`, { code: 'INVALID_INTENT' })
  }
}
