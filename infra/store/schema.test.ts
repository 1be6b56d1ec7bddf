import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getTableColumns, getTableName, isTable } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
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
