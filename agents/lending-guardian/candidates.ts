import { isAddressEqual } from 'viem'
import type { Action } from '../../runtime/core/intent.ts'
import type { AccountData, PoolState, ReserveState } from '../../runtime/core/snapshot.ts'
import {
  BPS,
  bps,
  mulDiv,
  portion,
  type TokenAmount,
  tokenAmount,
  type Usd,
  usd,
  usdValue,
  WAD,
  type Wad,
  wad,
} from '../../runtime/core/units.ts'
import { applyRepay, applySupply } from '../../runtime/protocols/aave-v3/effects.ts'
import { findReserve, findReservePosition } from '../../runtime/protocols/aave-v3/healthFactor.ts'
import { debtBalance } from '../../runtime/protocols/aave-v3/interest.ts'
import { boundDeleverage, isInfeasible } from '../../runtime/protocols/boundDeleverage.ts'
import { InfeasibleActionError } from '../../runtime/protocols/errors.ts'
import type { GuardianSettings } from './options.ts'
import { gasCost, poolsOf, type Scene } from './scene.ts'

/** What can be done about a position. */
export type CandidateKind = 'repay' | 'add-collateral' | 'deleverage' | 'wait'

/** What a candidate of a size would do, to the wei. */
export type Step = {
  /** Per cent of the candidate's maximum. */
  readonly size: number
  /** Null for waiting. */
  readonly action: Action | null
  /** The position afterwards. */
  readonly account: AccountData
  /** Gas, and what a swap loses against the oracle's prices. */
  readonly cost: Usd
}

/** Something that can be done about the position, at every size at which it can be done. */
export type FeasibleCandidate = {
  /** `c1`, `c2`, … in a fixed order: what costs no swap first, waiting last. */
  readonly id: string
  readonly kind: CandidateKind
  /** One for each whole per cent from the smallest to the largest feasible size, without gaps. Never empty. */
  readonly steps: readonly [Step, ...Step[]]
}

/** A gain that a model could not even see is none: dust in a wallet is not worth a transaction. 0.01. */
export const LEAST_GAIN: Wad = wad(WAD / 100n)

/** More candidates than these would be no help. Waiting is one of them. */
const MOST_CANDIDATES = 16

/**
 * Everything that can be done about a position, each projected by the protocols' own mathematics: repay from the
 * wallet, add collateral from the wallet, deleverage through a pool, wait.
 *
 * A size is feasible when the protocols would carry it out, it lifts the health factor by at least
 * {@link LEAST_GAIN}, and it costs less than liquidations of all the debt would take. Where some size of a candidate
 * lifts the health factor to the floor, its smaller sizes are left out: they would only have to be followed by another.
 *
 * A pure function of the scene. Waiting is always there, and always last.
 */
export function enumerateCandidates(scene: Scene, settings: GuardianSettings): readonly FeasibleCandidate[] {
  const { position, snapshot } = scene
  const parts = position.reserves.map((part) => ({
    part,
    reserve: () => findReserve(snapshot.reserves, part.asset),
  }))
  const debts = parts.filter(({ part }) => part.scaledVariableDebt > 0n).map(({ reserve }) => reserve())
  const collaterals = parts
    .filter(({ part }) => part.usedAsCollateral && part.scaledATokenBalance > 0n)
    .map(({ reserve }) => reserve())
    .filter(({ liquidationThreshold }) => liquidationThreshold > 0n)

  const ways: { readonly kind: CandidateKind; project(size: number): Step }[] = [
    ...debts.map((debt) => ({ kind: 'repay' as const, project: repaying(scene, settings, debt) })),
    ...collaterals.map((asset) => ({
      kind: 'add-collateral' as const,
      project: supplying(scene, settings, asset),
    })),
    ...collaterals.flatMap((collateral) =>
      debts.flatMap((debt) =>
        poolsOf(snapshot, collateral, debt).map((pool) => ({
          kind: 'deleverage' as const,
          project: deleveraging(scene, settings, collateral, debt, pool),
        })),
      ),
    ),
  ]
  const acting = ways.flatMap(({ kind, project }) => {
    const steps = feasibleSteps(scene, settings.thresholds.floor, project)
    return steps === null ? [] : [{ kind, steps }]
  })
  const waiting: Step = { size: 0, action: null, account: position.account, cost: usd(0n) }
  return [...acting.slice(0, MOST_CANDIDATES - 1), { kind: 'wait' as const, steps: [waiting] as const }].map(
    (candidate, index) => ({ ...candidate, id: `c${index + 1}` }),
  )
}

/** The unbroken run of feasible sizes that ends in the largest one. */
function feasibleSteps(
  scene: Scene,
  floor: Wad,
  project: (size: number) => Step,
): readonly [Step, ...Step[]] | null {
  const run: Step[] = []
  const atStake = penaltyOnAll(scene)
  for (let size = 100; size >= 1; size--) {
    const step = tryProject(project, size)
    const isWorthIt =
      step !== null && step.account.healthFactor >= scene.healthFactor + LEAST_GAIN && step.cost < atStake
    if (isWorthIt) run.unshift(step)
    else if (run.length > 0) break
  }
  const enough = run.findIndex(({ account }) => account.healthFactor >= floor)
  const [first, ...others] = enough > 0 ? run.slice(enough) : run
  return first === undefined ? null : [first, ...others]
}

/** What liquidations of all the debt would take: the bonus on it. */
function penaltyOnAll({ position, collateral }: Scene): Usd {
  const { liquidationBonus } = collateral
  return portion(
    position.account.totalDebt,
    bps(liquidationBonus > BPS ? liquidationBonus - BPS : 0n),
    'down',
  )
}

/** Null where a protocol would refuse, or cannot say what it would do. */
function tryProject(project: (size: number) => Step, size: number): Step | null {
  try {
    return project(size)
  } catch (error) {
    if (isInfeasible(error)) return null
    throw error
  }
}

const partOf = (whole: bigint, size: number): TokenAmount =>
  tokenAmount(mulDiv(whole, BigInt(size), 100n, 'down'))

const walletBalance = ({ snapshot }: Scene, { asset }: ReserveState): TokenAmount =>
  snapshot.wallet.tokens.find(({ token }) => isAddressEqual(token, asset))?.balance ?? tokenAmount(0n)

const owed = ({ position, snapshot }: Scene, debt: ReserveState): TokenAmount =>
  debtBalance(findReservePosition(position, debt.asset), debt, snapshot.block.timestamp)

const expiry = ({ snapshot }: Scene, { validForBlocks }: GuardianSettings) =>
  snapshot.block.number + validForBlocks

/** What the plan enforces: the projected health factor less what prices may do until then, and never under 1. */
function leastHealthFactor(projected: Wad, { healthFactorTolerance }: GuardianSettings): Wad {
  const least = portion(projected, bps(BPS - healthFactorTolerance), 'down')
  return least < WAD ? WAD : least
}

/** Repays that part of what the wallet can repay. */
function repaying(scene: Scene, settings: GuardianSettings, debt: ReserveState): (size: number) => Step {
  const balance = walletBalance(scene, debt)
  const debtNow = owed(scene, debt)
  const most = balance < debtNow ? balance : debtNow
  const { position, snapshot } = scene
  return (size) => {
    const amount = partOf(most, size)
    if (amount === 0n) throw new InfeasibleActionError('repay', 'the wallet holds none of it')
    const after = applyRepay(position, snapshot.reserves, debt.asset, amount, snapshot.block.timestamp)
    const { account } = after.position
    return {
      size,
      account,
      cost: gasCost(scene, settings.gas.repay),
      action: {
        kind: 'repay',
        asset: debt.asset,
        amount: after.repaid,
        minHealthFactor: leastHealthFactor(account.healthFactor, settings),
        expiresAtBlock: expiry(scene, settings),
      },
    }
  }
}

/** Supplies that part of the wallet. */
function supplying(scene: Scene, settings: GuardianSettings, reserve: ReserveState): (size: number) => Step {
  const most = walletBalance(scene, reserve)
  const { position, snapshot } = scene
  return (size) => {
    const amount = partOf(most, size)
    if (amount === 0n) throw new InfeasibleActionError('supply', 'the wallet holds none of it')
    const after = applySupply(position, snapshot.reserves, reserve.asset, amount, snapshot.block.timestamp)
    return {
      size,
      account: after.account,
      cost: gasCost(scene, settings.gas.supply),
      action: { kind: 'supply', asset: reserve.asset, amount, expiresAtBlock: expiry(scene, settings) },
    }
  }
}

/** Repays that part of the debt with collateral, swapped in the pool, as `FlashRepay` does it. */
function deleveraging(
  scene: Scene,
  settings: GuardianSettings,
  collateral: ReserveState,
  debt: ReserveState,
  pool: PoolState,
): (size: number) => Step {
  const most = owed(scene, debt)
  const way = { snapshot: scene.snapshot, position: scene.position, collateral, debt, pool }
  const { maxSlippage: slippage, quoteTolerance: quote } = settings

  return (size) => {
    const repayAmount = partOf(most, size)
    if (repayAmount === 0n) throw new InfeasibleActionError('deleverage', 'the amount rounds to nothing')
    const bounded = boundDeleverage(way, repayAmount, { slippage, quote, mayGiveAll: false })
    const sold = usdValue(bounded.spent, collateral.price, collateral.decimals, 'up')
    const bought = usdValue(repayAmount, debt.price, debt.decimals, 'down')
    return {
      size,
      account: bounded.expected().account,
      cost: usd(gasCost(scene, settings.gas.deleverage) + (sold > bought ? sold - bought : 0n)),
      action: {
        kind: 'deleverage',
        collateral: collateral.asset,
        debt: debt.asset,
        pool: pool.address,
        repayAmount,
        maxCollateralIn: bounded.maxCollateralIn,
        minHealthFactor: leastHealthFactor(bounded.worst.account.healthFactor, settings),
        expiresAtBlock: expiry(scene, settings),
      },
    }
  }
}
