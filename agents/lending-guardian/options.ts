import type { BaseChatModel } from '@langchain/core/language_models/chat_models'
import type { BaseCheckpointSaver } from '@langchain/langgraph'
import type { Address } from 'viem'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import type { AgentId } from '../../runtime/core/ids.ts'
import { type Bps, bps, formatWad, WAD, type Wad, type Wei, wei } from '../../runtime/core/units.ts'
import { HEALTH_FACTOR_CAP } from './schema.ts'

/** Where the guardian starts to think, where it must act, and where it wants to be. 18 decimals, rising. */
export type Thresholds = {
  /** Under it waiting is not allowed, whoever says so. */
  readonly floor: Wad
  /** Under it the guardian thinks, and without a model acts. */
  readonly trigger: Wad
  /** What a rescue aims at. */
  readonly target: Wad
}

/** Gas that one transaction of each kind takes, with its assertions, on the contracts of FACTS: an estimate. */
type GasEstimates = { readonly repay: bigint; readonly deleverage: bigint; readonly supply: bigint }

export type LendingGuardianOptions = {
  readonly id: AgentId
  /** Whose position is guarded, and who acts. */
  readonly account: Address
  readonly thresholds: Thresholds
  /** Assets the position may consist of, whose reserve, oracle and wallet balance are watched. */
  readonly assets: readonly Address[]
  /** Uniswap v3 pools that collateral may be sold in. */
  readonly pools: readonly Address[]
  /** The wrapped native coin: what gas is priced by. */
  readonly wrappedNative: Address
  /** Who is asked; null asks nobody and acts by rule. */
  readonly model: { readonly chat: BaseChatModel; readonly name: string } | null
  /** Where the graph's state goes, so that a run that was interrupted does not ask twice. */
  readonly checkpointer?: BaseCheckpointSaver
  /** How long the model may take, in milliseconds. The run's own deadline holds as well. Default 20,000. */
  readonly modelTimeout?: number
  /** How many blocks a decision should hold for. Default 50. */
  readonly horizonBlocks?: number
  /** Seconds between blocks. Default 12. */
  readonly blockSeconds?: number
  /** How many blocks after the snapshot's the intent may still be executed. Default 5. */
  readonly validForBlocks?: bigint
  /** How much worse than the oracle's price collateral may be sold, the pool's fee included. Default 100 bps. */
  readonly maxSlippage?: Bps
  /** How much more collateral than quoted may be spent: what the pool may move until then. Default 50 bps. */
  readonly quoteTolerance?: Bps
  /**
   * How far the health factor may end under its projection. Prices move until the transaction is mined, and a
   * rescue that a falling price makes revert is none. Default 500 bps.
   */
  readonly healthFactorTolerance?: Bps
  /** What is paid to the block's builder per unit of gas. Default 3 gwei. */
  readonly priorityFee?: Wei
  readonly gas?: GasEstimates
}

/** The options with nothing left open. */
export type GuardianSettings = Required<Omit<LendingGuardianOptions, 'checkpointer'>>

const LARGEST = (WAD * BigInt(HEALTH_FACTOR_CAP)) as Wad

/**
 * The options with their defaults.
 *
 * @throws {InvalidInputError} when they contradict one another.
 */
export function settle(options: LendingGuardianOptions): GuardianSettings {
  const { floor, trigger, target } = options.thresholds
  if (!(WAD < floor && floor <= trigger && trigger < target && target <= LARGEST))
    throw new InvalidInputError(
      `A guardian's thresholds must rise from above 1: floor ${formatWad(floor)}, trigger ${formatWad(trigger)}, ` +
        `target ${formatWad(target)} do not.`,
      { code: 'GUARDIAN_THRESHOLDS', fix: `Set 1 < floor <= trigger < target <= ${HEALTH_FACTOR_CAP}.` },
    )
  const settings = {
    modelTimeout: 20_000,
    horizonBlocks: 50,
    blockSeconds: 12,
    validForBlocks: 5n,
    maxSlippage: bps(100n),
    quoteTolerance: bps(50n),
    healthFactorTolerance: bps(500n),
    priorityFee: wei(3n * 10n ** 9n),
    gas: { repay: 320_000n, deleverage: 580_000n, supply: 320_000n },
    ...options,
  }
  const { horizonBlocks, blockSeconds, modelTimeout, validForBlocks } = settings
  const wrong =
    (!(Number.isInteger(horizonBlocks) && horizonBlocks >= 1 && horizonBlocks <= 1_024) && 'horizonBlocks') ||
    (!(Number.isInteger(blockSeconds) && blockSeconds >= 1) && 'blockSeconds') ||
    (!(Number.isFinite(modelTimeout) && modelTimeout >= 1) && 'modelTimeout') ||
    (validForBlocks < 1n && 'validForBlocks')
  if (wrong)
    throw new InvalidInputError(`The guardian's ${wrong} is out of range.`, {
      code: 'GUARDIAN_OPTIONS',
      details: { option: wrong },
    })
  return settings
}
