import { CALM_BASE_FEE } from './baseFee.ts'
import { bridgedPath, seededShocks } from './randomWalk.ts'
import { defineScenario, dollars, STARTING_DOLLARS } from './scenario.ts'

const DEFAULT_BLOCKS = 96

/** What is left of the price at the end. */
const REMAINDER = 0.4

/**
 * ETH falls by 60 % in small steps: there is never a moment at which to wake up, and yet at the end the
 * position is gone.
 *
 * From the default length upwards no block moves by more than 1.5 %, and none rises at the default length;
 * with fewer blocks each one moves further. The base fee stays calm: nobody is in a hurry.
 */
export const slowBleed = defineScenario({
  name: 'slow-bleed',
  summary: 'ETH falls by 60 % in small steps, never a shock',
  defaultBlocks: DEFAULT_BLOCKS,
  passRule: 'guarded-survives',
  path: ({ seed, blocks }) =>
    bridgedPath({
      from: STARTING_DOLLARS,
      legs: [{ to: STARTING_DOLLARS * REMAINDER, steps: DEFAULT_BLOCKS - 1 }],
      steps: blocks - 1,
      maxMove: 0.015,
      maxShock: 0.012,
      shocks: seededShocks(seed),
    }).map((price) => {
      const level = dollars(price)
      return { oracle: level, market: level, baseFeePerGas: CALM_BASE_FEE }
    }),
})
