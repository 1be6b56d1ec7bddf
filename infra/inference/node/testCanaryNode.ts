import { importIdentityKey, readIdentity } from '../protocol/network/identity.ts'
import type { NodeOptions } from './options.ts'
import { startNode } from './startNode.ts'

/** A node in a process of its own, that logs all it can: what it writes is searched for what it must not. */
const options = JSON.parse(process.argv[2] ?? '') as {
  readonly seed: string
  readonly gateway: string
  readonly upstream: NodeOptions['upstream']
  readonly models: NodeOptions['models']
}
const write = (level: string) => (fields: object, message: string) =>
  void process.stdout.write(`${JSON.stringify({ level, message, ...fields })}\n`)

const node = await startNode({
  name: 'node-1',
  operator: 'tester',
  identity: importIdentityKey(Buffer.from(options.seed, 'hex')),
  gateways: [readIdentity(options.gateway)],
  upstream: options.upstream,
  models: options.models,
  timeouts: { probe: 50, firstByte: 2_000 },
  logger: { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') },
  withProcessMetrics: true,
})
process.stdout.write(`url ${node.url}\n`)
process.on('SIGTERM', () => void node.close(1_000).then(() => process.exit(0)))
