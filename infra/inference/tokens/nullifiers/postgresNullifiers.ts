import { randomUUID } from 'node:crypto'
import type { Pool } from 'pg'
import { InvariantError } from '../../../../runtime/core/errors.ts'
import { requireLength, toHex } from '../bytes.ts'
import { CHANGE_DIGEST_LENGTH } from '../change/changeDigest.ts'
import { copySpend, requireSpend, type Spend, spentElsewhere } from '../change/spend.ts'
import type { NullifierStore, NullifierStoreOptions, Reservation } from './nullifierStore.ts'
import { ownerOr } from './owner.ts'
import { createBatches } from './postgres/batches.ts'
import { createDoubts } from './postgres/doubts.ts'
import { borrowPool, openPool } from './postgres/openPool.ts'
import { openSchema } from './postgres/schema.ts'
import { toStoreError } from './postgres/toStoreError.ts'
import { requireSettlement, spendSettled, spendUnknown } from './requireSettlement.ts'

export type PostgresNullifiersOptions = NullifierStoreOptions &
  (
    | {
        /** `postgres://user:password@host:port/database` */
        readonly url: string
      }
    | {
        /** Somebody else's: it is not ended here, and its `error` event is its owner's. */
        readonly pool: Pool
      }
  )

/** Most spends of one batch. */
const MOST_SPENDS = 512
/** How often, and within how many milliseconds, a broken connection is replaced and asked again at once. */
const MOST_TRIES = 3
const PATIENCE_MS = 2_000
/** Attempts of unknown outcome that are remembered; of one that is forgotten, its own spend is told as repeated. */
const MOST_DOUBTS = 100_000

type Attempt = { readonly spend: Spend; readonly attempt: string }
type Settlement = { readonly spend: Spend; readonly digests: readonly Uint8Array[] }
type FoundRow = {
  readonly spend: number
  readonly kind: 'fresh' | 'held' | 'unknown' | 'spent'
  /** Tokens of the spend that are not free; null when it is fresh. */
  readonly taken: readonly Uint8Array[] | null
  readonly change: number | null
  readonly age: number | null
  readonly owner: string | null
}
type SettleRow = {
  readonly spend: number
  readonly kind: 'settled' | 'conflict' | 'unknown' | 'spent'
  readonly change: number | null
}

/**
 * A nullifier store in PostgreSQL, shared by any number of gateway processes. What comes while a batch is under way
 * is the next batch: one round trip and one commit for all of it.
 *
 * Every reservation has an attempt id, which is recorded with it. A connection that breaks leaves it unknown whether
 * the commit took place; the next time the same spend comes, it is asked for with the same attempt, so that it is
 * `fresh` to exactly one caller, whichever of the two attempts took place.
 *
 * Everything is in the schema `rialto_nullifiers`, which is made when it is not there.
 *
 * @throws {InvalidInputError} when the URL is no PostgreSQL URL
 * @throws {TokenError} `STORE_NOT_DURABLE`, `STORE_REFUSED` or `STORE_UNAVAILABLE`
 * @example const store = await postgresNullifiers({ url: process.env.DATABASE_URL })
 */
export async function postgresNullifiers(options: PostgresNullifiersOptions): Promise<NullifierStore> {
  const owner = ownerOr(options.owner)
  const { pool, where, end } = 'pool' in options ? borrowPool(options.pool) : openPool(options.url)
  try {
    await openSchema(pool, where)
  } catch (error) {
    await end()
    throw error
  }

  /** Everything that is asked may be asked twice: the second time finds what the first one did. */
  async function ask<Row extends object>(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    const began = performance.now()
    for (let tries = 1; ; tries++) {
      try {
        return (await pool.query<Row>(text, [...values])).rows
      } catch (error) {
        const failure = toStoreError(error, where)
        if (!failure.retryable || tries === MOST_TRIES || performance.now() - began > PATIENCE_MS)
          throw failure
      }
    }
  }

  const reservations = createBatches<Attempt, FoundRow>(async (batch) => {
    const rows = await ask<FoundRow>('SELECT * FROM rialto_nullifiers.reserve($1, $2, $3, $4, $5, $6)', [
      owner,
      batch.map(({ attempt }) => attempt),
      ...columns(batch),
    ])
    return inOrder(rows, batch.length)
  }, MOST_SPENDS)

  const lookups = createBatches<{ readonly spend: Spend }, FoundRow>(async (batch) => {
    const rows = await ask<FoundRow>('SELECT * FROM rialto_nullifiers.find($1, $2, $3, $4)', columns(batch))
    return inOrder(rows, batch.length)
  }, MOST_SPENDS)

  const settlements = createBatches<Settlement, SettleRow>(async (batch) => {
    const rows = await ask<SettleRow>('SELECT * FROM rialto_nullifiers.settle($1, $2, $3, $4, $5, $6)', [
      batch.map(({ digests }) => digests.length),
      batch.map(({ digests }) => Buffer.concat(digests)),
      ...columns(batch),
    ])
    return inOrder(rows, batch.length)
  }, MOST_SPENDS)

  const doubts = createDoubts(MOST_DOUBTS)

  async function attempt(spend: Spend, id: string): Promise<FoundRow> {
    try {
      return await reservations.add({ spend, attempt: id })
    } catch (error) {
      doubts.put(spend, id)
      throw error
    }
  }

  /**
   * By nullifier the last spend of it that is on its way, and which of that spend's tokens are taken once it is known.
   * Entered before anything is awaited: no two spends of a batch may have a token in common that is free. Whoever
   * comes after waits, and if one of its tokens is taken by then, it is only looked up, together with all others.
   */
  const pending = new Map<string, Promise<ReadonlySet<string>>>()

  async function reserve(spend: Spend): Promise<FoundRow> {
    const keys = spend.nullifiers.map(toHex)
    const before = Promise.all(new Set(keys.flatMap((key) => pending.get(key) ?? []))).then((sets) => {
      const taken = keys.filter((key) => sets.some((each) => each.has(key)))
      const doubt = doubts.take(spend)
      // What is taken may be so by this very spend, in an attempt that nobody was told of.
      return taken.length > 0 && doubt === undefined
        ? { taken: new Set(taken), row: lookups.add({ spend }) }
        : { taken: null, row: attempt(spend, doubt ?? randomUUID()) }
    })
    const after = before.then(async ({ taken, row }) => taken ?? takenOf(await row, keys))
    for (const key of keys) pending.set(key, after)
    const leave = () => {
      for (const key of keys) if (pending.get(key) === after) pending.delete(key)
    }
    after.then(leave, leave)
    return (await before).row
  }

  async function exists(text: string, key: Uint8Array): Promise<boolean> {
    return (await ask(text, [Buffer.from(key)])).length > 0
  }

  const underWay = new Set<Promise<unknown>>()
  let closing: Promise<void> | null = null

  /** What was begun before the store is closed is served. */
  function serve<Result>(work: () => Promise<Result>): Promise<Result> {
    if (closing !== null) throw new InvariantError('The store is closed.')
    const result = work()
    underWay.add(result)
    const done = () => underWay.delete(result)
    result.then(done, done)
    return result
  }

  return {
    owner,
    async reserve(spend) {
      requireSpend(spend)
      const copy = copySpend(spend)
      return toReservation(await serve(() => reserve(copy)))
    },
    async settle(spend, change, changeDigests) {
      requireSettlement(spend, change, changeDigests)
      const settlement = {
        spend: copySpend(spend),
        digests: changeDigests.map((digest) => Uint8Array.from(digest)),
      }
      const { kind, change: recorded } = await serve(() => settlements.add(settlement))
      if (kind === 'unknown') throw spendUnknown()
      if (kind === 'spent') throw spentElsewhere()
      if (kind === 'conflict') throw spendSettled(recorded ?? 0, change)
    },
    async isSpent(nullifier) {
      requireLength('nullifier', nullifier, 32)
      const key = Uint8Array.from(nullifier)
      return serve(async () => {
        await pending.get(toHex(key))
        return exists('SELECT FROM rialto_nullifiers.nullifiers WHERE nullifier = $1', key)
      })
    },
    async wasSigned(digest) {
      requireLength('change digest', digest, CHANGE_DIGEST_LENGTH)
      const key = Uint8Array.from(digest)
      return serve(() => exists('SELECT FROM rialto_nullifiers.signed WHERE digest = $1', key))
    },
    close() {
      closing ??= Promise.allSettled(underWay).then(end)
      return closing
    },
  }
}

/** Bindings, numbers of tokens, nullifiers, and of which spend each of these is. */
function columns(batch: readonly { readonly spend: Spend }[]): readonly unknown[] {
  return [
    batch.map(({ spend }) => spend.binding),
    batch.map(({ spend }) => spend.nullifiers.length),
    batch.flatMap(({ spend }) => spend.nullifiers),
    batch.flatMap(({ spend }, at) => spend.nullifiers.map(() => at + 1)),
  ]
}

/** Rows by the spend that they answer, which SQL counts from one. */
function inOrder<Row extends { readonly spend: number }>(
  rows: readonly Row[],
  length: number,
): readonly Row[] {
  const ordered = rows.toSorted((a, b) => a.spend - b.spend)
  if (ordered.length !== length || ordered.some(({ spend }, at) => spend !== at + 1))
    throw new InvariantError('The database answers for other spends than it was asked for.')
  return ordered
}

const takenOf = ({ kind, taken }: FoundRow, keys: readonly string[]): ReadonlySet<string> =>
  new Set(kind === 'fresh' || kind === 'held' ? keys : taken?.map(toHex))

function toReservation({ kind, change, age, owner }: FoundRow): Reservation {
  if (kind === 'fresh') return { kind }
  if (kind !== 'held') throw spentElsewhere()
  if (change !== null) return { kind: 'repeated', change }
  if (age === null || owner === null) throw new InvariantError('A reservation has an age and an owner.')
  // The clock of a database can be put back, or be another one after a fail-over.
  return { kind: 'repeated', change: null, age: Math.max(0, Math.floor(age)), owner }
}
