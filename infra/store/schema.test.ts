import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getTableColumns, getTableName, isTable } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AttemptStatus, attemptStatuses, mayMove } from '../../runtime/core/attempts.ts'
import { type Database, openDatabase } from './openDatabase.ts'
import * as schema from './schema.ts'

const directory = mkdtempSync(join(tmpdir(), 'rialto-schema-'))
let database: Database
beforeAll(async () => {
  database = await openDatabase({ directory })
})
afterAll(async () => {
  await database.close()
  rmSync(directory, { recursive: true })
})

const tables = Object.values(schema).filter((value) => isTable(value))

describe('the schema in the code and the one that the migrations make', () => {
  it.each(tables.map((table) => [getTableName(table), table] as const))(
    'agree about %s',
    async (name, table) => {
      const { rows } = await database.pool.query<{
        name: string
        type: string
        nullable: boolean
        filled: boolean
      }>(
        `SELECT column_name AS name,
              CASE WHEN domain_name IS NULL THEN data_type ELSE domain_schema || '.' || domain_name END AS type,
              is_nullable = 'YES' AS nullable,
              column_default IS NOT NULL OR is_identity = 'YES' AS filled
         FROM information_schema.columns WHERE table_schema = 'rialto' AND table_name = $1`,
        [name],
      )
      const inDatabase = new Map(rows.map((row) => [row.name, row]))
      for (const column of Object.values(getTableColumns(table))) {
        const found = inDatabase.get(column.name)
        expect(found, column.name).toBeDefined()
        expect(found?.type.replace('timestamp with time zone', 'timestamptz'), column.name).toBe(
          column.getSQLType(),
        )
        // What the code leaves out when it writes has to be filled by the database, or be null.
        if (column.notNull) expect(found?.nullable, column.name).toBe(false)
        inDatabase.delete(column.name)
      }
      for (const left of inDatabase.values()) expect(left.nullable || left.filled, left.name).toBe(true)
    },
  )

  it('hold no amount as a float', async () => {
    const { rows } = await database.pool.query(
      `SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'rialto' AND data_type IN ('real', 'double precision', 'money')`,
    )
    expect(rows).toEqual([])
  })
})

describe('the database itself', () => {
  const hash = `0x${'ab'.repeat(32)}`
  const account = `0x${'11'.repeat(20)}`
  beforeAll(async () => {
    await database.pool.query(`INSERT INTO rialto.epochs (id, chain_id, genesis_hash) VALUES ('e', 1, $1)`, [
      hash,
    ])
  })
  const insertRun = (column: string, value: unknown) =>
    database.pool.query(
      `INSERT INTO rialto.runs (epoch, id, agent, account, block_number, block_hash, status, ${column})
       VALUES (1, 'r', 'a', $1, 1, $2, 'started', $3)`,
      [account, hash, value],
    )
  const CHECK = '23514'

  it.each([
    ['half a decision', () => insertRun('reason', 'because')],
    ['a negative amount', () => insertRun('equity', '-1')],
    ['an amount of more than 256 bits', () => insertRun('equity', (2n ** 256n).toString())],
    ['an unknown source', () => insertRun('source', 'whim')],
    [
      'an address in mixed case',
      () =>
        database.pool.query(
          `INSERT INTO rialto.leases VALUES (1, '0x1111111111111111111111111111111111111aBc', 'h', 1, now())`,
        ),
    ],
    [
      'an unknown state',
      () => database.pool.query(`INSERT INTO rialto.trading_orders (state, reason) VALUES ('panic', '')`),
    ],
    [
      'a freeze of everyone',
      () =>
        database.pool.query(
          `INSERT INTO rialto.trading_orders (epoch, state, reason) VALUES (1, 'reducing', '')`,
        ),
    ],
  ])('refuses %s', async (_what, write) => {
    await expect(write()).rejects.toMatchObject({ code: CHECK })
  })
})

describe('the database about attempts', () => {
  const hash = `0x${'cd'.repeat(32)}`
  const account = `0x${'22'.repeat(20)}`
  const CHECK = '23514'
  const UNIQUE = '23505'
  const FOREIGN = '23503'
  type Columns = Record<string, unknown>
  let count = 0
  let epoch = 0
  beforeAll(async () => {
    const { rows } = await database.pool.query<{ key: number }>(
      `INSERT INTO rialto.epochs (id, chain_id, genesis_hash) VALUES ('attempts', 2, $1) RETURNING key`,
      [hash],
    )
    epoch = rows[0]?.key ?? 0
  })
  const bytes = { raw: Buffer.from('beef', 'hex'), hash }
  const block = { block_number: 1, block_hash: hash }

  /** Inserts a `fill`, which needs no intent, on a nonce of its own, with some columns as given. Gives its id. */
  async function insert(columns: Columns = {}): Promise<string> {
    count += 1
    const row: Columns = {
      epoch,
      id: `attempt-${count}`,
      purpose: 'fill',
      owner: account,
      chain_id: 1,
      account,
      nonce: count,
      nonces_used: 1,
      plan: {},
      plan_hash: hash,
      signed_at: 1,
      reserved: 1,
      status: 'prepared',
      ...columns,
    }
    const names = Object.keys(row)
    await database.pool.query(
      `INSERT INTO rialto.attempts (${names.join(', ')}) VALUES (${names.map((_, n) => `$${n + 1}`).join(', ')})`,
      Object.values(row),
    )
    return String(row.id)
  }
  const moveTo = (id: string, status: AttemptStatus) =>
    database.pool.query(
      `UPDATE rialto.attempts SET status = $2,
         raw = CASE WHEN $2 IN ('prepared', 'dropped') THEN NULL ELSE '\\xbeef'::bytea END,
         hash = CASE WHEN $2 IN ('prepared', 'dropped') THEN NULL ELSE $3 END,
         block_number = CASE WHEN $2 IN ('mined', 'confirmed', 'failed') THEN 1 END,
         block_hash = CASE WHEN $2 IN ('mined', 'confirmed', 'failed') THEN $3 END,
         spent = CASE WHEN $2 IN ('confirmed', 'failed', 'replaced', 'dropped') THEN 0 END,
         failure = CASE WHEN $2 IN ('unknown', 'failed', 'replaced', 'dropped') THEN 'why' END
       WHERE epoch = $4 AND id = $1`,
      [id, status, hash, epoch],
    )

  it.each<[string, Columns, string]>([
    ['an unknown status', { status: 'lost' }, CHECK],
    ['an unknown purpose', { purpose: 'fun' }, CHECK],
    ['an act of no intent', { purpose: 'act' }, CHECK],
    ['an intent under a fill', { intent_id: 'i', agent: 'a' }, CHECK],
    ['an agent without an intent', { agent: 'a' }, CHECK],
    ['bytes before the signature', bytes, CHECK],
    ['a signature without bytes', { status: 'signed' }, CHECK],
    ['bytes of what was dropped', { status: 'dropped', spent: 0, failure: '', ...bytes }, CHECK],
    ['a block of what is in none', { status: 'pending', ...bytes, ...block }, CHECK],
    ['half a block', { status: 'mined', ...bytes, block_number: 1 }, CHECK],
    ['something mined in no block', { status: 'mined', ...bytes }, CHECK],
    ['a cost before the end', { status: 'mined', ...bytes, ...block, spent: 1 }, CHECK],
    ['an end without its cost', { status: 'confirmed', ...bytes, ...block }, CHECK],
    ['a cost of what was replaced', { status: 'replaced', ...bytes, spent: 1, failure: '' }, CHECK],
    [
      'a failure of what succeeded',
      { status: 'confirmed', ...bytes, ...block, spent: 1, failure: '' },
      CHECK,
    ],
    ['a failure for no reason', { status: 'failed', ...bytes, ...block, spent: 1 }, CHECK],
    ['something that replaces itself', { id: 'self', replaces: 'self' }, CHECK],
    ['something that replaces nothing there is', { replaces: 'nothing' }, FOREIGN],
  ])('refuses %s', async (_what, columns, code) => {
    await expect(insert(columns)).rejects.toMatchObject({ code })
  })

  it('refuses a replacement on another nonce', async () => {
    const replaces = await insert()
    await expect(insert({ replaces })).rejects.toMatchObject({ code: FOREIGN })
    await insert({ replaces, nonce: count - 1 })
  })

  it('refuses a second attempt of a nonce that is mined for good', async () => {
    const confirmed = { status: 'confirmed', ...bytes, ...block, spent: 1, nonce: 999 }
    await insert(confirmed)
    await expect(insert({ ...confirmed, status: 'failed', failure: '' })).rejects.toMatchObject({
      code: UNIQUE,
    })
  })

  it('lets statuses go as the state machine does, and writes every step down for good', async () => {
    for (const from of attemptStatuses)
      for (const to of attemptStatuses) {
        if (from === to) continue
        const id = await insert()
        // Wherever an attempt is to begin, it gets there by the law itself.
        for (const status of pathTo(from)) await moveTo(id, status)
        if (mayMove(from, to)) await moveTo(id, to)
        else await expect(moveTo(id, to), `${from} to ${to}`).rejects.toMatchObject({ code: CHECK })
        const path = ['prepared', ...pathTo(from), ...(mayMove(from, to) ? [to] : [])]
        const { rows } = await database.pool.query(
          `SELECT ordinal, from_status AS from, to_status AS to FROM rialto.attempt_steps
            WHERE epoch = $2 AND attempt_id = $1 ORDER BY ordinal`,
          [id, epoch],
        )
        expect(rows).toEqual(path.map((status, n) => ({ ordinal: n, from: path[n - 1] ?? null, to: status })))
      }
  }, 120_000)

  it.each([
    `UPDATE rialto.attempt_steps SET to_status = 'signed'`,
    'DELETE FROM rialto.attempt_steps',
    'TRUNCATE rialto.attempt_steps',
  ])('refuses to %s', async (statement) => {
    await insert()
    await expect(database.pool.query(statement)).rejects.toMatchObject({ code: '23001' })
  })

  it('refuses an order for an agent and an account at once', async () => {
    const order = database.pool.query(
      `INSERT INTO rialto.trading_orders (agent, account, state, reason) VALUES ('a', $1, 'halted', '')`,
      [account],
    )
    await expect(order).rejects.toMatchObject({ code: CHECK })
  })
})

describe('the database about approvals', () => {
  const hash = (n: number) => `0x${n.toString(16).padStart(64, '0')}`
  const owner = `0x${'33'.repeat(20)}`
  const stranger = `0x${'44'.repeat(20)}`
  const CHECK = '23514'
  const KEPT = '23001'
  let epoch = 0
  let count = 0
  beforeAll(async () => {
    const { rows } = await database.pool.query<{ key: number }>(
      `INSERT INTO rialto.epochs (id, chain_id, genesis_hash) VALUES ('approvals', 3, $1) RETURNING key`,
      [hash(0)],
    )
    epoch = rows[0]?.key ?? 0
  })

  /** Inserts a request about an intent of its own, with some columns as given. Gives its id. */
  async function ask(columns: Record<string, unknown> = {}): Promise<string> {
    count += 1
    const id = hash(count)
    await database.pool.query(
      `INSERT INTO rialto.runs (epoch, id, agent, account, block_number, block_hash, status)
       VALUES ($1, $2, 'a', $3, 1, $4, 'started')`,
      [epoch, `run-${count}`, owner, hash(1)],
    )
    await database.pool.query(
      `INSERT INTO rialto.intents (epoch, id, run_id, agent, account, decided_on_block, action, status)
       VALUES ($1, $2, $3, 'a', $4, 1, '{}', 'proposed')`,
      [epoch, `intent-${count}`, `run-${count}`, owner],
    )
    const row: Record<string, unknown> = {
      epoch,
      id,
      intent_id: `intent-${count}`,
      agent: 'a',
      account: owner,
      plan: {},
      effects: {},
      policy_version: 'v1',
      reserved: 1,
      owners: JSON.stringify([owner]),
      threshold: 1,
      requested_at: 10,
      expires_at: 20,
      ...columns,
    }
    const names = Object.keys(row)
    await database.pool.query(
      `INSERT INTO rialto.approvals (${names.join(', ')}) VALUES (${names.map((_, n) => `$${n + 1}`).join(', ')})`,
      Object.values(row),
    )
    return id
  }
  const sign = (id: string, signer: string, bytes = 65) =>
    database.pool.query(
      `INSERT INTO rialto.approval_signatures (epoch, approval_id, signer, ordinal, signature, signed_at)
       VALUES ($1, $2, $3, 0, $4, 11)`,
      [epoch, id, signer, Buffer.alloc(bytes)],
    )
  const moveTo = (id: string, status: string, reason: string | null = null) =>
    database.pool.query('UPDATE rialto.approvals SET status = $3, reason = $4 WHERE epoch = $1 AND id = $2', [
      epoch,
      id,
      status,
      reason,
    ])

  it.each<[string, Record<string, unknown>]>([
    ['a request that begins as approved', { status: 'approved' }],
    ['one that nobody could be enough for', { threshold: 0 }],
    ['one without time to answer', { expires_at: 10 }],
    ['owners that are no list', { owners: '"ann"' }],
  ])('refuses %s', async (_what, columns) => {
    await expect(ask(columns)).rejects.toMatchObject({ code: CHECK })
  })

  it('refuses an approval by too few, or by strangers', async () => {
    const id = await ask()
    await expect(moveTo(id, 'approved')).rejects.toMatchObject({ code: CHECK })
    await sign(id, stranger)
    await expect(moveTo(id, 'approved')).rejects.toMatchObject({ code: CHECK })
    const other = await ask()
    await sign(other, owner)
    await moveTo(other, 'approved')
  })

  it('refuses a signature of another length, and a second one of an owner', async () => {
    const id = await ask()
    await expect(sign(id, owner, 64)).rejects.toMatchObject({ code: CHECK })
    await sign(id, owner)
    await expect(sign(id, owner)).rejects.toMatchObject({ code: '23505' })
  })

  it('keeps what was asked, what was signed, and every end', async () => {
    const id = await ask()
    await sign(id, owner)
    await expect(
      database.pool.query('UPDATE rialto.approvals SET expires_at = 30 WHERE epoch = $1 AND id = $2', [
        epoch,
        id,
      ]),
    ).rejects.toMatchObject({ code: KEPT })
    await expect(
      database.pool.query('DELETE FROM rialto.approval_signatures WHERE epoch = $1', [epoch]),
    ).rejects.toMatchObject({ code: KEPT })
    await expect(moveTo(id, 'void')).rejects.toMatchObject({ code: CHECK })
    await moveTo(id, 'void', 'drift')
    for (const status of ['pending', 'approved']) {
      await expect(moveTo(id, status)).rejects.toMatchObject({ code: CHECK })
    }
    await expect(moveTo(id, 'rejected', 'no')).rejects.toMatchObject({ code: CHECK })
  })
})

/** The shortest way from `prepared` to a status, itself included. */
function pathTo(goal: AttemptStatus): AttemptStatus[] {
  const paths = new Map<AttemptStatus, AttemptStatus[]>([['prepared', []]])
  for (const [at, path] of paths)
    for (const to of attemptStatuses) if (mayMove(at, to) && !paths.has(to)) paths.set(to, [...path, to])
  return paths.get(goal) ?? []
}
