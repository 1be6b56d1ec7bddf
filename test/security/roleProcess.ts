import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { InvariantError } from '../../runtime/core/errors.ts'
import { builtEntry } from '../runner/builtEntry.ts'

/** One role of the network in a process of its own, run by the command line from source. */
export type Role = {
  readonly name: string
  /** Where it listens, as it said itself; the same after a restart. */
  readonly url: string
  readonly pid: number
  /** Everything that is its own: `state`, `home`, `tmp`, and `work`, which it runs in. */
  readonly folder: string
  /** All that it wrote to its streams, in all its lives. */
  stdout(): Buffer
  stderr(): Buffer
  /** Whether the process runs, and never ended by itself. */
  isAlive(): boolean
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>
  /** SIGTERM, and waits until it has ended in order: all that it had to write is written then. */
  stop(): Promise<void>
  /** Starts it again, on the same port and folder. */
  start(): Promise<void>
}

/** How long a process may take to listen, in milliseconds: its modules are compiled as it loads them. */
const PATIENCE = 60_000

/**
 * Starts `rialto inference …` as its operator would, and waits until it listens. Core dumps are off: a dump is all of
 * a memory.
 *
 * @param parameters.argv behind `rialto inference`, with a port that stays
 */
export async function startRole(parameters: {
  readonly name: string
  readonly folder: string
  readonly argv: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}): Promise<Role> {
  const { name, folder, argv, env = {} } = parameters
  for (const part of ['state', 'home', 'tmp', 'work']) await mkdir(join(folder, part), { recursive: true })
  const written = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
  let child: ChildProcess | undefined
  let url = ''

  async function start(): Promise<void> {
    const command = [process.execPath, ...builtEntry('infra/cli/main'), 'inference', ...argv, '--json']
    const started = spawn('/bin/sh', ['-c', 'ulimit -c 0; exec "$@"', 'sh', ...command], {
      cwd: join(folder, 'work'),
      env: {
        PATH: process.env.PATH,
        NO_COLOR: '1',
        HOME: join(folder, 'home'),
        TMPDIR: join(folder, 'tmp'),
        RIALTO_DIR: join(folder, 'state'),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child = started
    started.stderr.on('data', (bytes: Buffer) => written.stderr.push(bytes))
    url = await new Promise<string>((resolve, reject) => {
      let line = ''
      const fail = (why: string) =>
        reject(
          new InvariantError(`The role ${name} ${why}: ${Buffer.concat(written.stderr).toString().trim()}`),
        )
      const timer = setTimeout(() => fail('does not listen'), PATIENCE)
      started.once('exit', () => fail('ended'))
      started.once('error', ({ message }) => fail(message))
      started.stdout.on('data', (bytes: Buffer) => {
        written.stdout.push(bytes)
        line += bytes.toString()
        if (!line.includes('\n')) return
        clearTimeout(timer)
        resolve((JSON.parse(line.slice(0, line.indexOf('\n'))) as { url: string }).url)
      })
    })
  }

  const runs = () => child !== undefined && child.exitCode === null && child.signalCode === null
  const end = (signal: NodeJS.Signals) => async (): Promise<void> => {
    if (child === undefined || !runs()) return
    // `close` comes when all that it wrote was read.
    const gone = once(child, 'close')
    child.kill(signal)
    await gone
  }
  const kill = end('SIGKILL')

  try {
    await start()
  } catch (error) {
    await kill()
    throw error
  }
  return {
    name,
    folder,
    get url() {
      return url
    },
    get pid() {
      return child?.pid ?? 0
    },
    stdout: () => Buffer.concat(written.stdout),
    stderr: () => Buffer.concat(written.stderr),
    isAlive: runs,
    kill,
    stop: end('SIGTERM'),
    start,
  }
}
