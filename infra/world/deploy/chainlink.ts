import { type Address, zeroAddress } from 'viem'
import { addressOf } from '../accounts.ts'
import { readArtifact } from './artifact.ts'
import type { WorldBuilder } from './builder.ts'

export type WorldFeed = {
  /** What takes the oracle's submissions (FluxAggregator). */
  readonly aggregator: Address
  /** What consumers read (EACAggregatorProxy). */
  readonly feed: Address
}

const MIN_PRICE = 1n
const MAX_PRICE = 10n ** 18n
const DECIMALS = 8

const fluxAggregatorArtifact = () => readArtifact('chainlink-contracts-v0.1', 'abi/v0.6/FluxAggregator.json')
const proxyArtifact = () => readArtifact('chainlink-contracts-v0.1', 'abi/v0.6/EACAggregatorProxy.json')

/**
 * Queues a price feed: Chainlink's FluxAggregator with a single oracle, whose submission is the answer at once,
 * behind the proxy that consumers read. It has no answer before {@link submitFirstPrice}.
 *
 */
export function deployFeed(builder: WorldBuilder, description: string): WorldFeed {
  const deployer = addressOf('deployer')
  const oracle = addressOf('oracle')
  const flux = fluxAggregatorArtifact()
  // No LINK is paid (zero address, zero amount), and no previous aggregator validates.
  const aggregator = builder.deploy(deployer, flux, [
    ...[zeroAddress, 0n, 0, zeroAddress],
    ...[MIN_PRICE, MAX_PRICE, DECIMALS, description],
  ])
  const target = { address: aggregator, abi: flux.abi }
  builder.call(deployer, target, 'changeOracles', [[], [oracle], [oracle], 1, 1, 0])
  // The proxy reads the aggregator's phase in its constructor; a first round is not needed for that.
  const feed = builder.deploy(deployer, proxyArtifact(), [aggregator, zeroAddress])
  return { aggregator, feed }
}

/** Queues the first round of a feed; to be mined after the block that makes the feed. */
export function submitFirstPrice(builder: WorldBuilder, feed: WorldFeed, price: bigint): void {
  builder.call(
    addressOf('oracle'),
    { address: feed.aggregator, abi: fluxAggregatorArtifact().abi },
    'submit',
    [1n, price],
  )
}
