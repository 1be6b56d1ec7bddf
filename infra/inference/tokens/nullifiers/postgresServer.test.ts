import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../bytes.ts'
import type { Spend } from '../change/spend.ts'
import { postgresNullifiers } from './postgresNullifiers.ts'
import { randomDigests, randomSpend } from './testNullifierStore.ts'
import { findPostgres, onServer, startTestServer, type TestServer } from './testPostgres.ts'

const bin = findPostgres()
const { TEST_DATABASE_URL } = process.env

describe.runIf(TEST_DATABASE_URL !== undefined && bin !== null)(
  'a PostgreSQL server that is killed (set TEST_DATABASE_URL, and install the server: it starts one of its own)',
  () => {
    let server: TestServer
    beforeAll(async () => {
      server = await startTestServer(bin ?? '')
    })
    afterAll(() => server.remove())

    it('gives every token once, and keeps what it acknowledged, through three kills in mid-burst', {
      timeout: 180_000,
    }, async () => {
      const store = await postgresNullifiers({ url: server.url })
      const spent: { readonly spend: Spend; readonly change: number }[] = []
      let failures = 0
      let restarts = 0
      let back = Promise.resolve()
      /** Asks until there is an answer, each time when the server is back. */
      async function untilAnswered<Result>(ask: () => Promise<Result>): Promise<Result> {
        for (;;)
          try {
            return await ask()
          } catch (error) {
            expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true })
            failures += 1
            await back
          }
      }
      const lane = async (): Promise<void> => {
        while (restarts < 3) {
          const spend = randomSpend()
          const reserved = await untilAnswered(() => store.reserve(spend))
          // Nobody else has the token, so it has to be fresh, whatever happened to the attempts before.
          expect(reserved).toEqual({ kind: 'fresh' })
          const change = spent.length % 5
          const digests = randomDigests(change)
          await untilAnswered(() => store.settle(spend, change, digests))
          spent.push({ spend, change })
        }
      }
      const lanes = Array.from({ length: 16 }, lane)
      const killing = (async () => {
        for (; restarts < 3; restarts++) {
          const before = spent.length
          while (spent.length < before + 200) await new Promise(setImmediate)
          server.kill()
          back = server.start()
          await back
        }
      })()
      await Promise.all([killing, ...lanes])
      expect(failures).toBeGreaterThan(0)
      await store.close()

      const again = await postgresNullifiers({ url: server.url })
      const found = await Promise.all(spent.map(({ spend }) => again.reserve(spend)))
      expect(found).toEqual(spent.map(({ change }) => ({ kind: 'repeated', change })))
      await again.close()
      const client = new Client({ connectionString: server.url })
      await client.connect()
      const { rows } = await client.query(
        `SELECT (SELECT count(*)::int FROM rialto_nullifiers.nullifiers) AS nullifiers,
                (SELECT count(*)::int FROM rialto_nullifiers.spends) AS spends,
                (SELECT count(*)::int FROM rialto_nullifiers.settlements) AS settlements`,
      )
      await client.end()
      expect(rows).toEqual([
        { nullifiers: spent.length * 4, spends: spent.length, settlements: spent.length },
      ])
    })

    it('writes no nullifier into its log', async () => {
      const store = await postgresNullifiers({ url: server.url })
      const spends = Array.from({ length: 20 }, () => randomSpend())
      const shared = spends.map((spend) => ({
        nullifiers: [...spend.nullifiers.slice(1), randomBytes(32)],
        binding: randomBytes(32),
      }))
      await Promise.allSettled([...spends, ...shared, ...spends].map((spend) => store.reserve(spend)))
      await Promise.allSettled(spends.map((spend) => store.settle(spend, 1, randomDigests(1))))
      await store.close()
      const log = server.log()
      expect(log).toContain('database system is ready')
      for (const { nullifiers, binding } of [...spends, ...shared])
        for (const secret of [...nullifiers, binding]) expect(log).not.toContain(toHex(secret))
    })

    it('is refused when fsync is off, and answers nothing any more when it is turned off later', async () => {
      const store = await postgresNullifiers({ url: server.url })
      const spend = randomSpend()
      await store.reserve(spend)
      const set = async (value: string) => {
        await onServer(server.url, `ALTER SYSTEM SET fsync = ${value}`, 'SELECT pg_reload_conf()')
        // A server reads its configuration when it gets around to it.
        for (let now = ''; now !== value; ) {
          const client = new Client({ connectionString: server.url })
          await client.connect()
          now = (await client.query<{ fsync: string }>('SHOW fsync')).rows[0]?.fsync ?? ''
          await client.end()
        }
      }
      await set('off')
      await expect(postgresNullifiers({ url: server.url })).rejects.toMatchObject({
        code: 'STORE_NOT_DURABLE',
        details: { setting: 'fsync' },
      })
      for (const asked of [spend, randomSpend()])
        await expect(store.reserve(asked)).rejects.toMatchObject({ code: 'STORE_NOT_DURABLE' })
      await store.close()
      await set('on')
      const again = await postgresNullifiers({ url: server.url })
      expect((await again.reserve(spend)).kind).toBe('repeated')
      await again.close()
    })
  },
)
