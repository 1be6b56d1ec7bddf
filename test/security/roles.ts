import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NetworkConfig } from '../../infra/config/loadNetwork.ts'
import { REFERENCE_ANALYST } from '../../infra/inference/analyst/reply.ts'
import { startReferenceAnalyst } from '../../infra/inference/analyst/server.ts'
import { openIdentity } from '../../infra/inference/protocol/network/openIdentity.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { quietPort } from './quietPort.ts'
import { type Role, startRole } from './roleProcess.ts'
import { completion, type ScriptedUpstream, sendJson, startUpstream } from './upstream.ts'

export const GATEWAY = 'gate'
export const MINT = 'mint'
/** What the nodes in front of the scripted upstream serve. */
export const MODEL = 'scripted-1'
/** In payment tokens for a million of the model's own: a completion of 1,000 costs one. */
export const PRICE = { prompt: 250, completion: 1_000 } as const
/** Tokens that the faucet gives an account. */
export const FAUCET = 100_000

export type RolesOptions = {
  /** Nodes in front of the scripted upstream: `node-a`, `node-b` and so on. One by default. */
  readonly scripted?: number
  /** One more node, `analyst`, in front of the reference analyst. */
  readonly analyst?: boolean
  /** A proxy too, with these of its variables. */
  readonly proxy?: Readonly<Record<string, string>>
  /** The key that the nodes show to the upstream. */
  readonly upstreamKey?: string
  /** PostgreSQL and Redis for the gateway. */
  readonly shared?: { readonly database: string; readonly redis: string }
}

/** A whole network, each role in a process of its own. */
export type Roles = {
  readonly folder: string
  readonly relay: Role
  readonly gateway: Role
  readonly mint: Role
  /** In front of the scripted upstream first. */
  readonly nodes: readonly Role[]
  readonly proxy: Role | undefined
  readonly all: readonly Role[]
  readonly upstream: ScriptedUpstream
  /** As a client knows it. */
  readonly network: NetworkConfig
  /** Kills every process by its id, and removes the folder. */
  close(): Promise<void>
}

/** What the upstream says unless it is told otherwise. */
export const sayFine: ScriptedUpstream['answer'] = (asked, response) =>
  sendJson(response, 200, completion(modelIn(asked.body), { content: 'Fine.' }))

const modelIn = (body: Buffer): string => (JSON.parse(body.toString()) as { model: string }).model

/**
 * Starts relay, gateway, mint, nodes and, where it is asked for, a proxy, as their operators would: by the command
 * line, each with a folder, home, folder for what is temporary and streams of its own, at log level `debug`.
 */
export async function startRoles(options: RolesOptions = {}): Promise<Roles> {
  const folder = await mkdtemp(join(tmpdir(), 'rialto-roles-'))
  const running: Role[] = []
  const upstream = await startUpstream(sayFine)
  const analyst = options.analyst === true ? await startReferenceAnalyst() : undefined
  const close = async () => {
    await Promise.all(running.map((role) => role.kill()))
    await Promise.all([upstream.close(), analyst?.close()])
    await rm(folder, { recursive: true, force: true })
  }

  const start = async (
    name: string,
    argv: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Role> => {
    const role = await startRole({ name, folder: join(folder, name), argv, env })
    running.push(role)
    return role
  }
  const stateOf = (name: string) => join(folder, name, 'state')

  try {
    const [relayPort, gatewayPort, mintPort] = [await quietPort(), await quietPort(), await quietPort()]
    const gatewayKey = await openIdentity(join(stateOf('gateway'), 'identity'))
    const gatewayUrl = `http://127.0.0.1:${gatewayPort}`
    const common = (port: number) => ['--port', String(port), '--log', 'debug']
    const node = async (name: string, url: string, model: string, serves: readonly string[]) => {
      const port = await quietPort()
      await openIdentity(join(stateOf(name), 'identity'))
      return start(
        name,
        [
          ...['node', ...common(port), '--state', stateOf(name), '--name', name],
          ...['--operator', `${name}-operator`, '--gateway', gatewayKey.identity.text],
          ...['--upstream', url, '--model', model, '--serves', ...serves],
          ...['--price-prompt', String(PRICE.prompt), '--price-completion', String(PRICE.completion)],
        ],
        options.upstreamKey === undefined ? {} : { RIALTO_UPSTREAM_KEY: options.upstreamKey },
      )
    }
    const names = ['node-a', 'node-b', 'node-c'].slice(0, options.scripted ?? 1)
    const [relay, mint, ...nodes] = await Promise.all([
      start('relay', ['relay', ...common(relayPort), '--gateway', `${GATEWAY}=${gatewayUrl}`]),
      start('mint', [
        ...['mint', ...common(mintPort), '--state', stateOf('mint'), '--name', MINT],
        ...['--faucet', String(FAUCET)],
        ...['--witness', `${GATEWAY}=${gatewayUrl}#${gatewayKey.identity.text}`],
      ]),
      ...names.map((name) => node(name, upstream.url, MODEL, ['chat', 'embeddings'])),
      ...(analyst === undefined ? [] : [node('analyst', analyst.url, REFERENCE_ANALYST, ['chat'])]),
    ])
    if (relay === undefined || mint === undefined) throw new InvariantError('Two roles were started.')
    const nodeArguments = await Promise.all(
      nodes.map(async ({ name, url }) => {
        const { identity } = await openIdentity(join(stateOf(name), 'identity'))
        return ['--node', `${url}#${identity.text}`]
      }),
    )
    const gateway = await start('gateway', [
      ...['gateway', ...common(gatewayPort), '--state', stateOf('gateway'), '--name', GATEWAY],
      ...['--mint', `${MINT}=${mint.url}`, ...nodeArguments.flat()],
      ...(options.shared === undefined
        ? []
        : ['--database', options.shared.database, '--redis', options.shared.redis]),
    ])
    const network: NetworkConfig = {
      relays: [relay.url],
      gateway: { name: GATEWAY, identity: gatewayKey.identity.text, witnesses: [mint.url] },
      mint: { name: MINT, url: mint.url },
    }
    const file = join(folder, 'network.json')
    await writeFile(file, JSON.stringify(network))
    const proxy =
      options.proxy === undefined
        ? undefined
        : await start('proxy', ['proxy', ...common(await quietPort()), '--network', file], options.proxy)
    return { folder, relay, gateway, mint, nodes, proxy, all: running, upstream, network, close }
  } catch (error) {
    await close()
    throw error
  }
}
