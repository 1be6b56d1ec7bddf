import { join } from 'node:path'
import type { openSpendStores as OpenSpendStores } from '../../../infra/inference/openSpendStores.ts'
import { built } from './built.ts'
import { CONTEXT, models, names } from './names.ts'
import type { Part } from './part.ts'

/* The roles as they ship, each to be started in a process of its own. Identities are seeds of 32 bytes. */

const inference = 'infra/inference'
const identities = () =>
  built<typeof import('../../../infra/inference/protocol/network/identity.ts')>(
    `${inference}/protocol/network/identity`,
  )

export async function relay(options: {
  readonly gateway: string
  /** Milliseconds for which a reader may take nothing. */
  readonly readerStall?: number
}): Promise<Part> {
  const { startRelay } = await built<typeof import('../../../infra/inference/relay/startRelay.ts')>(
    `${inference}/relay/startRelay`,
  )
  const { gateway, readerStall } = options
  return startRelay({
    gateways: { [names.gateway]: gateway },
    ...(readerStall === undefined ? {} : { limits: { readerStall } }),
  })
}

export async function gateway(options: {
  readonly folder: string
  readonly identity: Uint8Array
  readonly mint: string
  readonly node: { readonly url: string; readonly identity: string }
  readonly port?: number
  /** Bytes of answers that are kept to be delivered again. */
  readonly kept?: number
}): Promise<Part> {
  const { folder, mint, node, port, kept } = options
  const [{ importIdentityKey, readIdentity }, { startGateway }, { openSpendStores }] = await Promise.all([
    identities(),
    built<typeof import('../../../infra/inference/gateway/startGateway.ts')>(
      `${inference}/gateway/startGateway`,
    ),
    built<{ openSpendStores: typeof OpenSpendStores }>(`${inference}/openSpendStores`),
  ])
  const identity = importIdentityKey(options.identity)
  const stores = await openSpendStores({ directory: folder, identity })
  const { url, close } = await startGateway({
    state: join(folder, 'state'),
    name: names.gateway,
    identity,
    mints: [{ name: names.mint, url: mint }],
    nodes: [{ url: node.url, identity: readIdentity(node.identity) }],
    ...stores.parts,
    ...(port === undefined ? {} : { port }),
    ...(kept === undefined ? {} : { limits: { kept } }),
  })
  return {
    url,
    async close() {
      await close()
      await stores.close()
    },
  }
}

export async function node(options: {
  readonly identity: Uint8Array
  readonly gateway: string
  readonly upstream: string
}): Promise<Part> {
  const [{ importIdentityKey, readIdentity }, { startNode }] = await Promise.all([
    identities(),
    built<typeof import('../../../infra/inference/node/startNode.ts')>(`${inference}/node/startNode`),
  ])
  return startNode({
    name: names.node,
    operator: names.operator,
    identity: importIdentityKey(options.identity),
    gateways: [readIdentity(options.gateway)],
    upstream: { url: options.upstream },
    models: Object.values(models).map((model) => ({
      ...model,
      privacy: 'private',
      context: CONTEXT,
      serves: ['chat'],
    })),
  })
}

export async function mint(options: {
  readonly folder: string
  readonly gateway: { readonly url: string; readonly identity: string }
}): Promise<Part> {
  const [{ readIdentity }, { startMint }] = await Promise.all([
    identities(),
    built<typeof import('../../../infra/inference/mint/startMint.ts')>(`${inference}/mint/startMint`),
  ])
  const { url, identity } = options.gateway
  return startMint({
    state: options.folder,
    name: names.mint,
    faucet: 1_000_000,
    witness: { [names.gateway]: { url, identity: readIdentity(identity) } },
  })
}
