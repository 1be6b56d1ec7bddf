import { type Address, formatUnits, isAddressEqual } from 'viem'
import { InvariantError } from '../core/errors.ts'
import type { Action } from '../core/intent.ts'
import { findPosition, type PositionState, type ReserveState, type Snapshot } from '../core/snapshot.ts'
import { type TokenAmount, tokenAmount, type Usd, usd, usdValue, wei } from '../core/units.ts'
import type { Policy } from '../guards/policy.ts'
import { applyRepay } from '../protocols/aave-v3/effects.ts'
import { findReserve } from '../protocols/aave-v3/healthFactor.ts'
import { debtBalance, suppliedBalance } from '../protocols/aave-v3/interest.ts'
import type { ApprovalName } from './approvalSearch.ts'
import { bestDeleverage } from './bestDeleverage.ts'
import { promised } from './promised.ts'

/**
 * What somebody else may take of the account's tokens, or, on a variable debt token, borrow in its name. `amount` in the
 * token's smallest unit.
 */
export type Allowance = { readonly token: Address; readonly spender: Address; readonly amount: TokenAmount }

/** Everything that the rule goes by. */
export type EvacuationScene = {
  /** Of a block, with every reserve and every pool of the address book. */
  readonly snapshot: Snapshot
  readonly allowances: readonly Allowance[]
  /** Whether others who may take something are still looked for: nothing is brought into their reach until then. */
  readonly isSearching?: boolean
  /** What the chain does not let be taken back, and why; those are passed over. */
  readonly unrevokable?: readonly (ApprovalName & { readonly why: string })[]
  /** As `evacuationPolicy` derives it: its one recipient is the destination; with none, what is withdrawn stays. */
  readonly policy: Policy
  readonly wrappedNative: Address
  readonly blockSeconds: bigint
}

/** Something that stays where it is. */
export type Remainder = {
  readonly what: 'debt' | 'collateral' | 'wallet' | 'allowance' | 'native'
  readonly token: Address | null
  /** Smallest unit. */
  readonly amount: bigint
  /** Dollars, 8 decimals; null without a price. */
  readonly worth: Usd | null
  readonly why: string
}

/** What is done next, or what is left when nothing more can be done on this block. */
export type EvacuationStep =
  | { readonly action: Action; readonly reason: string }
  | { readonly action: null; readonly remains: readonly Remainder[] }

/** Less than this is no value to anybody: one dollar. */
export const LEAST_VALUE: Usd = usd(10n ** 8n)

/** What an action takes of gas, roughly and not too little: whatever is worth less stays. */
const GAS = { repay: 300_000n, withdraw: 350_000n, transfer: 120_000n } as const

/**
 * The evacuation's rule: what to do next so that everything ends at the destination. In this order, because a
 * liquidation is what costs most, and because nothing may come into the wallet that somebody else may take there:
 *
 * 1. repay from the wallet what it can repay;
 * 2. deleverage, as much as pools and bounds let, as often as it takes;
 * 3. revoke every allowance;
 * 4. withdraw every collateral, once there is no debt;
 * 5. transfer every token.
 *
 * The native coin, with which all of this is paid, comes last: see `prepareSweep`.
 *
 * A pure function of the scene, and of nothing that happened before: after a crash it says the same again.
 *
 * @throws {NotInSnapshotError} when the account's position or a reserve was not watched.
 * @example nextStep(scene) // { action: { kind: 'deleverage', … }, reason: 'repay 48739.2 USDC out of WETH' }
 */
export function nextStep(scene: EvacuationScene): EvacuationStep {
  const { snapshot } = scene
  const position = findPosition(snapshot, snapshot.wallet.account)
  if (position === undefined) throw new InvariantError('The position to evacuate was not read.')
  const remains: Remainder[] = []
  return (
    repaying(scene, position) ??
    deleveraging(scene, position, remains) ??
    revoking(scene, remains) ??
    withdrawing(scene, position, remains) ??
    transferring(scene, position, remains) ?? { action: null, remains }
  )
}

/** Whether a remainder is worth coming back for. What nobody can value is. The native coin is what gas is paid with. */
export const isOfValue = ({ what, worth }: Remainder): boolean =>
  what !== 'native' && (worth === null || worth >= LEAST_VALUE)

const expiry = ({ snapshot, policy }: EvacuationScene): bigint =>
  snapshot.block.number + BigInt(policy.intentExpiryBlocks)

/** What is owed when the plan is mined as late as it may be, and one block more: less would leave a debt behind. */
function owedAtLast(
  { snapshot, policy, blockSeconds }: EvacuationScene,
  part: PartOf,
  reserve: ReserveState,
) {
  const latest = snapshot.block.timestamp + blockSeconds * BigInt(policy.lastValidBlocks + 2)
  return tokenAmount(debtBalance(part, reserve, latest) + 1n)
}

type PartOf = PositionState['reserves'][number]

const debtsOf = ({ snapshot }: EvacuationScene, position: PositionState) =>
  position.reserves
    .filter((part) => part.scaledVariableDebt > 0n)
    .map((part) => ({ part, reserve: findReserve(snapshot.reserves, part.asset) }))

const inWallet = ({ snapshot }: EvacuationScene, asset: Address): bigint =>
  snapshot.wallet.tokens.find(({ token }) => isAddressEqual(token, asset))?.balance ?? 0n

function repaying(scene: EvacuationScene, position: PositionState): EvacuationStep | null {
  const { snapshot } = scene
  const { reserves, block } = snapshot
  for (const { part, reserve } of debtsOf(scene, position)) {
    const balance = inWallet(scene, reserve.asset)
    const all = owedAtLast(scene, part, reserve)
    const amount = tokenAmount(balance < all ? balance : all)
    const isWorthIt = amount === all || worthOf(reserve, amount) > gasCost(scene, GAS.repay)
    if (amount === 0n || !isWorthIt || !isOpen(reserve)) continue
    const after = applyRepay(position, reserves, reserve.asset, amount, block.timestamp).position.account
    return {
      action: {
        kind: 'repay',
        asset: reserve.asset,
        amount,
        minHealthFactor: promised(after.healthFactor, scene.policy),
        expiresAtBlock: expiry(scene),
      },
      reason: `repay ${shown(reserve, amount)} from the wallet`,
    }
  }
  return null
}

function deleveraging(
  scene: EvacuationScene,
  position: PositionState,
  remains: Remainder[],
): EvacuationStep | null {
  const debts = debtsOf(scene, position)
  const [best] = debts
    .flatMap(({ part, reserve }) => {
      const all = owedAtLast(scene, part, reserve)
      const least = gasCost(scene, GAS.repay)
      const found = bestDeleverage(scene.snapshot, position, reserve, { all, least, policy: scene.policy })
      return found === null ? [] : [{ ...found, reserve }]
    })
    .toSorted((a, b) => (a.worth > b.worth ? -1 : 1))
  if (best !== undefined) {
    const { reserve, collateral, repayAmount, isAll, ...bounds } = best
    return {
      action: {
        kind: 'deleverage',
        collateral: collateral.asset,
        debt: reserve.asset,
        pool: bounds.pool,
        repayAmount,
        maxCollateralIn: bounds.maxCollateralIn,
        minHealthFactor: bounds.minHealthFactor,
        expiresAtBlock: expiry(scene),
      },
      reason: `repay ${isAll ? 'all' : shown(reserve, repayAmount)}${isAll ? ` ${reserve.symbol} of debt` : ''} out of ${collateral.symbol}`,
    }
  }
  for (const { part, reserve } of debts) {
    const amount = debtBalance(part, reserve, scene.snapshot.block.timestamp)
    const why = 'no pool gives enough for the collateral within the slippage that the policy allows'
    remains.push({ what: 'debt', token: reserve.asset, amount, worth: worthOrNull(reserve, amount), why })
  }
  return null
}

function revoking(scene: EvacuationScene, remains: Remainder[]): EvacuationStep | null {
  for (const allowance of scene.allowances) {
    const { token, spender, amount } = allowance
    if (amount === 0n) continue
    const kept = scene.unrevokable?.find((one) => isSame(one, allowance))
    if (kept === undefined)
      return {
        action: { kind: 'revoke', asset: token, spender, expiresAtBlock: expiry(scene) },
        reason: `take back what ${spender} may ${allowed(scene, token, amount)}`,
      }
    const why = `what ${spender} may ${allowed(scene, token, amount)} cannot be taken back: ${kept.why}`
    remains.push({ what: 'allowance', token, amount, worth: null, why })
  }
  return null
}

const isSame = (a: ApprovalName, b: ApprovalName): boolean =>
  isAddressEqual(a.token, b.token) && isAddressEqual(a.spender, b.spender)

/** From here on an allowance is one of everything. */
const UNLIMITED = 2n ** 255n

/** @example allowed(scene, weth, 5n * 10n ** 18n) // 'take of WETH: 5 WETH' */
function allowed({ snapshot }: EvacuationScene, token: Address, amount: bigint): string {
  for (const reserve of snapshot.reserves) {
    const { asset, aToken, variableDebtToken, symbol } = reserve
    const much = amount >= UNLIMITED ? 'without a limit' : shown(reserve, amount)
    if (isAddressEqual(asset, token)) return `take of ${symbol} (${much})`
    if (isAddressEqual(aToken, token)) return `take of the aToken of ${symbol} (${much})`
    if (isAddressEqual(variableDebtToken, token)) return `borrow of ${symbol} in its name (${much})`
  }
  return `take of ${token} (${amount} of its smallest unit)`
}

function withdrawing(
  scene: EvacuationScene,
  position: PositionState,
  remains: Remainder[],
): EvacuationStep | null {
  const { snapshot } = scene
  const isIndebted = debtsOf(scene, position).length > 0
  for (const part of position.reserves.filter(({ scaledATokenBalance }) => scaledATokenBalance > 0n)) {
    const reserve = findReserve(snapshot.reserves, part.asset)
    const supplied = suppliedBalance(part, reserve, snapshot.block.timestamp)
    const { availableLiquidity } = reserve
    const amount = supplied < availableLiquidity ? supplied : availableLiquidity
    const stays = (why: string) =>
      remains.push({
        what: 'collateral',
        token: part.asset,
        amount: supplied,
        worth: worthOrNull(reserve, supplied),
        why,
      })
    if (isIndebted) stays('it secures the debt')
    else if (scene.isSearching === true) stays('whoever may take it once it is withdrawn is still looked for')
    else if (!isOpen(reserve)) stays('the reserve is paused')
    else if (worthOf(reserve, supplied) <= gasCost(scene, GAS.withdraw + GAS.transfer))
      stays('it is worth less than the gas to move it')
    else if (worthOf(reserve, amount) <= gasCost(scene, GAS.withdraw)) stays('all of the reserve is lent out')
    else
      return {
        action: { kind: 'withdraw', asset: part.asset, amount, expiresAtBlock: expiry(scene) },
        reason: `withdraw ${shown(reserve, amount)}`,
      }
  }
  return null
}

function transferring(
  scene: EvacuationScene,
  position: PositionState,
  remains: Remainder[],
): EvacuationStep | null {
  const { snapshot, policy } = scene
  const [destination] = policy.recipients
  if (destination === undefined) return null
  // The plan asserts it wherever there is a debt, so that it would only revert.
  const isTooLow =
    debtsOf(scene, position).length > 0 && position.account.healthFactor < policy.healthFactor.minAfter
  for (const { token, balance } of snapshot.wallet.tokens) {
    if (balance === 0n) continue
    const reserve = findReserve(snapshot.reserves, token)
    const worth = worthOrNull(reserve, balance)
    const stays = (why: string) => remains.push({ what: 'wallet', token, amount: balance, worth, why })
    if (isTooLow) stays('the health factor is under the hard floor')
    else if (worth !== null && worth <= gasCost(scene, GAS.transfer))
      stays('it is worth less than the gas to move it')
    else
      return {
        action: {
          kind: 'transfer',
          asset: token,
          to: destination,
          amount: balance,
          expiresAtBlock: expiry(scene),
        },
        reason: `transfer ${shown(reserve, balance)} to ${destination}`,
      }
  }
  const { native } = snapshot.wallet
  const why = 'it pays for gas as long as anything else is left'
  if (native > 0n)
    remains.push({ what: 'native', token: null, amount: native, worth: nativeWorth(scene), why })
  return null
}

const isOpen = ({ isActive, isPaused }: ReserveState): boolean => isActive && !isPaused

const worthOf = ({ price, decimals }: ReserveState, amount: bigint): Usd =>
  usdValue(tokenAmount(amount), price, decimals, 'down')

const worthOrNull = (reserve: ReserveState, amount: bigint): Usd | null =>
  reserve.price > 0n ? worthOf(reserve, amount) : null

const nativeReserve = ({ snapshot, wrappedNative }: EvacuationScene): ReserveState =>
  findReserve(snapshot.reserves, wrappedNative)

const nativeWorth = (scene: EvacuationScene): Usd | null =>
  worthOrNull(nativeReserve(scene), scene.snapshot.wallet.native)

/** What a rescue tips, in wei per unit of gas. */
const TIP = 3n * 10n ** 9n

/** Dollars, at the base fee of the block. */
function gasCost(scene: EvacuationScene, gas: bigint): Usd {
  return worthOf(nativeReserve(scene), wei(gas * (scene.snapshot.block.baseFeePerGas + TIP)))
}

const shown = ({ symbol, decimals }: ReserveState, amount: bigint): string =>
  `${formatUnits(amount, decimals)} ${symbol}`
