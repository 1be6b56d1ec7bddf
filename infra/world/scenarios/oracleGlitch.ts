import { CALM_BASE_FEE } from './baseFee.ts'
import { type Shocks, seededShocks } from './randomWalk.ts'
import { defineScenario, dollars, type PricePoint, STARTING_DOLLARS } from './scenario.ts'

/** What the oracle makes of the price in its bad block: at a health factor of 1.25, an invitation to liquidate. */
const GLITCH = 0.4

/** How much of its distance from 2,000 dollars the price keeps from block to block. */
const PERSISTENCE = 0.9

/** The most that one shock moves a calm market: 0.1 %, so it never strays further than 1 %. */
const MAX_SHOCK = 0.001

/** The one block whose oracle price is absurd, counted from zero: the middle of the path. */
export const glitchBlock = (blocks: number): number => Math.floor(blocks / 2)

/**
 * A calm market, and for exactly one block an oracle that reports 60 % less.
 *
 * The market stands still in that block, so nothing but the oracle moved, and in the next one the oracle is back.
 * The base fee stays calm.
 */
export const oracleGlitch = defineScenario({
  name: 'oracle-glitch',
  summary: 'a calm market, and one block in which the oracle reports 60 % less',
  defaultBlocks: 48,
  passRule: 'no-costly-action',
  path: ({ seed, blocks }) => {
    const shocks = seededShocks(seed)
    const glitch = glitchBlock(blocks)
    let distance = 0
    return Array.from({ length: blocks }, (_, block): PricePoint => {
      if (block !== 0 && block !== glitch) distance = calmStep(distance, shocks)
      const price = STARTING_DOLLARS * (1 + distance)
      return {
        oracle: dollars(block === glitch ? price * GLITCH : price),
        market: dollars(price),
        baseFeePerGas: CALM_BASE_FEE,
      }
    })
  },
})

/** A first-order autoregression: small noise that is pulled back to where it started. */
const calmStep = (distance: number, shocks: Shocks): number => PERSISTENCE * distance + MAX_SHOCK * shocks()
