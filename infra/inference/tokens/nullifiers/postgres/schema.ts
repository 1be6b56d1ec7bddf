import type { Pool } from 'pg'
import { TokenError } from '../../errors.ts'
import { NOT_DURABLE, toStoreError } from './toStoreError.ts'

/** Stands in the schema's comment, which is written last: who reads it finds the whole schema of this version. */
const VERSION = 'rialto nullifiers 1'

/** The oldest PostgreSQL that is tested. */
const OLDEST_SERVER = 140_000

/**
 * Rows are only ever added; what a refused attempt added is taken away in the same transaction.
 *
 * Every function is one transaction and one round trip for a whole batch. Keys are inserted in their order, so that
 * two batches with tokens in common wait for one another and never in a circle. Nothing here raises an error over a
 * key that is there already: the server would write the key into its log.
 */
const SCHEMA = `
CREATE SCHEMA IF NOT EXISTS rialto_nullifiers;

CREATE TABLE IF NOT EXISTS rialto_nullifiers.spends (
  attempt uuid PRIMARY KEY,
  binding bytea NOT NULL,
  tokens smallint NOT NULL,
  owner text NOT NULL,
  reserved_at timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS rialto_nullifiers.nullifiers (
  nullifier bytea PRIMARY KEY,
  attempt uuid NOT NULL
);
-- The digests of what was signed as change, one after the other.
CREATE TABLE IF NOT EXISTS rialto_nullifiers.settlements (
  attempt uuid PRIMARY KEY,
  change smallint NOT NULL,
  digests bytea NOT NULL
);
CREATE TABLE IF NOT EXISTS rialto_nullifiers.signed (
  digest bytea PRIMARY KEY
);

-- Both settings can change while we are connected.
CREATE OR REPLACE FUNCTION rialto_nullifiers.require_durable() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('fsync') = 'off' OR current_setting('synchronous_commit') = 'off' THEN
    RAISE EXCEPTION 'commits are not durable' USING ERRCODE = '${NOT_DURABLE}';
  END IF;
END $$;

-- What each spend of a batch is to those that are recorded: 'held' is the same spend, of which the rest is told;
-- 'unknown' when one of its tokens is free; 'spent' otherwise. \`taken\` are its tokens that are not free. The n-th
-- nullifier is one of spend spend_of[n].
--
-- A lookup is a subquery with a limit, so that it is an index scan for each, however small the tables were when the
-- plan was made.
CREATE OR REPLACE FUNCTION rialto_nullifiers.find(
  bindings bytea[], tokens smallint[], nullifiers bytea[], spend_of int[]
) RETURNS TABLE (
  spend int, kind text, taken bytea[], attempt uuid, change smallint, age double precision, owner text
)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
  PERFORM rialto_nullifiers.require_durable();
  RETURN QUERY
    SELECT given.spend,
           CASE
             WHEN coalesce(cardinality(holders.taken), 0) < find.tokens[given.spend] THEN 'unknown'
             WHEN holders.attempts = 1 AND first.binding = find.bindings[given.spend]
               AND first.tokens = find.tokens[given.spend] THEN 'held'
             ELSE 'spent'
           END,
           coalesce(holders.taken, '{}'),
           first.attempt,
           settled.change,
           extract(epoch FROM clock_timestamp() - first.reserved_at)::double precision * 1000,
           first.owner
      FROM generate_series(1, cardinality(find.bindings)) AS given (spend)
      JOIN (
        SELECT each.spend,
               array_agg(each.nullifier) FILTER (WHERE holder.attempt IS NOT NULL) AS taken,
               count(DISTINCT holder.attempt) AS attempts,
               (array_agg(holder.attempt))[1] AS attempt
          FROM unnest(find.nullifiers, find.spend_of) AS each (nullifier, spend)
          LEFT JOIN LATERAL (
            SELECT n.attempt FROM rialto_nullifiers.nullifiers n WHERE n.nullifier = each.nullifier LIMIT 1
          ) holder ON true
         GROUP BY each.spend
      ) holders USING (spend)
      LEFT JOIN LATERAL (
        SELECT * FROM rialto_nullifiers.spends s WHERE s.attempt = holders.attempt LIMIT 1
      ) first ON true
      LEFT JOIN LATERAL (
        SELECT z.change FROM rialto_nullifiers.settlements z WHERE z.attempt = holders.attempt LIMIT 1
      ) settled ON true;
END $$;

-- Reserves each spend of a batch or refuses it. No two spends of a batch may have a token in common. An attempt that
-- was made before, by somebody who was never told what became of it, is found to be fresh again.
CREATE OR REPLACE FUNCTION rialto_nullifiers.reserve(
  reserver text, attempts uuid[], bindings bytea[], tokens smallint[], nullifiers bytea[], spend_of int[]
) RETURNS TABLE (
  spend int, kind text, taken bytea[], attempt uuid, change smallint, age double precision, owner text
)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
  added bigint;
  complete int[];
BEGIN
  PERFORM rialto_nullifiers.require_durable();
  INSERT INTO rialto_nullifiers.nullifiers (nullifier, attempt)
    SELECT each.nullifier, reserve.attempts[each.spend]
      FROM unnest(reserve.nullifiers, reserve.spend_of) AS each (nullifier, spend)
     ORDER BY each.nullifier
    ON CONFLICT (nullifier) DO NOTHING;
  GET DIAGNOSTICS added = ROW_COUNT;
  IF added = cardinality(reserve.nullifiers) THEN
    INSERT INTO rialto_nullifiers.spends (attempt, binding, tokens, owner, reserved_at)
      SELECT each.attempt, each.binding, each.tokens, reserve.reserver, clock_timestamp()
        FROM unnest(reserve.attempts, reserve.bindings, reserve.tokens) AS each (attempt, binding, tokens);
    RETURN QUERY
      SELECT given.spend, 'fresh', NULL::bytea[], NULL::uuid, NULL::smallint, NULL::double precision, NULL::text
        FROM generate_series(1, cardinality(reserve.attempts)) AS given (spend);
    RETURN;
  END IF;

  SELECT coalesce(array_agg(own.spend), '{}') INTO complete FROM (
    SELECT each.spend
      FROM unnest(reserve.nullifiers, reserve.spend_of) AS each (nullifier, spend)
      CROSS JOIN LATERAL (
        SELECT n.attempt FROM rialto_nullifiers.nullifiers n WHERE n.nullifier = each.nullifier LIMIT 1
      ) holder
     WHERE holder.attempt = reserve.attempts[each.spend]
     GROUP BY each.spend
    HAVING count(*) = reserve.tokens[each.spend]
  ) own;
  DELETE FROM rialto_nullifiers.nullifiers n
   WHERE n.nullifier = ANY (reserve.nullifiers) AND n.attempt = ANY (reserve.attempts)
     AND n.attempt <> ALL (SELECT reserve.attempts[own] FROM unnest(complete) AS own);
  INSERT INTO rialto_nullifiers.spends (attempt, binding, tokens, owner, reserved_at)
    SELECT reserve.attempts[own], reserve.bindings[own], reserve.tokens[own], reserve.reserver, clock_timestamp()
      FROM unnest(complete) AS own
     ORDER BY reserve.attempts[own]
    ON CONFLICT (attempt) DO NOTHING;

  RETURN QUERY
    SELECT judged.spend,
           CASE
             WHEN judged.kind = 'held' AND judged.change IS NULL
               AND judged.attempt = reserve.attempts[judged.spend] THEN 'fresh'
             ELSE judged.kind
           END,
           judged.taken, judged.attempt, judged.change, judged.age, judged.owner
      FROM rialto_nullifiers.find(reserve.bindings, reserve.tokens, reserve.nullifiers, reserve.spend_of) judged;
END $$;

-- Settles each spend of a batch: 'settled', also when it was before with the same; 'conflict' when it was with other
-- digests, and then change is what was recorded first; or what \`find\` says.
CREATE OR REPLACE FUNCTION rialto_nullifiers.settle(
  changes smallint[], digests bytea[], bindings bytea[], tokens smallint[], nullifiers bytea[], spend_of int[]
) RETURNS TABLE (spend int, kind text, change smallint)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
  kinds text[];
  attempts uuid[];
BEGIN
  SELECT array_agg(judged.kind ORDER BY judged.spend), array_agg(judged.attempt ORDER BY judged.spend)
    INTO kinds, attempts
    FROM rialto_nullifiers.find(settle.bindings, settle.tokens, settle.nullifiers, settle.spend_of) judged;
  INSERT INTO rialto_nullifiers.settlements (attempt, change, digests)
    SELECT attempts[given.spend], changes[given.spend], settle.digests[given.spend]
      FROM generate_series(1, cardinality(changes)) AS given (spend)
     WHERE kinds[given.spend] = 'held'
     ORDER BY attempts[given.spend], given.spend
    ON CONFLICT (attempt) DO NOTHING;
  SELECT array_agg(
           CASE
             WHEN kinds[given.spend] <> 'held' THEN kinds[given.spend]
             WHEN recorded.digests = settle.digests[given.spend] THEN 'settled'
             ELSE 'conflict'
           END ORDER BY given.spend),
         array_agg(recorded.change ORDER BY given.spend)
    INTO kinds, changes
    FROM generate_series(1, cardinality(changes)) AS given (spend)
    LEFT JOIN LATERAL (
      SELECT z.change, z.digests FROM rialto_nullifiers.settlements z
       WHERE z.attempt = attempts[given.spend] LIMIT 1
    ) recorded ON true;
  INSERT INTO rialto_nullifiers.signed (digest)
    SELECT substring(settle.digests[given.spend] FROM part FOR 16) AS digest
      FROM generate_series(1, cardinality(changes)) AS given (spend)
      CROSS JOIN LATERAL generate_series(1, length(settle.digests[given.spend]), 16) AS part
     WHERE kinds[given.spend] = 'settled'
     ORDER BY digest
    ON CONFLICT (digest) DO NOTHING;
  RETURN QUERY
    SELECT given.spend, kinds[given.spend], changes[given.spend]
      FROM generate_series(1, cardinality(changes)) AS given (spend);
END $$;

COMMENT ON SCHEMA rialto_nullifiers IS '${VERSION}';
`

/** What the catalogue answers to one of two who make the same thing at once: taken names, and a row that changed. */
const RACES = new Set(['23505', '40P01', '42710', '42723', '42P06', '42P07', 'XX000'])

const MOST_TRIES = 10

/**
 * Makes sure that a database keeps what it acknowledges, and that it has our schema.
 *
 * The schema is one transaction of statements that leave alone what is there; several processes may make it at once,
 * and whoever comes second looks again. No lock is taken: behind a pooler it could end up with somebody else.
 *
 * @throws {TokenError} `STORE_NOT_DURABLE`, `STORE_REFUSED` or `STORE_UNAVAILABLE`
 */
export async function openSchema(pool: Pool, where: string): Promise<void> {
  await requireServer(pool, where)
  for (let tries = 1; ; tries++) {
    const version = await readVersion(pool, where)
    if (version === VERSION) return
    if (version !== null)
      throw new TokenError('STORE_REFUSED', `The nullifiers in ${where} are those of another version.`, {
        fix: 'Use that version, or another database.',
        details: { where },
      })
    try {
      await pool.query(SCHEMA)
    } catch (error) {
      const sqlState = (error as { code?: unknown }).code
      if (typeof sqlState !== 'string' || !RACES.has(sqlState) || tries === MOST_TRIES)
        throw toStoreError(error, where)
    }
  }
}

async function requireServer(pool: Pool, where: string): Promise<void> {
  const { rows } = await pool
    .query<{ name: string; number: number; fsync: string; synchronous: string; isolation: string }>(
      `SELECT version() AS name, current_setting('server_version_num')::int AS number,
              current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous,
              current_setting('transaction_isolation') AS isolation`,
    )
    .catch((error) => {
      throw toStoreError(error, where)
    })
  const [server] = rows
  if (server === undefined || server.number < OLDEST_SERVER)
    throw new TokenError('STORE_REFUSED', `The PostgreSQL at ${where} is older than version 14.`, {
      fix: 'Use PostgreSQL 14 or later.',
      details: { where },
    })
  // Each statement of a function has to see what others committed before it.
  if (server.isolation !== 'read committed')
    throw new TokenError('STORE_REFUSED', `Transactions at ${where} are ${server.isolation} by default.`, {
      fix: 'Set default_transaction_isolation to "read committed" for the user of the nullifiers.',
      details: { where },
    })
  if (/pglite|emscripten/i.test(server.name))
    throw new TokenError(
      'STORE_NOT_DURABLE',
      `The database at ${where} is PGlite, which never syncs to the disk.`,
      {
        fix: 'Keep nullifiers in a file, or in a PostgreSQL server.',
        details: { where },
      },
    )
  for (const [setting, value] of [
    ['fsync', server.fsync],
    ['synchronous_commit', server.synchronous],
  ])
    if (value === 'off')
      throw new TokenError('STORE_NOT_DURABLE', `The PostgreSQL at ${where} has ${setting} off.`, {
        fix: `Turn ${setting} on, for the server and for the user: a token must stay spent across a power cut.`,
        details: { where, setting },
      })
}

async function readVersion(pool: Pool, where: string): Promise<string | null> {
  try {
    const { rows } = await pool.query<{ version: string | null }>(
      `SELECT obj_description(to_regnamespace('rialto_nullifiers')::oid, 'pg_namespace') AS version`,
    )
    return rows[0]?.version ?? null
  } catch (error) {
    throw toStoreError(error, where)
  }
}
