import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from '../../../runtime/core/ports.ts'
import { generateIdentity, type IdentityKey } from '../protocol/network/identity.ts'
import { memoryNullifiers } from '../tokens/nullifiers/memoryNullifiers.ts'
import { memoryAnswers } from '../tokens/redelivery/memoryAnswers.ts'
import { createClient, type TestClient } from './client.fixture.ts'
import type { Gateway, GatewayOptions } from './options.ts'
import { GATEWAY, MINT, startTestMint, startTestNode, type TestMint, type TestNode } from './peers.fixture.ts'
import { startGateway } from './startGateway.ts'

export type LogLine = { readonly level: string; readonly message: string; readonly fields: object }

export function memoryLog(): Logger & { readonly lines: LogLine[] } {
  const lines: LogLine[] = []
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields })
  }
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** A gateway with a mint, a node and a client around it. */
export type World = {
  readonly folder: string
  readonly identity: IdentityKey
  readonly mint: TestMint
  readonly node: TestNode
  readonly gateway: Gateway
  readonly client: TestClient
  readonly log: ReturnType<typeof memoryLog>
  /** Starts one more, on other options. */
  start(options: Partial<GatewayOptions>): Promise<Gateway>
  /** Starts it anew with the same folder. */
  restart(options?: Partial<GatewayOptions>): Promise<void>
  close(): Promise<void>
}

export async function createWorld(options: Partial<GatewayOptions> = {}): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-'))
  const identity = generateIdentity()
  const mint = await startTestMint()
  const node = await startTestNode(identity)
  const log = memoryLog()
  const start = (more: Partial<GatewayOptions>) =>
    startGateway({
      state: join(folder, 'gateway'),
      name: GATEWAY,
      identity,
      mints: [{ name: MINT, url: mint.url }],
      nodes: [{ url: node.url, identity: node.identity.identity }],
      nullifiers: memoryNullifiers(),
      answers: memoryAnswers(),
      logger: log,
      ...options,
      ...more,
    })
  let gateway = await start({})
  const client = await createClient({ folder, url: () => gateway.url, gateway: identity, pair: mint.pair })
  return {
    folder,
    identity,
    mint,
    node,
    log,
    get gateway() {
      return gateway
    },
    client,
    start,
    async restart(more = {}) {
      await gateway.close()
      gateway = await start(more)
    },
    async close() {
      await gateway.close()
      await Promise.all([mint.close(), node.close(), client.wallet.close()])
      await rm(folder, { recursive: true })
    },
  }
}
