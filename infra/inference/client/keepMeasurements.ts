import { type Measurements, measurementsSchema } from '../protocol/network/directory.ts'
import { gatewayResources } from '../protocol/network/routes.ts'
import { type GatewayLink, gatewayRequest } from './gatewayLink.ts'
import type { NetworkOptions } from './options.ts'
import { refuse } from './refusals.ts'
import { parseJson } from './respond.ts'

/**
 * Milliseconds between two looks, drawn evenly: a look at a fixed time after the start would tell the gateway that a
 * client has begun. Nobody waits for one: without measurements all nodes are as good.
 */
const defaultLooks = { least: 60_000, most: 300_000 }

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
export function keepMeasurements(
  link: GatewayLink,
  now: () => number,
  random: () => number,
  looks: NonNullable<NetworkOptions['looks']> = defaultLooks,
): MeasurementKeeper {
  let latest: Measurements | undefined
  const later = (): number => now() + looks.least + random() * (looks.most - looks.least)
  let next = looks.first === undefined ? later() : now() + looks.first

  async function fetchThem(): Promise<void> {
    const { status, content } = await link.ask(gatewayRequest(gatewayResources.measurements))
    const parsed = measurementsSchema.safeParse(parseJson(content))
    if (status !== 200 || !parsed.success) throw refuse('gateway_refused', { limit: { status } })
    latest = parsed.data
  }
  return {
    latest: () => latest,
    refresh() {
      if (now() < next) return undefined
      next = later()
      return fetchThem()
    },
  }
}
