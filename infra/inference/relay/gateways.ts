import { Agent as HttpAgent, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { Socket } from 'node:net'
import { nameSchema } from '../protocol/network/nodeDescription.ts'
import { routes } from '../protocol/network/routes.ts'
import { GatewayConnectError, RelayGatewaysError } from './errors.ts'

/** Where a gateway is, and the connections to it that are kept. */
export type Gateway = {
  readonly name: string
  readonly directory: URL
  readonly agent: HttpAgent
  readonly request: typeof requestHttp
  /** What does not change from request to request. */
  readonly target: {
    readonly agent: HttpAgent
    readonly host: string
    readonly port: string
    readonly path: string
    readonly method: 'POST'
    readonly setHost: false
  }
  /** The value of the `host` field. */
  readonly authority: string
}

/**
 * Reads the configured gateways. Nothing else is ever connected to.
 *
 * @param gateways base URLs by name
 * @param connect milliseconds for a connection
 * @throws {RelayGatewaysError}
 */
export const readGateways = (
  gateways: Readonly<Record<string, string>>,
  connect: number,
): readonly Gateway[] => Object.entries(gateways).map(([name, url]) => readGateway(name, url, connect))

function readGateway(name: string, text: string, connect: number): Gateway {
  if (!nameSchema.safeParse(name).success)
    throw new RelayGatewaysError(name, 'has a name that cannot be used')
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new RelayGatewaysError(name, 'has no http or https URL')
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new RelayGatewaysError(name, 'has more in its URL than scheme, host, port and path')
  const base = url.pathname.replace(/\/+$/, '')
  const secure = url.protocol === 'https:'
  const agent = secure ? new HttpsAgent(keptAlive) : new HttpAgent(keptAlive)
  limitConnecting(agent, secure ? 'secureConnect' : 'connect', connect)
  return {
    name,
    directory: new URL(`${base}${routes.gateway.directory}`, url),
    agent,
    request: secure ? requestHttps : requestHttp,
    target: {
      agent,
      // An IPv6 address stands in brackets in a URL and without them before the resolver.
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port === '' ? (secure ? '443' : '80') : url.port,
      path: `${base}${routes.gateway.ohttp}`,
      method: 'POST',
      setHost: false,
    },
    authority: url.host,
  }
}

/**
 * A connection that is idle for 20 seconds is closed, well before a gateway does it: the fewer requests go out on a
 * connection that is about to end.
 */
const keptAlive = { keepAlive: true, noDelay: true, timeout: 20_000, maxFreeSockets: 256 } as const

/** Gives up connections that do not come about, once for each connection and not for each request. */
function limitConnecting(agent: HttpAgent, done: 'connect' | 'secureConnect', milliseconds: number): void {
  const open = agent.createConnection.bind(agent)
  agent.createConnection = (...parameters) => {
    const socket = open(...parameters) as Socket | undefined
    if (socket === undefined) return socket
    const timer = setTimeout(() => socket.destroy(new GatewayConnectError()), milliseconds)
    return socket.once(done, () => clearTimeout(timer)).once('close', () => clearTimeout(timer))
  }
}
