import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Redis } from 'ioredis'
import { freePort } from '../../infra/http/freePort.ts'

/** A Redis to measure against: the one that is named, or one of our own where the server is installed. */
export type BenchRedis = { readonly url: string; close(): Promise<void> }

export async function openRedis(): Promise<BenchRedis | null> {
  const { TEST_REDIS_URL } = process.env
  if (TEST_REDIS_URL !== undefined) return { url: TEST_REDIS_URL, close: async () => undefined }
  const port = await freePort()
  const child = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', ''], {
    stdio: 'ignore',
  })
  const started = await Promise.race([
    once(child, 'error').then(() => false),
    once(child, 'spawn').then(() => true),
  ])
  if (!started) return null
  const client = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null })
  client.on('error', () => undefined)
  await client.ping()
  await client.quit()
  return {
    url: `redis://127.0.0.1:${port}`,
    async close() {
      const exit = once(child, 'exit')
      child.kill('SIGTERM')
      await exit
    },
  }
}
