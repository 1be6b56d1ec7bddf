import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { inspect } from 'node:util'
import { Pool } from 'pg'
import { describe, expect, it } from 'vitest'
import { openDatabase } from '../../../store/openDatabase.ts'
import { toHex } from '../bytes.ts'
import type { Spend } from '../change/spend.ts'
import { openTestProxy } from '../testProxy.ts'
import { postgresNullifiers } from './postgresNullifiers.ts'
import { nullifierStoreSuite, randomDigests, randomSpend, unsettledBy } from './testNullifierStore.ts'
import { createTestDatabase, onServer } from './testPostgres.ts'
import { NEEDS_SERVER, postgresStores, server } from './testPostgresStores.ts'
import { expectToSurviveKill, startSpender } from './testSurvival.ts'

const code = (value: string) => expect.objectContaining({ code: value })
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.unreachable('it must fail'),
    (error: unknown) => error,
  )
const everythingIn = (error: unknown) => inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true })

describe('a database that is no place for nullifiers', () => {
  it('is PGlite, which never syncs', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'rialto-nullifiers-'))
    const { pool, close } = await openDatabase({ directory })
    expect(await failure(postgresNullifiers({ pool }))).toMatchObject({
      code: 'STORE_NOT_DURABLE',
      message: expect.stringContaining('PGlite'),
    })
    await close()
    rmSync(directory, { recursive: true })
  })

  it.each(['mysql://localhost/x', 'localhost', ''])('has no URL like "%s"', async (url) => {
    await expect(postgresNullifiers({ url })).rejects.toThrow(code('INVALID_INPUT'))
  })

  it('is one where nothing listens, and the password is not told', async () => {
    const proxy = await openTestProxy(1)
    await proxy.close()
    const url = `postgres://ann:hunter2@127.0.0.1:${proxy.port}/rialto`
    const error = await failure(postgresNullifiers({ url }))
    expect(error).toMatchObject({
      code: 'STORE_UNAVAILABLE',
      retryable: true,
      details: { reason: 'ECONNREFUSED' },
    })
    expect(everythingIn(error)).not.toContain('hunter2')
  })
})

describe.runIf(server !== '')(`nullifiers in PostgreSQL (${NEEDS_SERVER})`, () => {
  const { url, opened } = postgresStores()

  nullifierStoreSuite('PostgreSQL', () => postgresNullifiers({ url: url() }))
  nullifierStoreSuite('PostgreSQL, on one connection of a given pool', async () => {
    const pool = new Pool({ connectionString: url(), max: 1 })
    const store = await postgresNullifiers({ pool })
    return {
      ...store,
      async close() {
        await store.close()
        await pool.query('SELECT 1')
        await pool.end()
      },
    }
  })

  describe('opening', () => {
    it('makes the schema once, however many open at once', async () => {
      const database = await createTestDatabase(server)
      const stores = await Promise.all(
        Array.from({ length: 12 }, () => postgresNullifiers({ url: database.url })),
      )
      expect(new Set(stores.map(({ owner }) => owner)).size).toBe(12)
      const spend = randomSpend()
      const results = await Promise.all(stores.map((store) => store.reserve(spend)))
      expect(results.filter(({ kind }) => kind === 'fresh')).toHaveLength(1)
      for (const store of stores) await store.close()
      await database.drop()
    })

    it('needs no right to make a schema that is there', async () => {
      await (await opened()).close()
      const role = `rialto_${randomBytes(6).toString('hex')}`
      const limited = new URL(url())
      limited.username = role
      limited.password = 'secret'
      await onServer(url(), `CREATE ROLE ${role} LOGIN PASSWORD 'secret'`)
      const refused = await failure(
        postgresNullifiers({ url: limited.href }).then((store) => store.reserve(randomSpend())),
      )
      expect(refused).toMatchObject({ code: 'STORE_REFUSED', retryable: false })
      await onServer(
        url(),
        `GRANT USAGE ON SCHEMA rialto_nullifiers TO ${role}`,
        `GRANT SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA rialto_nullifiers TO ${role}`,
      )
      const store = await opened({ url: limited.href })
      const spend = randomSpend()
      expect(await store.reserve(spend)).toEqual({ kind: 'fresh' })
      await store.settle(spend, 1, randomDigests(1))
      await store.close()
      await onServer(url(), `DROP OWNED BY ${role}`, `DROP ROLE ${role}`)
    })

    it('refuses a schema of another version', async () => {
      const database = await createTestDatabase(server)
      await (await postgresNullifiers({ url: database.url })).close()
      await onServer(database.url, `COMMENT ON SCHEMA rialto_nullifiers IS 'rialto nullifiers 2'`)
      await expect(postgresNullifiers({ url: database.url })).rejects.toThrow(code('STORE_REFUSED'))
      await database.drop()
    })

    it('refuses a server whose transactions do not see what others committed', async () => {
      const pool = new Pool({
        connectionString: url(),
        options: '-c default_transaction_isolation=serializable',
      })
      await expect(postgresNullifiers({ pool })).rejects.toThrow(code('STORE_REFUSED'))
      await pool.end()
    })

    it('refuses a server whose commits are not durable', async () => {
      const pool = new Pool({ connectionString: url(), options: '-c synchronous_commit=off' })
      expect(await failure(postgresNullifiers({ pool }))).toMatchObject({
        code: 'STORE_NOT_DURABLE',
        details: { setting: 'synchronous_commit' },
      })
      await pool.end()
    })

    it('answers nothing any more once commits have stopped to be durable', async () => {
      const database = await createTestDatabase(server)
      const pool = new Pool({ connectionString: database.url, max: 1 })
      const store = await postgresNullifiers({ pool })
      const [before, spend] = [randomSpend(), randomSpend()]
      await store.reserve(before)
      const name = new URL(database.url).pathname.slice(1)
      await onServer(server, `ALTER DATABASE ${name} SET synchronous_commit = off`)
      // A connection that is open goes by its own setting, which is as if it had been opened after.
      await pool.query('SET synchronous_commit = off')
      for (const asking of [
        () => store.reserve(spend),
        () => store.reserve(before),
        () => store.settle(before, 1, randomDigests(1)),
      ])
        await expect(asking()).rejects.toThrow(code('STORE_NOT_DURABLE'))
      await onServer(server, `ALTER DATABASE ${name} RESET synchronous_commit`)
      // The pool gives up a connection that answered with an error.
      expect(await store.reserve(spend)).toEqual({ kind: 'fresh' })
      expect(await store.reserve(before)).toEqual(unsettledBy(store.owner))
      await store.close()
      await pool.end()
      await database.drop()
    })
  })

  describe('several stores on one database', () => {
    it('tell one another who reserved what, and what became of it', async () => {
      const [one, two] = [await opened({ owner: 'one' }), await opened({ owner: 'two' })]
      const spend = randomSpend()
      const digests = randomDigests(2)
      await one.reserve(spend)
      expect(await two.reserve(spend)).toEqual(unsettledBy('one'))
      await two.settle(spend, 2, digests)
      await one.settle(spend, 2, digests)
      await expect(one.settle(spend, 1, randomDigests(1))).rejects.toThrow(code('SPEND_SETTLED'))
      expect(await one.reserve(spend)).toEqual({ kind: 'repeated', change: 2 })
      expect(await two.isSpent(spend.nullifiers[3] ?? randomBytes(32))).toBe(true)
      expect(await Promise.all(digests.map((digest) => one.wasSigned(digest)))).toEqual([true, true])
    })

    it('count the age of a reservation by the clock of the database', async () => {
      const store = await opened({ owner: 'one' })
      const spend = randomSpend()
      await store.reserve(spend)
      await onServer(
        url(),
        `UPDATE rialto_nullifiers.spends SET reserved_at = reserved_at - interval '1 hour'
            WHERE binding = '\\x${toHex(spend.binding)}'`,
      )
      const reservation = await store.reserve(spend)
      expect(reservation).toEqual(unsettledBy('one'))
      expect('age' in reservation && reservation.age).toBeGreaterThanOrEqual(3_600_000)
    })

    it('refuse nothing without a cause, and never give a token twice', async () => {
      const stores = await Promise.all(Array.from({ length: 3 }, () => opened()))
      const tokens = Array.from({ length: 60 }, () => randomBytes(32))
      const draw = (): Spend => {
        const nullifiers = new Set<Uint8Array>()
        while (nullifiers.size < 3) nullifiers.add(tokens[randomBytes(1).readUInt8() % 60] ?? randomBytes(32))
        return { nullifiers: [...nullifiers], binding: randomBytes(32) }
      }
      const spends = Array.from({ length: 600 }, draw)
      const results = await Promise.allSettled(
        spends.map(async (spend, at) => stores[at % 3]?.reserve(spend)),
      )
      const holders = new Map<Uint8Array, number>()
      for (const [at, result] of results.entries()) {
        if (result.status === 'rejected') {
          expect(result.reason).toMatchObject({ code: 'NULLIFIER_SPENT' })
          continue
        }
        expect(result.value).toEqual({ kind: 'fresh' })
        for (const token of spends[at]?.nullifiers ?? []) {
          expect(holders.has(token)).toBe(false)
          holders.set(token, at)
        }
      }
      for (const [at, { status }] of results.entries())
        if (status === 'rejected')
          expect(spends[at]?.nullifiers.some((token) => holders.has(token))).toBe(true)
      for (const token of tokens) expect(await stores[0]?.isSpent(token)).toBe(holders.has(token))
    })

    it('let one of two processes have a token, 200 times', async () => {
      const names = ['ann', 'bob']
      const racers = names.map((name) => {
        const child = startSpender('postgres', url(), 'race', name)
        return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() }
      })
      const said = async (): Promise<readonly (readonly string[])[]> =>
        Promise.all(racers.map(async ({ lines }) => String((await lines.next()).value).split(' ')))
      expect(await said()).toEqual([['ready'], ['ready']])
      for (let round = 0; round < 200; round++) {
        for (const { child } of racers) child.stdin.write(`${round}\n`)
        const answers = await said()
        const winner = answers.findIndex(([, kind]) => kind === 'fresh')
        const loser = round % 2 === 0 ? ['repeated', names[winner]] : ['NULLIFIER_SPENT', '']
        expect(answers[winner]).toEqual([String(round), 'fresh', ''])
        expect(answers[1 - winner]).toEqual([String(round), ...loser])
      }
      const ended = racers.map(({ child }) => once(child, 'close'))
      for (const { child } of racers) child.stdin.end()
      for (const [status] of await Promise.all(ended)) expect(status).toBe(0)
    })

    it('lose nothing that was acknowledged when a process is killed', () =>
      expectToSurviveKill(['postgres', url()], () => postgresNullifiers({ url: url() })))
  })

  it('serves on close what was asked before, and nothing after', async () => {
    const store = await opened()
    const spends = Array.from({ length: 700 }, () => randomSpend(1))
    const results = Promise.all(spends.map((spend) => store.reserve(spend)))
    await Promise.all([store.close(), store.close()])
    expect(new Set((await results).map(({ kind }) => kind))).toEqual(new Set(['fresh']))
    await expect(store.reserve(randomSpend())).rejects.toThrow(code('INVARIANT'))
  })

  it('tells in no error what was asked', async () => {
    const database = await createTestDatabase(server)
    const store = await postgresNullifiers({ url: database.url })
    const spend = randomSpend()
    await store.reserve(spend)
    // A key that is there already, a value that does not fit, and a table that is gone.
    await onServer(
      database.url,
      'ALTER TABLE rialto_nullifiers.settlements ADD CHECK (change < 1)',
      'ALTER TABLE rialto_nullifiers.nullifiers ADD CHECK (length(nullifier) < 32) NOT VALID',
    )
    const errors = [
      await failure(store.settle(spend, 1, randomDigests(1))),
      await failure(store.reserve(randomSpend())),
    ]
    await onServer(database.url, 'DROP TABLE rialto_nullifiers.nullifiers')
    errors.push(await failure(store.reserve(spend)))
    for (const error of errors) {
      expect(error).toMatchObject({ code: 'STORE_REFUSED' })
      expect(error).not.toHaveProperty('cause')
      expect(everythingIn(error)).not.toMatch(/[0-9a-f]{16}/)
    }
    await store.close()
    await database.drop()
  })
})
