import { randomBytes } from 'node:crypto'
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { RialtoError } from '../../runtime/core/errors.ts'
import { createCheckpointer } from './createCheckpointer.ts'
import { createJournals } from './createJournals.ts'
import { type Database, type DatabaseOptions, openDatabase } from './openDatabase.ts'
import { toDatabaseError } from './toDatabaseError.ts'

const root = mkdtempSync(join(tmpdir(), 'rialto-store-'))
let directories = 0
const newDirectory = (): string => {
  directories += 1
  return join(root, String(directories))
}
const open = new Set<Database>()
async function opened(options: DatabaseOptions): Promise<Database> {
  const database = await openDatabase(options)
  open.add(database)
  return database
}
afterEach(async () => {
  for (const database of open) await database.close()
  open.clear()
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** The one line that a person reads when the database does not open. */
async function refusal(options: DatabaseOptions): Promise<{ code: string; line: string }> {
  const error = await opened(options).then(
    () => null,
    (thrown: RialtoError) => thrown,
  )
  if (error === null) return expect.unreachable('it must not open')
  const line = error.toLine()
  expect(line).not.toContain('\n')
  expect(error.fix).toBeDefined()
  return { code: error.code, line }
}

describe('openDatabase with a directory', () => {
  // A database that was opened and closed in good order, to be copied: making one takes much longer.
  const pristine = newDirectory()
  beforeAll(async () => (await openDatabase({ directory: pristine })).close())
  function copied(): string {
    const directory = newDirectory()
    cpSync(pristine, directory, { recursive: true })
    return directory
  }

  it('keeps what was written from one opening to the next', async () => {
    const directory = copied()
    const first = await opened({ directory })
    expect(first.kind).toBe('embedded')
    await first.pool.query('CREATE TABLE kept AS SELECT 42 AS answer')
    await first.close()
    const second = await opened({ directory })
    expect((await second.pool.query('SELECT answer FROM kept')).rows).toEqual([{ answer: 42 }])
  })

  it('closes once, however often it is told to, and waits for what is under way', async () => {
    const database = await opened({ directory: copied() })
    const slow = database.pool.query('SELECT count(*)::int AS n FROM generate_series(1, 200000)')
    await Promise.all([database.close(), database.close()])
    expect((await slow).rows).toEqual([{ n: 200_000 }])
  })

  it('refuses a directory that is open already, in this process too', async () => {
    const directory = copied()
    const database = await opened({ directory })
    expect(await refusal({ directory })).toEqual({
      code: 'DIRECTORY_IN_USE',
      line: expect.stringContaining('this very process'),
    })
    await database.close()
    await opened({ directory })
  })

  it('begins again where a process was killed while it filled the directory', async () => {
    const directory = newDirectory()
    const data = join(directory, 'journal', 'data')
    mkdirSync(data, { recursive: true })
    writeFileSync(join(data, 'PG_VERSION'), 'half-written')
    writeFileSync(join(directory, 'journal', 'data.unfinished'), '')
    await opened({ directory })
    expect(existsSync(join(directory, 'journal', 'data.unfinished'))).toBe(false)
  })

  it.each([
    ['an empty control file', (data: string) => truncateSync(join(data, 'global', 'pg_control'))],
    ['an overwritten control file', (data: string) => scribble(join(data, 'global', 'pg_control'))],
    ['no control file', (data: string) => rmSync(join(data, 'global', 'pg_control'))],
    ['no version', (data: string) => rmSync(join(data, 'PG_VERSION'))],
  ])('says so when the data directory is corrupt: %s', async (_what, damage) => {
    const directory = copied()
    damage(join(directory, 'journal', 'data'))
    expect(await refusal({ directory })).toEqual({
      code: 'DATABASE_CORRUPT',
      line: expect.stringContaining(directory),
    })
    // It is still there for whoever can mend it, and its lock is not held.
    expect(await refusal({ directory })).toMatchObject({ code: 'DATABASE_CORRUPT' })
  })

  it('says so when the directory cannot be written to', async () => {
    const file = join(root, 'a-file')
    writeFileSync(file, '')
    expect(await refusal({ directory: join(file, 'below') })).toMatchObject({
      code: 'DIRECTORY_NOT_WRITABLE',
    })
  })

  it('refuses a database that a newer version migrated', async () => {
    const directory = copied()
    const database = await opened({ directory })
    await database.pool.query(
      `INSERT INTO rialto.migrations (hash, created_at) VALUES ('from the future', 9e12)`,
    )
    await database.close()
    expect(await refusal({ directory })).toMatchObject({ code: 'DATABASE_TOO_NEW' })
  })

  it('gives a query that fails the name of the failure, and goes on', async () => {
    const { pool } = await opened({ directory: copied() })
    await expect(pool.query('SELECT 1 / 0')).rejects.toMatchObject({ code: '22012' })
    await expect(pool.query('SELECT $1::int / 0', [1])).rejects.toMatchObject({ code: '22012' })
    expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
  })

  it('undoes the transaction of a client that went away, and makes the session new', async () => {
    const { pool } = await opened({ directory: copied() })
    await pool.query('CREATE TABLE t (n int)')
    const client = await pool.connect()
    await client.query('BEGIN')
    await client.query('INSERT INTO t VALUES (1)')
    await client.query(`SET application_name = 'mine'`)
    client.release(true)
    const { rows } = await pool.query(
      `SELECT count(*)::int AS n, current_setting('application_name') AS name FROM t`,
    )
    expect(rows).toEqual([{ n: 0, name: '' }])
  })

  it('carries rows that are larger than any buffer on the way', async () => {
    const { pool } = await opened({ directory: copied() })
    const text = 'x'.repeat(5_000_000)
    const { rows } = await pool.query('SELECT $1::text AS text', [text])
    expect(rows[0].text === text).toBe(true)
  })
})

function scribble(file: string): void {
  const descriptor = openSync(file, 'r+')
  writeSync(descriptor, Buffer.alloc(256, 0xa5))
  closeSync(descriptor)
}

describe('openDatabase with a URL', () => {
  const PASSWORD = 'hunter2'
  const servers: Server[] = []
  const sockets = new Set<Socket>()
  afterEach(() => {
    for (const socket of sockets) socket.destroy()
    for (const server of servers.splice(0)) server.close()
  })

  /** The URL of something that answers whatever is sent to it first. */
  async function fake(answer: Buffer | string): Promise<string> {
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.once('data', () => socket.write(answer))
      socket.on('error', () => sockets.delete(socket))
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    return `postgres://ann:${PASSWORD}@127.0.0.1:${typeof address === 'object' ? address?.port : ''}/rialto`
  }

  /** PostgreSQL's ErrorResponse. */
  function errorResponse(sqlState: string): Buffer {
    const fields = Buffer.from(`SFATAL\0C${sqlState}\0Mno, and the password was ${PASSWORD}\0\0`)
    const head = Buffer.from([0x45, 0, 0, 0, 0])
    head.writeInt32BE(fields.length + 4, 1)
    return Buffer.concat([head, fields])
  }

  it.each([
    ['28P01', 'DATABASE_LOGIN'],
    ['28000', 'DATABASE_LOGIN'],
    ['3D000', 'DATABASE_MISSING'],
    ['57P03', 'DATABASE_LOST'],
    ['53300', 'DATABASE_LOST'],
    ['XX000', 'DATABASE_FAILED'],
  ])('SQLSTATE %s is %s, in one line without the password', async (sqlState, code) => {
    const found = await refusal({ url: await fake(errorResponse(sqlState)) })
    expect(found.code).toBe(code)
    expect(found.line).not.toContain(PASSWORD)
  })

  it('DATABASE_UNREACHABLE where nothing listens', async () => {
    const url = await fake('')
    await new Promise((resolve) => servers.splice(0)[0]?.close(resolve))
    const found = await refusal({ url })
    expect(found).toMatchObject({
      code: 'DATABASE_UNREACHABLE',
      line: expect.stringContaining('ECONNREFUSED'),
    })
    expect(found.line).not.toContain(PASSWORD)
  })

  it('DATABASE_UNREACHABLE from something that is no PostgreSQL', async () => {
    const found = await refusal({ url: await fake('HTTP/1.1 400 Bad Request\r\n\r\n') })
    expect(found.code).toBe('DATABASE_UNREACHABLE')
    expect(found.line).not.toContain(PASSWORD)
  })

  it.each(['mysql://localhost/x', 'localhost', '', `postgres//:${PASSWORD}@localhost`])(
    'INVALID_INPUT for "%s"',
    async (url) => {
      const found = await refusal({ url })
      expect(found.code).toBe('INVALID_INPUT')
      expect(found.line).not.toContain(PASSWORD)
    },
  )
})

const { TEST_DATABASE_URL = '' } = process.env

describe.runIf(TEST_DATABASE_URL !== '')(
  'openDatabase with a real PostgreSQL (set TEST_DATABASE_URL to one where databases and roles can be made)',
  () => {
    const suffix = randomBytes(6).toString('hex')
    const database = `rialto_open_${suffix}`
    const role = `rialto_role_${suffix}`
    const urlOf = (changes: Partial<Pick<URL, 'username' | 'password' | 'pathname'>>): string =>
      Object.assign(new URL(TEST_DATABASE_URL), { pathname: `/${database}` }, changes).href
    async function onServer(...statements: string[]): Promise<void> {
      const client = new Client({ connectionString: TEST_DATABASE_URL })
      await client.connect()
      for (const statement of statements) await client.query(statement)
      await client.end()
    }
    beforeAll(() => onServer(`CREATE DATABASE ${database}`, `CREATE ROLE ${role} LOGIN PASSWORD 'right'`))
    afterAll(() => onServer(`DROP DATABASE ${database} WITH (FORCE)`, `DROP ROLE ${role}`))

    it('is migrated once when many processes open it at the same time', async () => {
      const url = urlOf({})
      const all = await Promise.all(Array.from({ length: 4 }, () => opened({ url })))
      const { rows } = await (all[0]?.pool ?? expect.unreachable()).query(
        'SELECT hash FROM rialto.migrations',
      )
      const migrations = readdirSync(new URL('./migrations', import.meta.url)).filter((name) =>
        name.endsWith('.sql'),
      )
      expect(rows).toHaveLength(migrations.length)
      await Promise.all(all.map((one) => createCheckpointer(one)))
    })

    it.each([
      ['DATABASE_LOGIN', { password: 'wrong-secret' }],
      ['DATABASE_LOGIN', { username: 'nobody-at-all', password: 'wrong-secret' }],
      ['DATABASE_LOGIN', { password: '' }],
      ['DATABASE_MISSING', { pathname: '/nowhere-to-be-found' }],
      ['DATABASE_PERMISSION', { username: role, password: 'right' }],
    ])('%s for %o', async (code, changes) => {
      const found = await refusal({ url: urlOf(changes) })
      expect(found.code).toBe(code)
      expect(found.line).not.toContain('wrong-secret')
    })

    it('DATABASE_READ_ONLY where nothing can be written', async () => {
      await onServer(`ALTER ROLE ${role} SET default_transaction_read_only = on`)
      expect(await refusal({ url: urlOf({ username: role, password: 'right' }) })).toMatchObject({
        code: 'DATABASE_READ_ONLY',
      })
    })

    it('tells a query that its connection was lost, and goes on with another', async () => {
      const one = await opened({ url: urlOf({}) })
      const journal = await createJournals(one).open(1, `0x${'cd'.repeat(32)}`)
      const client = await one.pool.connect()
      const { rows } = await client.query('SELECT pg_backend_pid() AS pid')
      const waiting = client.query('SELECT pg_sleep(60)').then(
        () => expect.unreachable('it must be cut off'),
        (error) => toDatabaseError(error, one.where, 'wait'),
      )
      await onServer(`SELECT pg_terminate_backend(${rows[0].pid})`)
      expect(await waiting).toMatchObject({ code: 'DATABASE_LOST', retryable: true })
      client.release(true)
      expect(await journal.counts()).toEqual({ runs: 0, intents: 0, attempts: 0 })
    })
  },
)
