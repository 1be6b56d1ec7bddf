import { get } from '../../http/get.ts'
import { mediaTypes } from '../protocol/network/routes.ts'
import type { Gateway } from './gateways.ts'
import type { RelayLimits } from './limits.ts'

/** What a relay hands out as a gateway's directory. */
export type HeldDirectory = () => Promise<Uint8Array | 'gateway_unreachable' | 'gateway_timeout'>

/**
 * A gateway's directory, the same bytes for all who ask within a few seconds, with one request to the gateway however
 * many ask. What is held too long is never handed out: a relay that may answer with old directories could choose
 * whom to give which.
 *
 * The bytes are not looked into. Clients check the signature, and compare with a second source.
 */
export function holdDirectory(gateway: Gateway, limits: RelayLimits): HeldDirectory {
  let held: { readonly body: Uint8Array; readonly until: number } | undefined
  let fetching: ReturnType<HeldDirectory> | undefined
  const fetchIt: HeldDirectory = async () => {
    try {
      const { status, mediaType, body } = await get(gateway.directory, {
        agent: gateway.agent,
        most: limits.directoryLength,
        within: limits.directory,
      })
      if (status !== 200 || mediaType !== mediaTypes.directory) return 'gateway_unreachable'
      held = { body, until: performance.now() + limits.directoryHold }
      return body
    } catch (error) {
      return (error as { fault?: unknown }).fault === 'timeout' ? 'gateway_timeout' : 'gateway_unreachable'
    } finally {
      fetching = undefined
    }
  }
  return () => {
    if (held !== undefined && performance.now() < held.until) return Promise.resolve(held.body)
    fetching ??= fetchIt()
    return fetching
  }
}
