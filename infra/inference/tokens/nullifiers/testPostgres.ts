import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { InvariantError } from '../../../../runtime/core/errors.ts'
import { freePort } from '../../../http/freePort.ts'

const run = promisify(execFile)

/** A database of its own on the server of a URL, for one test file. */
export async function createTestDatabase(
  server: string,
): Promise<{ readonly url: string; drop(): Promise<void> }> {
  const name = `rialto_test_${randomBytes(6).toString('hex')}`
  await onServer(server, `CREATE DATABASE ${name}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => onServer(server, `DROP DATABASE ${name} WITH (FORCE)`) }
}

export async function onServer(url: string, ...statements: readonly string[]): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  for (const statement of statements) await client.query(statement)
  await client.end()
}

/** Where Debian puts the programs of the server: outside the path. Null where there are none. */
export function findPostgres(): string | null {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root).toSorted((a, b) => Number(b) - Number(a)) : []
  return (
    versions.map((version) => join(root, version, 'bin')).find((bin) => existsSync(join(bin, 'initdb'))) ??
    null
  )
}

/** A PostgreSQL server that may be killed. */
export type TestServer = {
  readonly url: string
  /** All that the server wrote about itself. */
  log(): string
  /** SIGKILL to the postmaster: what was not on the disk by then is lost to the server. */
  kill(): void
  /** Starts it again, which waits until what is left of the killed one is gone. */
  start(): Promise<void>
  remove(): Promise<void>
}

/** @param bin from {@link findPostgres} */
export async function startTestServer(bin: string): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'rialto-postgres-'))
  const data = join(folder, 'data')
  const port = await freePort()
  const root = process.getuid?.() === 0
  // The server runs as anybody but root.
  const user = root ? await idsOf('postgres') : null
  if (user !== null) chownSync(folder, user.uid, user.gid)
  const program = (name: string, ...parameters: readonly string[]) =>
    run(join(bin, name), parameters, {
      ...user,
      cwd: folder,
      env: { PATH: process.env.PATH ?? '', LC_ALL: 'C' },
    })
  await program('initdb', '-D', data, '-A', 'trust', '-U', 'postgres', '-E', 'UTF8')

  const options = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${folder}`
  const attempt = () => program('pg_ctl', '-D', data, '-w', '-l', join(folder, 'log'), '-o', options, 'start')
  async function start(): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await attempt()
        return
      } catch (error) {
        if (tries === 50) throw error
      }
    }
  }
  await start()
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    log: () => readFileSync(join(folder, 'log'), 'utf8'),
    kill: () =>
      process.kill(Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]), 'SIGKILL'),
    start,
    async remove() {
      await program('pg_ctl', '-D', data, '-m', 'immediate', 'stop')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function idsOf(name: string): Promise<{ readonly uid: number; readonly gid: number }> {
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map(async (what) => Number((await run('id', [what, name])).stdout)),
  )
  if (uid === undefined || gid === undefined) throw new InvariantError('There is no such user.', { name })
  return { uid, gid }
}
