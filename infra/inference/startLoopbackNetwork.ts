import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from '../../runtime/core/ports.ts'
import type { NetworkConfig } from '../config/loadNetwork.ts'
import { freePort } from '../http/freePort.ts'
import { REFERENCE_ANALYST } from './analyst/reply.ts'
import { startReferenceAnalyst } from './analyst/server.ts'
import { startGateway } from './gateway/startGateway.ts'
import { startMint } from './mint/startMint.ts'
import { startNode } from './node/startNode.ts'
import { openSpendStores } from './openSpendStores.ts'
import { openIdentity } from './protocol/network/openIdentity.ts'
import { startRelay } from './relay/startRelay.ts'

/** Said wherever the loopback network is used: it shows how things work, and hides nobody. */
export const LOOPBACK_CAVEAT = 'one operator plays every role here: no anonymity'

/** A network whose roles all run in this process. */
export type LoopbackNetwork = {
  /** As a client of it needs to know it. */
  readonly network: NetworkConfig
  /** What its nodes serve. */
  readonly model: string
  /** Where each role listens. */
  readonly urls: Readonly<Record<'relay' | 'gateway' | 'mint' | 'analyst', string>> & {
    readonly nodes: readonly string[]
  }
  close(): Promise<void>
}

const GATEWAY = 'loopback'
const MINT = 'faucet'
/** What a new account is given. At one or two tokens a decision this is months of a busy agent. */
const FAUCET = 100_000
/** In payment tokens for a million of the analyst's own: a decision costs one. */
const PRICE = { prompt: 250, completion: 1_000 }
const CONTEXT = 32_768

/**
 * Starts relay, gateway, mint and two nodes on loopback, in front of the reference analyst: the private network at
 * its smallest, with real keys, real tokens and durable spends.
 *
 * It proves that everything works and hides nobody: whoever runs this process is every operator at once.
 *
 * @param parameters.directory where the roles keep identities, keys and spends, each in a folder of its own
 * @throws {RialtoError} when a role cannot start; those that run are closed again
 */
export async function startLoopbackNetwork(parameters: {
  readonly directory: string
  readonly logger?: Logger
}): Promise<LoopbackNetwork> {
  const { directory } = parameters
  const logging = parameters.logger === undefined ? {} : { logger: parameters.logger }
  const folder = (name: string) => join(directory, name)
  const opened: (() => Promise<void>)[] = []
  const closeAll = async () => {
    for (const close of opened.splice(0).reverse()) await close()
  }
  const keep = <Part extends { close(): Promise<void> }>(part: Part): Part => {
    opened.push(() => part.close())
    return part
  }
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const gatewayKey = await openIdentity(join(folder('gateway'), 'identity'))
    const analyst = keep(await startReferenceAnalyst())
    const nodes = await Promise.all(
      ['node-a', 'node-b'].map(async (name) => {
        const identity = await openIdentity(join(folder(name), 'identity'))
        const node = await startNode({
          name,
          operator: `operator-${name.slice(-1)}`,
          identity,
          gateways: [gatewayKey.identity],
          upstream: { url: analyst.url },
          models: [
            { id: REFERENCE_ANALYST, privacy: 'private', context: CONTEXT, price: PRICE, serves: ['chat'] },
          ],
          ...logging,
        })
        return { url: keep(node).url, identity: identity.identity }
      }),
    )
    // Mint and gateway know each other's address, so that of the gateway is taken in advance.
    const port = await freePort()
    const mint = keep(
      await startMint({
        state: folder('mint'),
        name: MINT,
        faucet: FAUCET,
        witness: { [GATEWAY]: { url: `http://127.0.0.1:${port}`, identity: gatewayKey.identity } },
        ...logging,
      }),
    )
    const stores = await openSpendStores({ directory: folder('gateway'), identity: gatewayKey })
    keep(stores)
    const gateway = keep(
      await startGateway({
        port,
        state: folder('gateway'),
        name: GATEWAY,
        identity: gatewayKey,
        mints: [{ name: MINT, url: mint.url }],
        nodes,
        ...stores.parts,
        ...logging,
      }),
    )
    const relay = keep(await startRelay({ gateways: { [GATEWAY]: gateway.url }, ...logging }))
    return {
      network: {
        relays: [relay.url],
        gateway: { name: GATEWAY, identity: gatewayKey.identity.text, witnesses: [mint.url] },
        mint: { name: MINT, url: mint.url },
      },
      model: REFERENCE_ANALYST,
      urls: {
        relay: relay.url,
        gateway: gateway.url,
        mint: mint.url,
        analyst: analyst.url,
        nodes: nodes.map(({ url }) => url),
      },
      close: closeAll,
    }
  } catch (error) {
    await closeAll()
    throw error
  }
}
