import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vi } from 'vitest'
import { listen } from '../../infra/http/listen.ts'
import { readBody } from '../../infra/http/readBody.ts'
import { startGateway } from '../../infra/inference/gateway/startGateway.ts'
import { startMint } from '../../infra/inference/mint/startMint.ts'
import { startNode } from '../../infra/inference/node/startNode.ts'
import { openSpendStores } from '../../infra/inference/openSpendStores.ts'
import { nodeHpke } from '../../infra/inference/protocol/hpke/nodeHpke.ts'
import type { HpkePrivateKey } from '../../infra/inference/protocol/hpke/suite.ts'
import { generateIdentity } from '../../infra/inference/protocol/network/identity.ts'
import { startRelay } from '../../infra/inference/relay/startRelay.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { Logger } from '../../runtime/core/ports.ts'
import { type Connection, startTap, type Tap } from './tap.ts'
import { type Pace, startScriptedModel } from './upstream.ts'

/** Who may look. `chain` is the RPC provider of the clients, who sees the public chain too. */
export const roles = ['relay', 'gateway', 'node', 'mint', 'upstream', 'witness', 'chain'] as const
export type Role = (typeof roles)[number]

/** The two models of the network: one is run by a node, the other by a provider behind a node. */
export const models = { private: 'canary-model-private', anonymized: 'canary-model-anonymized' } as const
export const nodeOf = { private: 'canary-node-a', anonymized: 'canary-node-b' } as const
/** What a node shows its upstream: by that an upstream knows which node asks. */
export const upstreamKeyOf = { private: 'upstream-key-a', anonymized: 'upstream-key-b' } as const
/** In payment tokens for a million of the model's own: an answer costs from one token to sixteen. */
export const price = { prompt: 10_000, completion: 100_000 }
export const gatewayName = 'gate'
export const mintName = 'mint'
const witnessName = 'witness'

/** Which links a role is at an end of. The upstream is the provider behind the node that anonymizes. */
const linksOf: Readonly<Record<Role, readonly string[]>> = {
  relay: ['client-relay', 'relay-gateway'],
  gateway: [
    'relay-gateway',
    'gateway-node-private',
    'gateway-node-anonymized',
    'gateway-mint',
    'mint-gateway',
    'witness-gateway',
  ],
  node: [
    'gateway-node-private',
    'gateway-node-anonymized',
    'node-upstream-private',
    'node-upstream-anonymized',
  ],
  mint: ['client-mint', 'gateway-mint', 'mint-gateway'],
  upstream: ['node-upstream-anonymized'],
  witness: ['client-witness', 'witness-gateway'],
  chain: ['client-chain'],
}
const links = [...new Set(Object.values(linksOf).flat())]

/** Everything that a role has, as it was recorded. */
export type Recording = {
  readonly role: Role
  readonly connections: readonly Connection[]
  /** Contents of its files, by their paths within its folder. */
  readonly files: ReadonlyMap<string, Buffer>
  /** What it logged, and what it says in `/metrics`. */
  readonly logs: readonly string[]
  /** Its HPKE keys. Those for tokens are in its files. */
  readonly keys: readonly HpkePrivateKey[]
}

/**
 * Starts all roles as `startLoopbackNetwork` does, with a tap on every connection between two of them, a mint that is
 * not the witness, a provider behind one of the nodes, and an RPC for the clients' transactions.
 */
export async function startTappedNetwork(options: { readonly paceOf?: (prompt: string) => Pace } = {}) {
  const { paceOf = () => ({ pieces: 3, pause: 0 }) } = options
  const folder = await mkdtemp(join(tmpdir(), 'rialto-threats-'))
  const closes: (() => Promise<void>)[] = []
  const keep = <Part extends { close(): Promise<void> }>(part: Part): Part => {
    closes.push(() => part.close())
    return part
  }
  const taps = new Map<string, Tap>()
  for (const link of links) taps.set(link, keep(await startTap(link)))
  const tap = (link: string): Tap => {
    const found = taps.get(link)
    if (found === undefined) throw new InvariantError('There is no tap on that link.', { link })
    return found
  }
  const logs = new Map<Role, string[]>(roles.map((role) => [role, []]))
  const loggerOf = (role: Role): Logger => {
    const write = (fields: object, message: string) => {
      logs.get(role)?.push(JSON.stringify({ ...fields, message }))
    }
    return { debug: write, info: write, warn: write, error: write }
  }
  // Keys that never leave a role's memory are taken as they are made.
  const made: HpkePrivateKey[] = []
  const original = nodeHpke.generateKeyPair.bind(nodeHpke)
  const spy = vi.spyOn(nodeHpke, 'generateKeyPair').mockImplementation(async () => {
    const key = await original()
    made.push(key)
    return key
  })
  const urls = new Map<Role, string[]>()

  const gatewayKey = generateIdentity()
  const nodes = []
  for (const kind of ['private', 'anonymized'] as const) {
    const upstream = keep(await startScriptedModel(paceOf))
    tap(`node-upstream-${kind}`).aim(upstream.url)
    const identity = generateIdentity()
    const node = keep(
      await startNode({
        name: nodeOf[kind],
        operator: `operator-${kind}`,
        identity,
        gateways: [gatewayKey.identity],
        upstream: { url: `${tap(`node-upstream-${kind}`).url}/v1`, key: upstreamKeyOf[kind] },
        models: [{ id: models[kind], privacy: kind, context: 8_192, price, serves: ['chat'] }],
        logger: loggerOf('node'),
      }),
    )
    urls.set('node', [...(urls.get('node') ?? []), node.url])
    tap(`gateway-node-${kind}`).aim(node.url)
    nodes.push({ url: tap(`gateway-node-${kind}`).url, identity: identity.identity })
  }
  const nodeKeys = made.splice(0)

  const witnessed = (link: string) => ({
    witness: { [gatewayName]: { url: tap(link).url, identity: gatewayKey.identity } },
  })
  const mint = keep(
    await startMint({
      state: join(folder, 'mint'),
      name: mintName,
      faucet: 10_000,
      logger: loggerOf('mint'),
      ...witnessed('mint-gateway'),
    }),
  )
  const witness = keep(
    await startMint({
      state: join(folder, 'witness'),
      name: witnessName,
      logger: loggerOf('witness'),
      ...witnessed('witness-gateway'),
    }),
  )
  for (const link of ['client-mint', 'gateway-mint']) tap(link).aim(mint.url)
  tap('client-witness').aim(witness.url)

  const stores = keep(await openSpendStores({ directory: join(folder, 'gateway'), identity: gatewayKey }))
  const gateway = keep(
    await startGateway({
      state: join(folder, 'gateway'),
      name: gatewayName,
      identity: gatewayKey,
      mints: [{ name: mintName, url: tap('gateway-mint').url }],
      nodes,
      logger: loggerOf('gateway'),
      ...stores.parts,
    }),
  )
  const gatewayKeys = made.splice(0)
  spy.mockRestore()
  for (const link of ['relay-gateway', 'mint-gateway', 'witness-gateway']) tap(link).aim(gateway.url)
  const relay = keep(
    await startRelay({ gateways: { [gatewayName]: tap('relay-gateway').url }, logger: loggerOf('relay') }),
  )
  tap('client-relay').aim(relay.url)

  const chain = keep(
    await listen(
      (request, response) => {
        readBody(request, { most: 100_000 })
          .then((body) => {
            const { id } = JSON.parse(body.toString('utf8')) as { id: number }
            response.setHeader('content-type', 'application/json')
            response.end(JSON.stringify({ jsonrpc: '2.0', id, result: '0x' }))
          })
          .catch(() => response.destroy())
      },
      { what: 'scripted RPC' },
    ),
  )
  tap('client-chain').aim(chain.url)
  for (const [role, url] of [
    ['relay', relay.url],
    ['gateway', gateway.url],
    ['mint', mint.url],
    ['witness', witness.url],
  ] as const)
    urls.set(role, [url])

  return {
    folder,
    /** As clients are told. */
    known: {
      relay: tap('client-relay').url,
      gateway: {
        name: gatewayName,
        identity: gatewayKey.identity.text,
        witnesses: [tap('client-witness').url],
      },
      mint: { url: tap('client-mint').url, name: mintName },
      chain: tap('client-chain').url,
    },
    connections: (link: string) => tap(link).connections,
    /** What each role has seen until now. */
    async record(): Promise<ReadonlyMap<Role, Recording>> {
      const recordings = new Map<Role, Recording>()
      for (const role of roles) {
        const metrics = await Promise.all(
          (urls.get(role) ?? []).map(async (url) => (await fetch(`${url}/metrics`)).text()),
        )
        recordings.set(role, {
          role,
          connections: linksOf[role].flatMap((link) => [...tap(link).connections]),
          files: await readFolder(join(folder, role)),
          logs: [...(logs.get(role) ?? []), ...metrics],
          keys: role === 'gateway' ? gatewayKeys : role === 'node' ? nodeKeys : [],
        })
      }
      return recordings
    },
    async close(): Promise<void> {
      for (const close of closes.splice(0).reverse()) await close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export type TappedNetwork = Awaited<ReturnType<typeof startTappedNetwork>>

async function readFolder(folder: string): Promise<ReadonlyMap<string, Buffer>> {
  const files = new Map<string, Buffer>()
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  for (const entry of entries)
    if (entry.isFile()) {
      const path = join(entry.parentPath, entry.name)
      files.set(path.slice(folder.length + 1), await readFile(path))
    }
  return files
}
