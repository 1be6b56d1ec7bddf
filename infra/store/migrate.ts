import { join } from 'node:path'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import type { Pool, PoolClient } from 'pg'
import { packageRoot } from '../process/packageRoot.ts'
import { DatabaseRefusedError, DatabaseTooNewError } from './errors.ts'

const SCHEMA = 'rialto'
const TABLE = 'migrations'

/** Any number, as long as it is ours alone: only one process migrates a database at a time. */
const LOCK = 7_214_820_116

/** The oldest PostgreSQL that is tested. */
const OLDEST_SERVER = 140_000

/**
 * Brings the database to this version's schema: every missing migration, in one transaction.
 *
 * @throws {DatabaseRefusedError} when the server is too old or read-only.
 * @throws {DatabaseTooNewError} when the database holds a migration that this version does not know.
 */
export async function migrateDatabase(pool: Pool, where: string): Promise<void> {
  const migrationsFolder = join(packageRoot(import.meta.url), 'infra/store/migrations')
  await withMigrationLock(pool, async (client) => {
    await refuseServer(client, where)
    await refuseNewer(client, where, migrationsFolder)
    await migrate(drizzle(client), { migrationsFolder, migrationsSchema: SCHEMA, migrationsTable: TABLE })
  })
}

/**
 * Does something while no other process migrates the database.
 *
 * @param work is given the connection that holds the lock; with the embedded database it must use no other one
 */
export async function withMigrationLock<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query('SELECT pg_advisory_lock($1)', [LOCK])
    try {
      return await work(client)
    } finally {
      await client.query('SELECT pg_advisory_unlock($1)', [LOCK])
    }
  } finally {
    client.release()
  }
}

async function refuseServer(client: PoolClient, where: string): Promise<void> {
  const { rows } = await client.query<{ version: number; read_only: boolean }>(
    `SELECT current_setting('server_version_num')::int AS version,
            current_setting('transaction_read_only')::bool AS read_only`,
  )
  if ((rows[0]?.version ?? 0) < OLDEST_SERVER) throw new DatabaseRefusedError('DATABASE_TOO_OLD', where)
  if (rows[0]?.read_only) throw new DatabaseRefusedError('DATABASE_READ_ONLY', where)
}

async function refuseNewer(client: PoolClient, where: string, migrationsFolder: string): Promise<void> {
  const table = `${SCHEMA}.${TABLE}`
  const { rows: found } = await client.query<{ there: boolean }>(
    'SELECT to_regclass($1) IS NOT NULL AS there',
    [table],
  )
  if (!found[0]?.there) return
  const known = new Set(readMigrationFiles({ migrationsFolder }).map((migration) => migration.hash))
  const { rows: applied } = await client.query<{ hash: string }>(`SELECT hash FROM ${table}`)
  if (applied.some(({ hash }) => !known.has(hash))) throw new DatabaseTooNewError(where)
}
