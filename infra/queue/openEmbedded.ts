import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import type { RialtoError } from '../../runtime/core/errors.ts'
import { startWorker } from '../process/startWorker.ts'
import { QueueLostError } from './errors.ts'
import type { FromQueueWorker, QueueWorkerTask } from './messages.ts'

const HOST = '127.0.0.1'

/**
 * node:wasi warns that it is experimental, once per thread, and nobody who starts Rialto can do anything about it. The
 * precise flag came with Node 20.11.
 */
const QUIET = process.allowedNodeEnvironmentFlags.has('--disable-warning')
  ? '--disable-warning=ExperimentalWarning'
  : '--no-warnings'

export type EmbeddedQueue = {
  readonly host: string
  readonly port: number
  readonly password: string
  close(): Promise<void>
}

/**
 * Starts Valkey in a worker thread, on a free loopback port and with a password that only this process knows: whoever
 * else is on the machine must not put jobs into our queues. It keeps nothing on disk.
 *
 * @param onFailure told once if the server dies while it is open
 * @throws {QueueLostError} when it does not start.
 */
export async function openEmbedded(onFailure: (error: RialtoError) => void): Promise<EmbeddedQueue> {
  const worker = startWorker(import.meta.url, './valkeyWorker', {
    workerData: { host: HOST } satisfies QueueWorkerTask,
    execArgv: [QUIET],
  })
  let closing = false
  const fail = (reason: string, cause?: unknown): QueueLostError => new QueueLostError(reason, cause)

  const port = await new Promise<number>((resolve, reject) => {
    worker.once('message', (message: FromQueueWorker) =>
      message.kind === 'listening' ? resolve(message.port) : reject(fail(message.reason)),
    )
    worker.once('error', (error) => reject(fail(error.message, error)))
    worker.once('exit', (code) => reject(fail(`exit code ${code}`)))
  }).catch(async (error) => {
    await worker.terminate()
    throw error
  })

  let failed = false
  const report = (error: RialtoError): void => {
    if (closing || failed) return
    failed = true
    onFailure(error)
  }
  worker.on('message', (message: FromQueueWorker) => {
    if (message.kind === 'failed') report(fail(message.reason))
  })
  worker.on('error', (error) => report(fail(error.message, error)))
  worker.on('exit', (code) => report(fail(`exit code ${code}`)))

  const password = randomBytes(24).toString('base64url')
  const client = new Redis({ host: HOST, port, maxRetriesPerRequest: 0, retryStrategy: () => null })
  // The command below fails with the same error; without a listener the client would print it.
  client.on('error', () => {})
  try {
    await client.config('SET', 'requirepass', password)
  } catch (error) {
    closing = true
    await worker.terminate()
    throw fail('it does not take a password', error)
  } finally {
    client.disconnect()
  }
  return {
    host: HOST,
    port,
    password,
    async close() {
      closing = true
      await worker.terminate()
    },
  }
}
