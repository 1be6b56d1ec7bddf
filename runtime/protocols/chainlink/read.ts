import type { Address } from 'viem'
import { contractRead, mapRead, optionalRead, type Read } from '../read.ts'
import { chainlinkReadsAbi } from './abi.ts'

/** An answer of a feed, as it stands: with the feed's own decimals, and maybe nonsense. */
export type Round = {
  readonly roundId: bigint
  readonly answer: bigint
  /** Unix seconds. */
  readonly updatedAt: bigint
}

export const latestRound = (feed: Address): Read<Round> =>
  mapRead(
    contractRead(`Chainlink feed ${feed}`, feed, chainlinkReadsAbi, 'latestRoundData', []),
    ([roundId, answer, , updatedAt]) => ({ roundId, answer, updatedAt }),
  )

/** How many decimals the answers of a feed have. */
export const feedDecimals = (feed: Address): Read<number> =>
  contractRead(`decimals of Chainlink feed ${feed}`, feed, chainlinkReadsAbi, 'decimals', [])

/** One round of a feed by its id; null where there is none, or none that was ever answered. */
export const roundData = (feed: Address, roundId: bigint): Read<Round | null> =>
  mapRead(
    optionalRead(
      contractRead(`round ${roundId} of Chainlink feed ${feed}`, feed, chainlinkReadsAbi, 'getRoundData', [
        roundId,
      ]),
    ),
    (round) => (round === null ? null : { roundId: round[0], answer: round[1], updatedAt: round[3] }),
  )
