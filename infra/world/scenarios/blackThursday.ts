import { baseFeeFollowing } from './baseFee.ts'
import { bridgedPath, seededShocks } from './randomWalk.ts'
import { defineScenario, dollars, STARTING_DOLLARS } from './scenario.ts'

/**
 * Hourly ETH/USD of 12 and 13 March 2020 (UTC), each price the close of the hour before it, with the blocks
 * that the way to it takes at the default length.
 *
 * The clock runs by activity, not by the hour: the hour after 10:00 fell by 22 % and no lending position can be
 * protected from that in one block, so a leg gets blocks for how far it goes. Quiet hours pass quickly.
 */
const WAYPOINTS = [
  { at: '2020-03-12T06:00Z', price: 182.06, blocks: 8 },
  { at: '2020-03-12T10:00Z', price: 168.24, blocks: 8 },
  { at: '2020-03-12T11:00Z', price: 131.74, blocks: 13 },
  { at: '2020-03-12T18:00Z', price: 142.02, blocks: 8 },
  { at: '2020-03-12T23:00Z', price: 127.42, blocks: 8 },
  { at: '2020-03-13T00:00Z', price: 106.71, blocks: 9 },
  { at: '2020-03-13T02:00Z', price: 95.73, blocks: 8 },
  { at: '2020-03-13T04:00Z', price: 124.62, blocks: 12 },
  { at: '2020-03-13T05:00Z', price: 109.23, blocks: 7 },
  { at: '2020-03-13T08:00Z', price: 127.2, blocks: 8 },
  { at: '2020-03-13T11:00Z', price: 131.16, blocks: 6 },
] as const

/** The open of 12 March 2020, which becomes the world's starting price. */
const OPEN = 194.77

const DEFAULT_BLOCKS = 96

/** The world's price for one of that day. */
const scaled = (price: number): number => (price * STARTING_DOLLARS) / OPEN

/** Where the path has to pass, in dollars of the world, in order and without the start. */
export const blackThursdayWaypoints: readonly number[] = WAYPOINTS.map(({ price }) => scaled(price))

/**
 * ETH halves within a day and recovers a third of it, on the waypoints of 12 and 13 March 2020.
 *
 * From the default length upwards no block moves by more than 4 %; with fewer blocks each one moves further.
 * The base fee follows the speed of the fall, see {@link baseFeeFollowing}. Oracle and market agree throughout.
 */
export const blackThursday = defineScenario({
  name: 'black-thursday',
  summary: 'ETH halves within a day and partly recovers, as on 12 and 13 March 2020',
  defaultBlocks: DEFAULT_BLOCKS,
  passRule: 'guarded-survives',
  path: ({ seed, blocks }) => {
    const baseFee = baseFeeFollowing((blocks - 1) / (DEFAULT_BLOCKS - 1))
    return bridgedPath({
      from: STARTING_DOLLARS,
      legs: WAYPOINTS.map(({ price, blocks: steps }) => ({ to: scaled(price), steps })),
      steps: blocks - 1,
      maxMove: 0.04,
      maxShock: 0.012,
      shocks: seededShocks(seed),
    }).map((price) => {
      const level = dollars(price)
      return { oracle: level, market: level, baseFeePerGas: baseFee(level) }
    })
  },
})
