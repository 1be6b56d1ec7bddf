import type { Address } from 'viem'
import { contractRead, mapRead, type Read } from '../read.ts'
import { chainlinkReadsAbi } from './abi.ts'

/** The last answer of a feed, as it stands. `answer` has the feed's own decimals and may be nonsense. */
export type LatestRound = {
  readonly roundId: bigint
  readonly answer: bigint
  /** Unix seconds. */
  readonly updatedAt: bigint
}

export const latestRound = (feed: Address): Read<LatestRound> =>
  mapRead(
    contractRead(`Chainlink feed ${feed}`, feed, chainlinkReadsAbi, 'latestRoundData', []),
    ([roundId, answer, , updatedAt]) => ({ roundId, answer, updatedAt }),
  )

/** How many decimals the answers of a feed have. */
export const feedDecimals = (feed: Address): Read<number> =>
  contractRead(`decimals of Chainlink feed ${feed}`, feed, chainlinkReadsAbi, 'decimals', [])
