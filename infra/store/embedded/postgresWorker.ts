import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { type MessagePort, parentPort, threadId, workerData } from 'node:worker_threads'
import { PGlite } from '@electric-sql/pglite'
import type { Failure, FromWorker, ToWorker, WorkerTask } from './messages.ts'

/*
 * PostgreSQL in WebAssembly, in a thread of its own, so that opening it (seconds) and its queries never stop the
 * event loop of the process that owns it. `openEmbedded.ts` starts it.
 */

/**
 * PGlite starts no background processes, so nobody writes checkpoints or vacuums: without them the write-ahead log
 * grows for ever, and with it the time that a restart after a crash takes.
 */
const MAX_LOG_BYTES = 48 * 1024 * 1024
const LOG_CHECK_EVERY = 500

/** The journal is small: PostgreSQL's own 128 MB of buffers would double the memory of the whole process. */
const SETTINGS = ['shared_buffers = 16MB', 'max_wal_size = 64MB', 'min_wal_size = 32MB']

// Messages of PostgreSQL's protocol, by their first byte: the simple query, the end of an extended one, and the end.
const QUERY = 'Q'.charCodeAt(0)
const SYNC = 'S'.charCodeAt(0)
const TERMINATE = 'X'.charCodeAt(0)

/** What PostgreSQL said when it gave up: the reason of a failure. No statement is ever in such a line. */
let lastWords = ''
const onStderr = (line: string): boolean => {
  lastWords = /(?:FATAL|PANIC):.*/.exec(line)?.[0] ?? lastWords
  return true
}

const say = (message: FromWorker): void => parentPort?.postMessage(message)

function failureOf(error: unknown): Failure {
  // What WebAssembly throws when it exits is no Error, but it has a message.
  const { message, code } = error as { message?: unknown; code?: unknown }
  const text = String(message ?? error).split('\n')[0] ?? ''
  return { kind: 'failed', reason: lastWords || text, code: typeof code === 'string' ? code : null }
}

/**
 * Fills a new data directory from an image of an empty one. The image is made here the first time, in memory: that
 * takes half the time of initdb on disk, and unpacking it again a tenth.
 */
async function fill(dataDirectory: string, image: string): Promise<void> {
  if (!existsSync(image)) await makeImage(image)
  const loadDataDir = new Blob([readFileSync(image)])
  const database = await PGlite.create({ dataDir: dataDirectory, loadDataDir, onStderr })
  await database.close()
}

async function makeImage(file: string): Promise<void> {
  const database = await PGlite.create({ onStderr })
  const image = await database.dumpDataDir('gzip')
  await database.close()
  // Whole or not at all, whoever else makes the same one meanwhile.
  const draft = `${file}.${process.pid}.${threadId}`
  writeFileSync(draft, new Uint8Array(await image.arrayBuffer()), { flush: true })
  renameSync(draft, file)
}

/**
 * Serves connections strictly one after the other: PGlite is a single session, so two at a time would share
 * transactions and prepared statements. The next one is heard when the last has ended, in a session made new.
 */
async function serve(dataDirectory: string): Promise<void> {
  const database = await PGlite.create({
    dataDir: dataDirectory,
    onStderr,
    postgresqlconf: SETTINGS,
  })
  let sessions = Promise.resolve()
  let answered = 0
  let isDue = false
  let dead = false
  const connections = new Set<Connection>()

  /** What failed here is in no state to be asked again: every connection ends, and with them this thread. */
  const die = (error: unknown): void => {
    if (dead) return
    dead = true
    const failure = failureOf(error)
    say(failure)
    for (const { port } of connections) {
      port.postMessage(failure)
      port.close()
    }
    parentPort?.close()
  }

  async function maintain(): Promise<void> {
    const { rows } = await database.query<{ bytes: number }>(
      'SELECT (pg_current_wal_insert_lsn() - redo_lsn)::float8 AS bytes FROM pg_control_checkpoint()',
    )
    if ((rows[0]?.bytes ?? 0) < MAX_LOG_BYTES) return
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
    answered += 1
    if (answered % LOG_CHECK_EVERY === 0) isDue = true
    // Never between the messages of one exchange, nor in somebody's transaction.
    if (!isDue || !endsExchange(message) || database.isInTransaction()) return
    isDue = false
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

/** Whether messages end with a Query or a Sync, after which PostgreSQL is ready for anything. */
const endsExchange = (messages: Uint8Array): boolean =>
  messages[0] === QUERY || (messages.at(-5) === SYNC && messages.at(-1) === 4)

type Connection = { readonly port: MessagePort; readonly ended: Promise<void> }

/** A connection may end while it waits for its turn, so its end is listened for from the start. */
const watch = (port: MessagePort): Connection => ({
  port,
  ended: new Promise((resolve) => port.once('close', resolve)),
})

const task = workerData as WorkerTask
const done =
  task.kind === 'fill'
    ? fill(task.dataDirectory, task.image).then(() => say({ kind: 'ready' }))
    : serve(task.dataDirectory)
done.catch((error) => say(failureOf(error)))
