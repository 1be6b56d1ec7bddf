import { and, eq, exists, type SQL, sql } from 'drizzle-orm'
import { FencedError, type Journal, type Lease } from '../../../runtime/core/journal.ts'
import { leases } from '../schema.ts'
import type { Queries, Scope, Tx } from './scope.ts'

/**
 * Who writes an account's nonces. Rows with fencing tokens on the database's clock, never advisory locks: those
 * belong to a session, and the embedded PostgreSQL has only one.
 */
export function leaseMethods(scope: Scope): Pick<Journal, 'acquireLease' | 'releaseLease'> {
  const until = (seconds: number) => sql`now() + make_interval(secs => ${seconds})`
  // Microseconds since 1970, and one more than the last at least: a signer that remembers tokens of an earlier epoch,
  // or of a journal that is no more, still sees them grow.
  const newToken = sql`(extract(epoch FROM now()) * 1000000)::bigint`

  return {
    acquireLease: (account, holder, seconds) =>
      scope.query('acquire a lease', async (db) => {
        const [row] = await db
          .insert(leases)
          .values({ epoch: scope.key, account, holder, token: newToken, expiresAt: until(seconds) })
          .onConflictDoUpdate({
            target: [leases.epoch, leases.account],
            set: {
              holder: sql`excluded.holder`,
              token: sql`CASE WHEN ${leases.holder} = excluded.holder THEN ${leases.token}
                ELSE greatest(${leases.token} + 1, excluded.token) END`,
              expiresAt: sql`excluded.expires_at`,
            },
            setWhere: sql`${leases.holder} = excluded.holder OR ${leases.expiresAt} <= now()`,
          })
          .returning()
        return row === undefined ? null : { account: row.account, holder: row.holder, token: row.token }
      }),

    releaseLease: (lease) =>
      scope.query('release a lease', async (db) => {
        await db.update(leases).set({ expiresAt: sql`now()` }).where(isNewest(scope, lease))
      }),
  }
}

const isNewest = (scope: Scope, lease: Lease) =>
  and(eq(leases.epoch, scope.key), eq(leases.account, lease.account), eq(leases.token, lease.token))

/** Whether a lease is the newest, which it stays until the statement's transaction ends. */
export const isFenced = (scope: Scope, db: Queries, lease: Lease): SQL =>
  exists(db.select({ token: leases.token }).from(leases).where(isNewest(scope, lease)).for('update'))

/**
 * Goes on only under the newest lease, and keeps it the newest until the transaction ends.
 *
 * @throws {FencedError} when another holder took the lease over.
 */
export async function fence(scope: Scope, tx: Tx, lease: Lease): Promise<void> {
  const [row] = await tx
    .select({ token: leases.token })
    .from(leases)
    .where(isNewest(scope, lease))
    .for('update')
  if (row === undefined) throw new FencedError(lease)
}
