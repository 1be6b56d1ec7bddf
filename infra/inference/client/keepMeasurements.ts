import { type Measurements, measurementsSchema } from '../protocol/network/directory.ts'
import { gatewayResources } from '../protocol/network/routes.ts'
import { type GatewayLink, gatewayRequest } from './gatewayLink.ts'
import { refuse } from './refusals.ts'
import { parseJson } from './respond.ts'

/** How long measurements are good enough, in milliseconds. */
const freshness = 60_000

/** What the gateway measured of its nodes, fetched now and then beside the requests. */
export type MeasurementKeeper = {
  latest(): Measurements | undefined
  /** Fetches them when they are old. Undefined when there is nothing to do. */
  refresh(): Promise<void> | undefined
}

/**
 * Measurements are fetched sealed, like everything else: no relay reads or changes them. A gateway could still tell each
 * asker others, to steer what that one asks next; it does not know who asks, and nothing here would notice.
 */
export function keepMeasurements(link: GatewayLink, now: () => number): MeasurementKeeper {
  let latest: Measurements | undefined
  let askedAt = Number.NEGATIVE_INFINITY

  async function fetchThem(): Promise<void> {
    const { status, content } = await link.ask(gatewayRequest(gatewayResources.measurements))
    const parsed = measurementsSchema.safeParse(parseJson(content))
    if (status !== 200 || !parsed.success) throw refuse('gateway_refused', { limit: { status } })
    latest = parsed.data
  }
  return {
    latest: () => latest,
    refresh() {
      if (now() - askedAt < freshness) return undefined
      askedAt = now()
      return fetchThem()
    },
  }
}
