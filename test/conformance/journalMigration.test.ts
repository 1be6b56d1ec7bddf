import { readMigrationFiles } from 'drizzle-orm/migrator'
import type { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodePlan } from '../../infra/store/json.ts'
import { migrateDatabase } from '../../infra/store/migrate.ts'
import { attemptId, type IntentId } from '../../runtime/core/ids.ts'
import type { AttemptStatus, IntentStatus, Journal } from '../../runtime/core/journal.ts'
import { planHash } from '../../runtime/core/lifecycle.ts'
import {
  type Actor,
  CHAIN_ID,
  confirmAttempt,
  decision,
  fakeAddress,
  fakeHash,
  leaseOf,
  newAgent,
  planOf,
} from './journalFixture.ts'
import { journalPlaces, type TestStore } from './journalStores.ts'

/* A database that the first version of the schema was filled under, as it is after the migrations since. */

const GENESIS = fakeHash('genesis')
const [first] = readMigrationFiles({ migrationsFolder: 'infra/store/migrations' })

/** What the first version could hold of an attempt, and what it is now. */
type Case = {
  readonly was: string
  readonly intent: IntentStatus
  readonly is: AttemptStatus
  readonly hasBytes: boolean
  readonly failure?: string
}
const cases: readonly Case[] = [
  { was: 'prepared', intent: 'signed', is: 'prepared', hasBytes: false },
  { was: 'signed', intent: 'signed', is: 'signed', hasBytes: true },
  { was: 'broadcast', intent: 'signed', is: 'broadcast', hasBytes: true },
  { was: 'unknown', intent: 'signed', is: 'unknown', hasBytes: true, failure: 'no receipt' },
  { was: 'confirmed', intent: 'done', is: 'confirmed', hasBytes: true },
  { was: 'reverted', intent: 'reverted', is: 'failed', hasBytes: true, failure: 'Assert' },
  { was: 'dropped', intent: 'expired', is: 'dropped', hasBytes: false, failure: 'never signed' },
  // Another transaction had used its nonce: the nonce is used, and it is no action that never was.
  { was: 'dropped', intent: 'expired', is: 'replaced', hasBytes: true, failure: 'another took it' },
]

async function fill(pool: Pool, { agent, account }: Actor): Promise<void> {
  const owner = account.toLowerCase()
  await pool.query(`INSERT INTO rialto.epochs (id, chain_id, genesis_hash) VALUES ($1, $2, $3)`, [
    `${CHAIN_ID}.${GENESIS}`,
    CHAIN_ID,
    GENESIS,
  ])
  for (const [n, { was, intent: status, hasBytes, failure }] of cases.entries()) {
    const intent = `intent-${n}` as IntentId
    const plan = planOf(intent, account)
    await pool.query(
      `INSERT INTO rialto.runs (epoch, id, agent, account, block_number, block_hash, status, snapshot_hash, intent,
         reason, source, candidates, inference_calls, equity, health_factor, decided_at)
       VALUES (1, $1, $2, $3, 1, $4, 'decided', $4, 'repay', 'r', 'rule', 1, 0, $5, 1, now())`,
      [`run-${n}`, agent, owner, fakeHash(n), decision.equity.toString()],
    )
    await pool.query(
      `INSERT INTO rialto.intents (epoch, id, run_id, agent, account, decided_on_block, action, status)
       VALUES (1, $1, $2, $3, $4, 1, '{"kind": "repay"}', $5)`,
      [intent, `run-${n}`, agent, owner, status],
    )
    const isMined = was === 'confirmed' || was === 'reverted'
    const id = attemptId(intent, 1)
    await pool.query(
      `INSERT INTO rialto.attempts (epoch, id, intent_id, agent, chain_id, account, nonce, nonces_used, plan, plan_hash,
         signed_at, reserved, status, raw, hash, block_number, block_hash, spent, failure)
       VALUES (1, $1, $2, $3, $4, $5, $6, 1, $7, $8, 5, 100, $9, $10, $11, $12, $13, $14, $15)`,
      [
        ...[id, intent, agent, CHAIN_ID, owner, n * 2, JSON.stringify(encodePlan(plan)), planHash(plan), was],
        ...[hasBytes ? Buffer.from('beef', 'hex') : null, hasBytes ? fakeHash(id) : null],
        ...[isMined ? 9 : null, isMined ? fakeHash('block') : null],
        ...[isMined ? 7 : was === 'dropped' ? 0 : null, failure ?? null],
      ],
    )
    await pool.query(
      `INSERT INTO rialto.outcomes (epoch, attempt_id, phase, health_factor, total_collateral, total_debt, equity,
         gas_used, gas_cost, balance_changes) VALUES (1, $1, 'expected', 1, 2, 3, 4, 5, 6, '[]')`,
      [id],
    )
    if (was !== 'dropped')
      await pool.query('INSERT INTO rialto.nonces VALUES (1, $1, $2, $3)', [owner, n * 2, id])
  }
  await pool.query(`INSERT INTO rialto.trading_orders (agent, state, reason) VALUES ($1, 'halted', '')`, [
    agent,
  ])
}

describe.each(journalPlaces)('a journal of the first version, in $place', ({ open }) => {
  const actor: Actor = { agent: newAgent(), account: fakeAddress('owner') }
  let database: TestStore
  let journal: Journal
  beforeAll(async () => {
    database = await open()
    const { pool } = database.store.database
    await pool.query('DROP SCHEMA rialto CASCADE')
    for (const statement of first?.sql ?? []) await pool.query(statement)
    await pool.query('CREATE TABLE rialto.migrations (id serial PRIMARY KEY, hash text, created_at bigint)')
    await pool.query('INSERT INTO rialto.migrations (hash, created_at) VALUES ($1, $2)', [
      first?.hash,
      first?.folderMillis,
    ])
    await fill(pool, actor)
    await migrateDatabase(pool, 'here')
    journal = await database.store.journals.open(CHAIN_ID, GENESIS)
  })
  afterAll(() => database.remove())

  it('has its attempts, each in the status that says the same', async () => {
    const attempts = await journal.attempts(actor.agent)
    expect(attempts.map(({ status }) => status)).toEqual(cases.map(({ is }) => is))
    for (const [n, attempt] of attempts.entries()) {
      expect(attempt).toMatchObject({
        ...{
          purpose: 'act',
          replaces: null,
          intentId: `intent-${n}`,
          account: actor.account,
          nonce: BigInt(n * 2),
        },
        ...{ failure: cases[n]?.failure ?? null, expected: { gasUsed: 5n } },
      })
      expect(await journal.steps(attempt.id)).toEqual([{ from: null, to: attempt.status }])
    }
  })

  it('has its nonces, its budget and its orders', async () => {
    expect(await journal.nextNonce(actor.account)).toBe(15n)
    expect(await journal.history(actor.agent, actor.account, 0n)).toMatchObject({
      spent: 4n * 100n + 2n * 7n,
      inFlight: 4,
      lastActionAt: 5n,
    })
    expect(await journal.tradingState(actor.agent, actor.account)).toBe('halted')
  })

  it('goes on from where it was', async () => {
    await leaseOf(journal, actor.account)
    const [, , broadcast, , confirmed] = await journal.attempts()
    if (broadcast === undefined || confirmed === undefined) return expect.unreachable('they are there')
    expect(await confirmAttempt(journal, broadcast.id)).toMatchObject({ status: 'confirmed' })
    expect(await journal.advance(confirmed.id, { to: 'reorged' })).toMatchObject({ spent: null })
    expect(await journal.steps(confirmed.id)).toEqual([
      { from: null, to: 'confirmed' },
      { from: 'confirmed', to: 'reorged' },
    ])
  })
})
