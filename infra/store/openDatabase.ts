import { Socket } from 'node:net'
import { join } from 'node:path'
import { Pool, type PoolConfig } from 'pg'
import { InvalidInputError, type RialtoError } from '../../runtime/core/errors.ts'
import { openEmbedded } from './embedded/openEmbedded.ts'
import { PortStream } from './embedded/portStream.ts'
import { prepareStatements } from './embedded/prepareStatements.ts'
import { migrateDatabase } from './migrate.ts'
import { toConnectError, toDatabaseError } from './toDatabaseError.ts'

/** An open database: one code path over PostgreSQL, embedded or not. */
export type Database = {
  readonly kind: 'embedded' | 'postgres'
  /**
   * Everything goes through this pool. Embedded it has one connection, because PGlite is one session: a transaction
   * must never ask the pool for a second client.
   */
  readonly pool: Pool
  /** What to call it in a message: a directory, or user, host and database. Never a password. */
  readonly where: string
  /** Waits for what is under way, and gives the directory free. */
  close(): Promise<void>
}

export type DatabaseOptions = (
  | {
      /** Rialto's own directory; the database is in its `journal` folder. */
      readonly directory: string
    }
  | {
      /** `postgres://user:password@host:port/database` */
      readonly url: string
    }
) & {
  /** Told once if the embedded database dies while it is open. Every query from then on throws the same. */
  readonly onFailure?: (error: RialtoError) => void
}

/** Connections to a real PostgreSQL, the checkpointer's included. */
const POOL_SIZE = 8
const CONNECT_TIMEOUT_MS = 5_000
/** Longer than any statement of ours takes by far; a lock that is held longer is a defect. */
const STATEMENT_TIMEOUT_MS = 30_000

/**
 * Opens the database and brings it to this version's schema.
 *
 * @throws {DirectoryInUseError} when another process has the directory open.
 * @throws {DirectoryNotWritableError | DiskFullError | DatabaseCorruptError} when the directory is of no use.
 * @throws {InvalidInputError} when the URL is no PostgreSQL URL.
 * @throws {DatabaseUnreachableError | DatabaseRefusedError} when the server does not answer or does not let us work.
 * @throws {DatabaseTooNewError} when a newer Rialto wrote it.
 * @example
 * const database = await openDatabase(
 *   process.env.DATABASE_URL ? { url: process.env.DATABASE_URL } : { directory: '.rialto' })
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  return 'url' in options ? openServer(options.url) : openDirectory(options.directory, options)
}

async function openDirectory(
  directory: string,
  { onFailure }: Pick<DatabaseOptions, 'onFailure'>,
): Promise<Database> {
  const where = join(directory, 'journal')
  const embedded = await openEmbedded(where, onFailure)
  return ready('embedded', where, embedded.close, {
    // pg insists on a user and a database; the embedded one has these and asks for no password.
    user: 'postgres',
    database: 'postgres',
    stream: () => new PortStream(embedded.line),
    max: 1,
    // Its one connection may well stay: a new one costs a session.
    idleTimeoutMillis: 0,
  })
}

async function openServer(url: string): Promise<Database> {
  const where = redactUrl(url)
  const sockets = new Set<Socket>()
  // pg leaves a socket open when it has no password to log in with, and the server waits a minute for it.
  const hangUp = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy()
  }
  return ready('postgres', where, hangUp, {
    connectionString: url,
    stream: () => {
      const socket = new Socket()
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      return socket
    },
    max: POOL_SIZE,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'rialto',
  })
}

async function ready(
  kind: Database['kind'],
  where: string,
  closeServer: () => Promise<void>,
  config: PoolConfig,
): Promise<Database> {
  const pool = new Pool(config)
  // A connection that breaks is replaced by the pool, and whoever uses it is told by the query; without a listener the
  // event would end the process. The pool's own covers idle clients only.
  pool.on('error', () => {})
  pool.on('connect', (client) => {
    client.on('error', () => {})
    if (kind === 'embedded') prepareStatements(client)
  })
  try {
    // A connection of its own first, so that what is wrong with the server is told apart from what is wrong with us.
    await pool.connect().then(
      (client) => client.release(),
      (error) => {
        throw toConnectError(error, where)
      },
    )
    await migrateDatabase(pool, where)
  } catch (error) {
    await pool.end()
    await closeServer()
    throw toDatabaseError(error, where, 'take the schema')
  }
  let closing: Promise<void> | null = null
  return {
    kind,
    pool,
    where,
    close() {
      closing ??= drain(pool).then(closeServer)
      return closing
    },
  }
}

/** Ends a pool when everyone who asked it before has been served: `end` alone forgets who still waits for a client. */
async function drain(pool: Pool): Promise<void> {
  await pool.connect().then(
    (client) => client.release(),
    // No connection is to be had any more: whoever waited has been told that, and there is nothing to wait for.
    () => {},
  )
  await pool.end()
}

/** The URL as it may be shown. */
function redactUrl(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed === null || !/^postgres(ql)?:$/.test(parsed.protocol))
    throw new InvalidInputError('DATABASE_URL is not a PostgreSQL URL.', {
      fix: 'Write it like postgres://user:password@localhost:5432/rialto.',
    })
  const user = parsed.username === '' ? '' : `${parsed.username}@`
  return `${user}${parsed.host}${parsed.pathname}`
}
