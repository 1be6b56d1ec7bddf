import type { Usd, Wei } from '../../../runtime/core/units.ts'
import { usd } from '../../../runtime/core/units.ts'
import { ScenarioBlocksError, ScenarioSeedError } from './errors.ts'

/** The world's ETH/USD price at genesis, in whole dollars: where every path starts. */
export const STARTING_DOLLARS = 2_000

/** {@link STARTING_DOLLARS} in US dollars with 8 decimals. */
export const STARTING_PRICE: Usd = usd(BigInt(STARTING_DOLLARS) * 10n ** 8n)

/** The fewest blocks a built-in scenario is played in: one for each of black-thursday's waypoints. */
export const MIN_BLOCKS = 12

/** The most blocks a built-in scenario is played in. */
export const MAX_BLOCKS = 100_000

/** What the world sets before it mines one block. */
export type PricePoint = {
  /** What the Chainlink aggregator reports: US dollars per ETH, 8 decimals, always positive. */
  readonly oracle: Usd
  /** What the pool is arbitraged towards: US dollars per ETH, 8 decimals, always positive. */
  readonly market: Usd
  /** The block's base fee, in wei per gas. */
  readonly baseFeePerGas: Wei
}

/**
 * What has to hold at the end of a run for it to have passed.
 *
 * - `guarded-survives`: the guarded position was not liquidated, its twin was, and the guarded owner ended
 *   with more equity.
 * - `no-costly-action`: the agent did nothing that costs money.
 * - `completes`: the run came to the last block.
 */
export type PassRule = 'guarded-survives' | 'no-costly-action' | 'completes'

/** What a path is a pure function of. */
type PathRequest = {
  /** An unsigned 32-bit integer. */
  readonly seed: number
  /** How many points: one per block, the first being the starting price. */
  readonly blocks: number
}

/** How long a scenario may be. */
export type BlockBounds = {
  /** What `--scenario` takes; kebab-case for those that are built in, the file's own name for a price file. */
  readonly name: string
  readonly defaultBlocks: number
  readonly minBlocks: number
  readonly maxBlocks: number
  /** Why it cannot be shorter, in a few words for a person. */
  readonly minBlocksReason: string
}

/** A course of prices to play through the world. */
export type Scenario = BlockBounds & {
  /** One line for a person. */
  readonly summary: string
  readonly passRule: PassRule
  /**
   * The whole path, one point per block; the first is {@link STARTING_PRICE} for oracle and market alike.
   *
   * Pure, and the same to the last bit on every machine: paths use no operation beyond those that IEEE 754
   * rounds exactly (`+ - * /` and the square root), since `Math.exp`, `log`, `sin` and `pow` may differ in
   * their last bits from one engine to the next.
   *
   * @throws {ScenarioBlocksError} when `blocks` is no whole number within `minBlocks` and `maxBlocks`.
   * @throws {ScenarioSeedError} when `seed` is no unsigned 32-bit integer.
   * @example blackThursday.path({ seed: 1, blocks: 96 })[0]?.oracle // 200_000_000_000n: 2,000 dollars
   */
  readonly path: (request: PathRequest) => PricePoint[]
}

/**
 * Checks a number of blocks against a scenario's bounds.
 *
 * @throws {ScenarioBlocksError} when it is no whole number or lies outside.
 */
export function checkBlocks(scenario: Omit<BlockBounds, 'defaultBlocks'>, blocks: number): void {
  const { name, minBlocks, maxBlocks, minBlocksReason } = scenario
  if (Number.isInteger(blocks) && blocks >= minBlocks && blocks <= maxBlocks) return
  throw new ScenarioBlocksError(name, blocks, { min: minBlocks, max: maxBlocks, reason: minBlocksReason })
}

/**
 * Checks a seed.
 *
 * @throws {ScenarioSeedError} when it is no unsigned 32-bit integer.
 */
export function checkSeed(seed: number): void {
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff) throw new ScenarioSeedError(seed)
}

/**
 * Makes a built-in scenario: the common bounds, and a path that checks what it is asked for.
 */
export function defineScenario(
  scenario: Omit<Scenario, 'minBlocks' | 'maxBlocks' | 'minBlocksReason'>,
): Scenario {
  const bounded = {
    ...scenario,
    minBlocks: MIN_BLOCKS,
    maxBlocks: MAX_BLOCKS,
    minBlocksReason: 'with fewer, single blocks would move too far',
  }
  return {
    ...bounded,
    path: (request) => {
      checkBlocks(bounded, request.blocks)
      checkSeed(request.seed)
      return scenario.path(request)
    },
  }
}

/**
 * Dollars as a price of the world, rounded to the cent.
 *
 * @example dollars(1_999.994) // 199_999_000_000n
 */
export const dollars = (value: number): Usd => usd(BigInt(Math.round(value * 100)) * 1_000_000n)
