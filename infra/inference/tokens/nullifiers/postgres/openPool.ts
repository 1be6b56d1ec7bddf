import { Pool } from 'pg'
import { InvalidInputError } from '../../../../../runtime/core/errors.ts'

/** A pool, and what to call its database in a message: never a password. */
export type NamedPool = {
  readonly pool: Pool
  readonly where: string
  /** Ends it if it is ours. */
  end(): Promise<void>
}

/** One for reservations, one for settlements, and two for those who recover a wallet. */
const POOL_SIZE = 4
const CONNECT_TIMEOUT_MS = 5_000
/** Longer than any batch takes by far. The server gives up first, so that a lost statement seldom goes on there. */
const STATEMENT_TIMEOUT_MS = 10_000
const QUERY_TIMEOUT_MS = 12_000

/**
 * @param url `postgres://user:password@host:port/database`
 * @throws {InvalidInputError} without the URL in it, when it is none: it may hold a password.
 */
export function openPool(url: string): NamedPool {
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed === null || !/^postgres(ql)?:$/.test(parsed.protocol))
    throw new InvalidInputError('The URL of the nullifiers is not a PostgreSQL URL.', {
      fix: 'Write it like postgres://user:password@localhost:5432/rialto.',
    })
  const pool = new Pool({
    connectionString: url,
    max: POOL_SIZE,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'rialto-nullifiers',
  })
  // An idle connection that breaks is replaced; without a listener the event would end the process.
  pool.on('error', () => {})
  return { pool, where: `${parsed.host}${parsed.pathname}`, end: () => pool.end() }
}

/** A pool that is somebody else's. */
export const borrowPool = (pool: Pool): NamedPool => ({
  pool,
  where: `${pool.options.host ?? 'the given pool'}/${pool.options.database ?? ''}`,
  end: async () => {},
})
