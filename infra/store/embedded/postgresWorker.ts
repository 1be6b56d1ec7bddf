import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { type MessagePort, parentPort, threadId, workerData } from 'node:worker_threads'
import { PGlite } from '@electric-sql/pglite'
import { RialtoError } from '../../../runtime/core/errors.ts'
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

const say = (message: FromWorker): void => parentPort?.postMessage(message)

/** What PostgreSQL said when it gave up: the reason of a failure. No statement is ever in such a line. */
let lastWords = ''
const onStderr = (line: string): boolean => {
  const words = /(?:FATAL|PANIC):.*/.exec(line)?.[0]
  if (words !== undefined && lastWords === '') {
    lastWords = words
    // Told from in here: the call that it dies in may never return, and go round and round for ever.
    say({ kind: 'failed', reason: words, code: null })
  }
  return true
}

/** PostgreSQL gave up while it was asked something. */
class DatabaseDiedError extends RialtoError {
  override readonly name = 'DatabaseDiedError'
  constructor(reason: string) {
    super('DATABASE_DIED', reason)
  }
}

// PGlite writes its troubles to the console, which is the whole process's and may be somebody's JSON. What matters of
// them is thrown as well.
for (const level of ['log', 'info', 'warn', 'error'] as const) console[level] = () => {}

/** WASI's numbers for what a disk may answer, which is all that the file system of WebAssembly passes on. */
const WASI_ERRORS: Readonly<Record<number, string>> = {
  2: 'EACCES',
  19: 'EDQUOT',
  51: 'ENOSPC',
  63: 'EPERM',
  69: 'EROFS',
}

function failureOf(error: unknown): Failure {
  // What WebAssembly throws when it exits is no Error, but it has a message.
  const { message, code, errno } = error as { message?: unknown; code?: unknown; errno?: unknown }
  const text = String(message ?? error).split('\n')[0] ?? ''
  return {
    kind: 'failed',
    reason: lastWords || text,
    code: typeof code === 'string' ? code : (WASI_ERRORS[Number(errno)] ?? null),
  }
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
  let dead: Failure | null = null
  const connections = new Set<Connection>()

  const hangUp = (port: MessagePort, failure: Failure): void => {
    port.postMessage(failure)
    port.close()
  }

  /** What failed here is in no state to be asked again: every connection ends, and so does each that comes. */
  const die = (error: unknown): void => {
    if (dead !== null) return
    dead = failureOf(error)
    say(dead)
    for (const { port } of connections) hangUp(port, dead)
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
    // PGlite does not tell that it aborted: it answers no more, or for ever.
    if (lastWords !== '') throw new DatabaseDiedError(lastWords)
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
    if (dead !== null) {
      if (message.kind === 'connect') hangUp(message.port, dead)
      else parentPort?.close()
      return
    }
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
