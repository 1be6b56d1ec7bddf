import type { Attestations } from './attestations.ts'
import { type Candidate, listCandidates } from './catalogue.ts'
import type { ConfirmedDirectory } from './fetchDirectory.ts'
import type { MeasurementKeeper } from './keepMeasurements.ts'
import type { NetworkState } from './networkState.ts'
import type { NetworkOptions } from './options.ts'

/** How many attested nodes a request has to choose from before no more are verified for it. */
const enoughForRequest = 8

/** The candidates of a directory, put together again only when something that they depend on has changed. */
export function createCatalogue(parameters: {
  readonly attestations: Attestations
  readonly measurements: MeasurementKeeper
  readonly liars: ReadonlySet<string>
  readonly now: () => number
  readonly operators: NetworkOptions['pinnedOperators']
}): NetworkState['candidates'] {
  const { attestations, measurements, liars, now, operators } = parameters
  let last: { readonly of: readonly unknown[]; readonly candidates: readonly Candidate[] } | undefined

  function list({ nodes }: ConfirmedDirectory): readonly Candidate[] {
    const measured = measurements.latest()
    // Descriptions and attestations end at whole seconds.
    const of = [nodes, measured, liars.size, attestations.version(), Math.floor(now() / 1000)]
    if (last === undefined || of.some((each, at) => each !== last?.of[at]))
      last = {
        of,
        candidates: listCandidates({
          nodes,
          attestations: attestations.stateOf,
          measurements: measured,
          operators,
          liars,
          now: now(),
        }),
      }
    return last.candidates
  }

  return async (directory, wanted) => {
    const candidates = list(directory)
    const unchecked = candidates.filter(
      (each) => each.attestation === 'unchecked' && (each.refused === null || each.refused === 'attestation'),
    )
    // Where a model does not claim to be attested, its node's quote changes nothing for a request.
    const isWanted = (each: Candidate) =>
      wanted === undefined || (each.offered.privacy === 'attested' && wanted(each))
    const nodes = new Set(unchecked.filter(isWanted).map(({ at }) => at))
    if (nodes.size === 0) return candidates
    const good = candidates.filter((each) => each.privacy === 'attested' && isWanted(each)).length
    const enough = wanted === undefined ? Number.POSITIVE_INFINITY : enoughForRequest - good
    await attestations.verify([...nodes], { epoch: directory.directory.epoch, enough })
    return list(directory)
  }
}
