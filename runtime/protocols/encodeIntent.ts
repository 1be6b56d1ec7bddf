import { type Address, isAddressEqual } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import { RialtoError } from '../core/errors.ts'
import type { Action, IntentOf } from '../core/intent.ts'
import type { Call } from '../core/lifecycle.ts'
import { findPosition, type Snapshot } from '../core/snapshot.ts'
import { MAX_UINT256, type TokenAmount, tokenAmount, type Wad } from '../core/units.ts'
import {
  encodeBorrow,
  encodeLiquidationCall,
  encodeRepay,
  encodeRevokeDelegation,
  encodeSupply,
  encodeWithdraw,
} from './aave-v3/encode.ts'
import { findReserve, findReservePosition, hasDebt } from './aave-v3/healthFactor.ts'
import { normalizedIncome, suppliedBalance } from './aave-v3/interest.ts'
import { poolOf, reserveOf, rialtoOf, tokenOf } from './book.ts'
import { encodeApprove, encodeTransfer } from './erc20/encode.ts'
import { NotInSnapshotError } from './errors.ts'
import {
  encodeFlashRepay,
  encodeMinBalance,
  encodeMinHealthFactor,
  encodeNotAfter,
  encodeZeroAllowance,
} from './rialto/encode.ts'
import { encodeExactInputSingle } from './uniswap-v3/encode.ts'

/** Bounds that the policy, not the intent, puts on the outcome. */
export type EncodeOptions = {
  /** The floor for intents that carry none of their own and touch an account with debt, 18 decimals. */
  readonly minHealthFactor: Wad
  /** The last block in which the plan may be mined; the intent's own expiry counts if it is earlier. */
  readonly lastValidBlock: bigint
}

/** An intent that no exact plan can be made of. */
export class IntentNotEncodableError extends RialtoError {
  override readonly name = 'IntentNotEncodableError'
  constructor(action: Action, reason: string) {
    super('INTENT_NOT_ENCODABLE', `No plan can be made of this ${action.kind}: ${reason}.`, {
      details: { kind: action.kind },
    })
  }
}

/** What all encoders need. */
type Context = {
  readonly snapshot: Snapshot
  readonly book: AddressBook
  readonly options: EncodeOptions
  readonly owner: Address
  readonly assert: Address
}

/** What an intent comes down to: what is done, and what must hold afterwards. */
type Steps = { readonly calls: readonly Call[]; readonly assertions: readonly Call[] }

// SwapRouter asks for a deadline in seconds. The batch's own `notAfter`, in blocks, is the one that was promised;
// a second clock would only fail plans that are still good on a chain whose blocks come late.
const NO_DEADLINE = MAX_UINT256

/** What the owner has of a token in the wallet. @throws {NotInSnapshotError} */
function walletBalance({ snapshot }: Context, token: Address): TokenAmount {
  const found = snapshot.wallet.tokens.find((entry) => isAddressEqual(entry.token, token))
  if (found === undefined) throw new NotInSnapshotError('wallet balance of token', token)
  return found.balance
}

/** `value - less`, or nothing where that is below zero. */
const floorAt = (value: bigint, less: bigint): TokenAmount => tokenAmount(value > less ? value - less : 0n)

/**
 * The aTokens that must be left of `asset` when at most `leaving` of it was taken out: its balance at the
 * snapshot, which only grows, less that, less what the roundings of the contracts can cost. Each of a handful
 * of transfers rounds by less than one scaled unit.
 */
function collateralLeft(context: Context, asset: Address, leaving: bigint): TokenAmount {
  const { snapshot, owner } = context
  const position = findPosition(snapshot, owner)
  if (position === undefined) throw new NotInSnapshotError('position of', owner)
  const reserve = findReserve(snapshot.reserves, asset)
  const { timestamp } = snapshot.block
  const balance = suppliedBalance(findReservePosition(position, asset), reserve, timestamp)
  const scaledUnit = normalizedIncome(reserve, timestamp) / 10n ** 27n + 1n
  return floorAt(balance, leaving + 4n * scaledUnit)
}

/** A floor under the owner's health factor; none where the owner surely has no debt. */
function healthFloor({ snapshot, book, options, owner, assert }: Context, minimum?: Wad): readonly Call[] {
  const position = findPosition(snapshot, owner)
  // A position that was not watched may have debt. Without any, the health factor passes every floor.
  const isDebtFree = position !== undefined && !hasDebt(position) && position.account.totalDebt === 0n
  if (isDebtFree) return []
  return [encodeMinHealthFactor(assert, book.aaveV3.pool, owner, minimum ?? options.minHealthFactor)]
}

const received = (context: Context, token: Address, before: bigint, atLeast: bigint): Call =>
  encodeMinBalance(context.assert, token, context.owner, tokenAmount(before + atLeast))

const nothingLeftFor = (context: Context, token: Address, spender: Address): Call =>
  encodeZeroAllowance(context.assert, token, context.owner, spender)

/** @throws {IntentNotEncodableError} for an amount that would be an unlimited approval. */
function requireExact(action: Action, amount: TokenAmount): void {
  if (amount === MAX_UINT256) throw new IntentNotEncodableError(action, 'its amount is not a definite one')
}

function encodeSupplyIntent(action: IntentOf<'supply'>, context: Context): Steps {
  const { book, owner, assert, snapshot, options } = context
  const { pool } = book.aaveV3
  const { aToken } = reserveOf(book, action.asset)
  requireExact(action, action.amount)
  // Supplying cannot lower the health factor, so it has to hold against a fall of the price alone: the floor of
  // the policy where the account is above it, else where the account stands.
  const current = findPosition(snapshot, owner)?.account.healthFactor
  const floor = current === undefined || current > options.minHealthFactor ? options.minHealthFactor : current
  // What is left when nothing leaves is what is there already; the amount comes on top of it.
  const supplied = collateralLeft(context, action.asset, 0n) + action.amount
  return {
    calls: [
      encodeApprove(action.asset, pool, action.amount),
      encodeSupply(pool, action.asset, action.amount, owner),
    ],
    assertions: [
      ...healthFloor(context, floor),
      encodeMinBalance(assert, aToken, owner, tokenAmount(supplied)),
      nothingLeftFor(context, action.asset, pool),
    ],
  }
}

function encodeWithdrawIntent(action: IntentOf<'withdraw'>, context: Context): Steps {
  const { book, owner, assert } = context
  const { aToken } = reserveOf(book, action.asset)
  requireExact(action, action.amount)
  return {
    calls: [encodeWithdraw(book.aaveV3.pool, action.asset, action.amount, owner)],
    assertions: [
      ...healthFloor(context),
      encodeMinBalance(assert, aToken, owner, collateralLeft(context, action.asset, action.amount)),
      received(context, action.asset, walletBalance(context, action.asset), action.amount),
    ],
  }
}

function encodeBorrowIntent(action: IntentOf<'borrow'>, context: Context): Steps {
  const { book, owner, assert, options } = context
  return {
    calls: [encodeBorrow(book.aaveV3.pool, action.asset, action.amount, owner)],
    assertions: [
      encodeMinHealthFactor(assert, book.aaveV3.pool, owner, options.minHealthFactor),
      received(context, action.asset, walletBalance(context, action.asset), action.amount),
    ],
  }
}

function encodeRepayIntent(action: IntentOf<'repay'>, context: Context): Steps {
  const { book, owner } = context
  const { pool } = book.aaveV3
  requireExact(action, action.amount)
  return {
    calls: [
      encodeApprove(action.asset, pool, action.amount),
      encodeRepay(pool, action.asset, action.amount, owner),
      // Aave takes no more than is owed, and somebody else may have repaid a part of it by then.
      encodeApprove(action.asset, pool, tokenAmount(0n)),
    ],
    assertions: [
      ...healthFloor(context, action.minHealthFactor),
      nothingLeftFor(context, action.asset, pool),
    ],
  }
}

function encodeDeleverageIntent(action: IntentOf<'deleverage'>, context: Context): Steps {
  const { book, owner, assert } = context
  const { flashRepay } = rialtoOf(book)
  const { aToken } = reserveOf(book, action.collateral)
  const pool = poolOf(book, action.pool)
  requireTokens(action, pool, action.collateral, action.debt)
  requireExact(action, action.maxCollateralIn)
  return {
    calls: [
      encodeApprove(aToken, flashRepay, action.maxCollateralIn),
      encodeFlashRepay(flashRepay, {
        aave: book.aaveV3.pool,
        pool: pool.address,
        debtAsset: action.debt,
        collateralAsset: action.collateral,
        aToken,
        repayAmount: action.repayAmount,
        maxCollateral: action.maxCollateralIn,
      }),
    ],
    assertions: [
      ...healthFloor(context, action.minHealthFactor),
      encodeMinBalance(
        assert,
        aToken,
        owner,
        collateralLeft(context, action.collateral, action.maxCollateralIn),
      ),
      nothingLeftFor(context, aToken, flashRepay),
    ],
  }
}

function encodeSwapIntent(action: IntentOf<'swap'>, context: Context): Steps {
  const { book, owner } = context
  const { swapRouter } = book.uniswapV3
  const pool = poolOf(book, action.pool)
  requireTokens(action, pool, action.tokenIn, action.tokenOut)
  requireExact(action, action.amountIn)
  return {
    calls: [
      encodeApprove(action.tokenIn, swapRouter, action.amountIn),
      encodeExactInputSingle(swapRouter, {
        tokenIn: action.tokenIn,
        tokenOut: action.tokenOut,
        fee: pool.fee,
        recipient: owner,
        deadline: NO_DEADLINE,
        amountIn: action.amountIn,
        minAmountOut: action.minAmountOut,
      }),
    ],
    assertions: [
      ...healthFloor(context),
      received(context, action.tokenOut, walletBalance(context, action.tokenOut), action.minAmountOut),
      nothingLeftFor(context, action.tokenIn, swapRouter),
    ],
  }
}

function encodeTransferIntent(action: IntentOf<'transfer'>, context: Context): Steps {
  const { owner, assert, book } = context
  const { address } = tokenOf(book, action.asset)
  const left = isAddressEqual(action.to, owner) ? 0n : action.amount
  return {
    calls: [encodeTransfer(address, action.to, action.amount)],
    assertions: [
      ...healthFloor(context),
      encodeMinBalance(assert, address, owner, floorAt(walletBalance(context, address), left)),
    ],
  }
}

function encodeLiquidateIntent(action: IntentOf<'liquidate'>, context: Context): Steps {
  const { book } = context
  const { pool } = book.aaveV3
  requireExact(action, action.debtToCover)
  const before = walletBalance(context, action.collateral)
  const spent = isAddressEqual(action.collateral, action.debt) ? action.debtToCover : 0n
  return {
    calls: [
      encodeApprove(action.debt, pool, action.debtToCover),
      encodeLiquidationCall(pool, action.collateral, action.debt, action.user, action.debtToCover),
      // Aave takes what the close factor and the collateral allow, which may be less.
      encodeApprove(action.debt, pool, tokenAmount(0n)),
    ],
    assertions: [
      ...healthFloor(context),
      received(context, action.collateral, floorAt(before, spent), action.minCollateralOut),
      nothingLeftFor(context, action.debt, pool),
    ],
  }
}

function encodeRevokeIntent(action: IntentOf<'revoke'>, context: Context): Steps {
  const { book } = context
  const isDebt = book.aaveV3.reserves.some(({ variableDebtToken }) =>
    isAddressEqual(variableDebtToken, action.asset),
  )
  // It sets what it is given, and nothing on-chain could be asked: a debt token refuses to say an allowance.
  if (isDebt) return { calls: [encodeRevokeDelegation(action.asset, action.spender)], assertions: [] }
  const isAToken = book.aaveV3.reserves.some(({ aToken }) => isAddressEqual(aToken, action.asset))
  const address = isAToken ? action.asset : tokenOf(book, action.asset).address
  return {
    // It moves nothing, so no price can make it worse: nothing but its own outcome is asserted.
    calls: [encodeApprove(address, action.spender, tokenAmount(0n))],
    assertions: [nothingLeftFor(context, address, action.spender)],
  }
}

/** @throws {IntentNotEncodableError} unless the pool trades exactly these two tokens. */
function requireTokens(
  action: Action,
  pool: { readonly token0: Address; readonly token1: Address },
  a: Address,
  b: Address,
): void {
  const isForward = isAddressEqual(pool.token0, a) && isAddressEqual(pool.token1, b)
  const isBackward = isAddressEqual(pool.token0, b) && isAddressEqual(pool.token1, a)
  if (!isForward && !isBackward)
    throw new IntentNotEncodableError(action, 'the pool does not trade these two tokens')
}

/** More of a token than this nobody has, and sums with it would overflow. */
const MOST = MAX_UINT256 / 2n

/** @throws {IntentNotEncodableError} for an amount that can only be meant to say "everything". */
function requireBounded(action: Action): void {
  // A health factor may well be infinite, and a block is no amount.
  for (const [name, value] of Object.entries(action))
    if (typeof value === 'bigint' && /amount|cover|collateral/i.test(name) && value > MOST)
      throw new IntentNotEncodableError(action, 'its amount is not a definite one')
}

function encodeSteps(action: Action, context: Context): Steps {
  switch (action.kind) {
    case 'supply':
      return encodeSupplyIntent(action, context)
    case 'withdraw':
      return encodeWithdrawIntent(action, context)
    case 'borrow':
      return encodeBorrowIntent(action, context)
    case 'repay':
      return encodeRepayIntent(action, context)
    case 'deleverage':
      return encodeDeleverageIntent(action, context)
    case 'swap':
      return encodeSwapIntent(action, context)
    case 'transfer':
      return encodeTransferIntent(action, context)
    case 'liquidate':
      return encodeLiquidateIntent(action, context)
    case 'revoke':
      return encodeRevokeIntent(action, context)
  }
}

/**
 * The batch that carries out an intent, as the account of the snapshot's wallet: exact approvals, the action,
 * and assertions that make the whole batch revert unless the outcome is at least what was promised:
 *
 * - the health factor, where the owner has debt or will have: the intent's own floor, else the policy's;
 * - what is left of the collateral, or came into the wallet;
 * - no allowance left of any that was given;
 * - the last valid block.
 *
 * Pure: the same intent on the same snapshot gives the same bytes.
 *
 * @throws {NotInAddressBookError} for a contract that the book does not list, our own included.
 * @throws {NotInSnapshotError} when the snapshot lacks what a floor is derived from.
 * @throws {IntentNotEncodableError} when the intent contradicts itself.
 */
export function encodeIntent(
  action: Action,
  snapshot: Snapshot,
  book: AddressBook,
  options: EncodeOptions,
): readonly Call[] {
  const { assert } = rialtoOf(book)
  requireBounded(action)
  const context = { snapshot, book, options, owner: snapshot.wallet.account, assert }
  const { calls, assertions } = encodeSteps(action, context)
  const isIntentEarlier = action.expiresAtBlock < options.lastValidBlock
  const lastBlock = isIntentEarlier ? action.expiresAtBlock : options.lastValidBlock
  return [...calls, ...assertions, encodeNotAfter(assert, lastBlock)]
}
