import { Socket } from 'node:net'
import { encodeMessage, type StartParameters, toWireError } from './messages.ts'
import { createService, type Served } from './serve.ts'
import { type Listening, listen } from './socket/listen.ts'
import { parametersHash } from './socket/parametersHash.ts'
import { type RunningSigner, startSigner } from './startSigner.ts'

// The signer's process. It speaks over one inherited pipe, file descriptor 3, and over a socket in its own folder, and
// says nothing anywhere else. It lives as long as anybody is at either, so it ends with whoever started it, however
// that one ends, unless a protector needs it still.

const pipe = new Socket({ fd: 3 })
let running: RunningSigner | null = null
let listening: Listening | null = null

/** Lets go of socket and folder, in this order: whoever gets the folder next listens there too. */
function letGo(): void {
  listening?.close()
  running?.close()
  listening = null
  running = null
}

function end(code: number): void {
  letGo()
  // What is still to be written goes out before the process does.
  pipe.end(() => process.exit(code))
  if (pipe.destroyed) setImmediate(() => process.exit(code))
  pipe.once('close', () => process.exit(code))
}

async function start(parameters: StartParameters): Promise<Served> {
  running = await startSigner(parameters)
  try {
    listening = await listen(parameters.directory, service.attachClient)
  } catch (error) {
    letGo()
    throw error
  }
  return { ...running, parameters: parametersHash(parameters), secret: listening.secret }
}

const service = createService({ start, end })

function fail(error: unknown): void {
  if (!pipe.destroyed) pipe.write(encodeMessage({ id: 0, error: toWireError(error) }))
  end(1)
}

process.on('uncaughtException', fail)
process.on('unhandledRejection', fail)
// A terminal's Ctrl-C reaches the whole group: the parent decides when the signer ends, and closes the pipe then.
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
// Node would open its inspector, and with it this process's memory.
process.on('SIGUSR1', () => {})
process.on('SIGTERM', () => end(0))

service.attachParent(pipe)
