import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { PGlite } from '@electric-sql/pglite'
import type { FromWorker, ToWorker, WorkerTask } from './messages.ts'

/*
 * PostgreSQL in WebAssembly, in a thread of its own, so that opening it (seconds) and its queries never stop the
 * event loop of the process that owns it. `openEmbedded.ts` starts it.
 */

/** PGlite starts no background processes, so nobody else writes checkpoints or vacuums: without them the log only grows. */
const MAINTENANCE_BYTES = 32 * 1024 * 1024
const MAINTENANCE_MS = 600_000

/** Terminate, the message that ends a session in PostgreSQL's protocol. */
const TERMINATE = 'X'.charCodeAt(0)

/** What PostgreSQL said last about errors, for the reason of a failure. Statements and their values are left out. */
let lastComplaint = ''
const onStderr = (line: string): boolean => {
  const complaint = /(?:ERROR|FATAL|PANIC):.*/.exec(line)?.[0]
  if (complaint !== undefined) lastComplaint = complaint
  return true
}

const say = (message: FromWorker): void => parentPort?.postMessage(message)

function fail(error: unknown): void {
  const text = error instanceof Error ? (error.message.split('\n')[0] ?? error.name) : String(error)
  const { code } = error as { code?: unknown }
  say({ kind: 'failed', reason: lastComplaint || text, code: typeof code === 'string' ? code : null })
}

/** Makes the image that new data directories are filled from: initdb, in memory, once. */
async function makeTemplate(file: string): Promise<void> {
  const database = await PGlite.create({ onStderr })
  const image = await database.dumpDataDir('gzip')
  await database.close()
  const draft = `${file}.${process.pid}`
  const descriptor = openSync(draft, 'w')
  writeSync(descriptor, new Uint8Array(await image.arrayBuffer()))
  fsyncSync(descriptor)
  closeSync(descriptor)
  renameSync(draft, file)
}

/**
 * Serves connections strictly one after the other: PGlite is a single session, so two at a time would share
 * transactions and prepared statements. The next one is heard when the last has ended, in a session made new.
 */
async function serve(dataDirectory: string, template: string | null): Promise<void> {
  const database = await PGlite.create({
    dataDir: dataDirectory,
    onStderr,
    postgresqlconf: ['max_wal_size = 64MB', 'min_wal_size = 32MB'],
    ...(template === null ? {} : { loadDataDir: new Blob([readFileSync(template)]) }),
  })
  let sessions = Promise.resolve()
  let bytesSince = 0
  let lastMaintenance = Date.now()
  const connections = new Set<Connection>()

  /** What failed here is in no state to be asked again: every connection ends, and with them this thread. */
  const die = (error: unknown): void => {
    fail(error)
    for (const { port } of connections) port.close()
    parentPort?.close()
  }

  async function maintain(): Promise<void> {
    if (bytesSince < MAINTENANCE_BYTES && (bytesSince === 0 || Date.now() - lastMaintenance < MAINTENANCE_MS))
      return
    if (database.isInTransaction()) return
    bytesSince = 0
    lastMaintenance = Date.now()
    await database.exec('VACUUM (ANALYZE)')
    await database.exec('CHECKPOINT')
  }

  async function answer(port: MessagePort, message: Uint8Array): Promise<void> {
    await database.execProtocolRawStream(message, {
      onRawData: (data) => {
        const copy = new Uint8Array(data)
        port.postMessage(copy, [copy.buffer])
      },
    })
    bytesSince += message.length
    await maintain()
  }

  /** Hears one connection until it ends, and leaves the session as new. */
  async function hear({ port, ended }: Connection): Promise<void> {
    let answers = Promise.resolve()
    port.on('message', (message: Uint8Array) => {
      if (message[0] === TERMINATE) port.close()
      else answers = answers.then(() => answer(port, message))
      answers.catch(die)
    })
    await ended
    await answers
    if (database.isInTransaction()) await database.exec('ROLLBACK')
    await database.exec('DISCARD ALL')
  }

  async function close(): Promise<void> {
    await database.exec('CHECKPOINT')
    await database.close()
    say({ kind: 'closed' })
    parentPort?.close()
  }

  parentPort?.on('message', (message: ToWorker) => {
    if (message.kind === 'close') {
      for (const { port } of connections) port.close()
      sessions = sessions.then(close)
    } else {
      const connection = watch(message.port)
      connections.add(connection)
      sessions = sessions.then(() => hear(connection)).finally(() => connections.delete(connection))
    }
    sessions.catch(die)
  })
  say({ kind: 'ready' })
}

type Connection = { readonly port: MessagePort; readonly ended: Promise<void> }

/** A connection may end while it waits for its turn, so its end is listened for from the start. */
const watch = (port: MessagePort): Connection => ({
  port,
  ended: new Promise((resolve) => port.once('close', resolve)),
})

const task = workerData as WorkerTask
const done =
  task.kind === 'template'
    ? makeTemplate(task.file).then(() => say({ kind: 'ready' }))
    : serve(task.dataDirectory, task.template)
done.catch(fail)
