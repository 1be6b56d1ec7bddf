import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { Address } from 'viem'
import type { Logger, Signer } from '../../runtime/core/ports.ts'
import { entryPoint } from '../process/entryPoint.ts'
import { type Call, converse, gone, signerOver } from './connection.ts'
import { SignerError } from './errors.ts'
import { type PassphraseChannel, passphraseHandOver, type SignerPassphrase } from './keystore/handOver.ts'
import type { Started, StartParameters } from './messages.ts'
import { connectSocket, type SocketConnection } from './socket/connectSocket.ts'
import { parametersHash } from './socket/parametersHash.ts'

export type CreateSignerProcessParameters = Omit<StartParameters, 'passphrase'> & {
  /** Left out: the one that lies beside the keys. */
  readonly passphrase?: SignerPassphrase
  /** Told when the process ended by itself, and of a ledger that a crash had cut off. */
  readonly logger?: Pick<Logger, 'warn'>
  /** Milliseconds within which the process must answer; then it is given up. Default 20,000. */
  readonly timeout?: number
}

/** A signer in a process of its own, and what it said when it was ready. */
export type SignerProcess = Signer & {
  readonly started: Started
  /** Of the process that runs now; null between its end and the next request. */
  readonly pid: number | null
  /** @throws {SignerError} `UNKNOWN_ACCOUNT` when it was started without an account of that label. */
  addressOf(label: string): Address
  /** Lets go of the process, and returns when it is gone; or at once when a protector keeps it. */
  close(): Promise<void>
}

/**
 * Starts the one process that holds keys. No key is ever on this side: a plan goes over a private pipe, signed bytes
 * come back. Its environment is empty but for `PATH` (and, for keys in AWS KMS, `HOME` and `AWS_*`), and it writes to neither stdout nor stderr.
 *
 * A signer that a protector has kept alive, when whoever started it was killed, is taken over by its socket if it was
 * started with the same parameters; else it is asked to end, and another is started.
 *
 * When the process dies, what was asked of it is rejected at once with `SIGNER_GONE`, which is retryable: the ledger
 * makes the same request give the same bytes. The next request starts it again, bound to the same parameters; unless
 * its passphrase could be read only once, since nobody here has kept it: then the next request says so.
 *
 * It protects the keys and what may be signed from a parent that is compromised *later*, by what it reads or by a
 * model. A parent that is compromised before it starts the signer chooses the policy itself; against that the signer
 * belongs on another machine.
 *
 * @throws {SignerError} `KEYSTORE`, `LEDGER_CORRUPT`, `LEDGER_UNWRITABLE`, `SIGNER_LOCKED`, `SIGNER_CONFIGURATION`.
 * @example
 * const signer = await createSignerProcess({ directory: '.rialto', chainId, genesisHash, book,
 *   accounts: [{ label: 'guarded', key: { kind: 'derived', seed: '7' }, policies: [policy] }] })
 * const account = signer.addressOf('guarded')
 */
export async function createSignerProcess(parameters: CreateSignerProcessParameters): Promise<SignerProcess> {
  const { logger, timeout = 20_000, directory, passphrase, ...rest } = parameters
  const handOver = passphraseHandOver(passphrase)
  const own: StartParameters = { ...rest, directory: resolve(directory) }
  let closed = false
  let connection: Promise<Connection> | null = null
  let pid: number | null = null

  function onGone(why: string): void {
    connection = null
    pid = null
    if (!closed) logger?.warn({ why }, 'The signer process ended; the next request starts it again.')
  }

  async function open(): Promise<Connection> {
    const opened = (await takeOver(own, timeout, onGone)) ?? (await startAnew())
    pid = opened.pid
    return opened
  }

  async function startAnew(): Promise<Connection> {
    const { source, channel } = handOver()
    const opened = await openProcess(own.accounts, timeout, channel, onGone)
    const start = { ...own, ...(source === undefined ? {} : { passphrase: source }) }
    const started = (await opened.call('start', start).catch(async (error: unknown) => {
      await opened.close()
      throw error
    })) as Started
    if (started.ledger.tornBytes > 0)
      logger?.warn(
        { tornBytes: started.ledger.tornBytes },
        'A crash had cut off the last entry of the signer’s ledger before it was acknowledged; it was removed.',
      )
    return { ...opened, started }
  }

  function connect(): Promise<Connection> {
    if (closed) return Promise.reject(gone('it was closed'))
    connection ??= open().catch((error: unknown) => {
      // Nothing to hold on to: the next request tries again.
      connection = null
      throw error
    })
    return connection
  }

  async function close(): Promise<void> {
    closed = true
    const open = await connection?.catch(() => null)
    await open?.close()
  }

  const { started } = await connect()
  return {
    ...signerOver(connect),
    started,
    get pid() {
      return pid
    },
    addressOf(label) {
      const found = started.accounts.find((account) => account.label === label)
      if (found !== undefined) return found.address
      throw new SignerError(
        'UNKNOWN_ACCOUNT',
        `The signer was started without an account named "${label}".`,
        {
          fix: 'Name the account in the configuration, and start again.',
        },
      )
    },
    close,
  }
}

type Connection = {
  readonly pid: number
  readonly started: Started
  readonly call: Call
  close(): Promise<void>
}

/** Milliseconds to wait for an owner that is about to end: it was just killed, and its pipe closes in a moment. */
const PATIENCE_MS = 3_000

/**
 * Takes over the signer that runs for the folder, if one runs that was started with the same parameters; asks another
 * to end.
 *
 * @returns null when none is left
 * @throws {SignerError} `SIGNER_LOCKED` when it has an owner.
 */
async function takeOver(
  start: StartParameters,
  timeout: number,
  onGone: (why: string) => void,
): Promise<Connection | null> {
  const deadline = performance.now() + PATIENCE_MS
  const parameters = parametersHash(start)
  let isOurs = false
  for (;;) {
    let found: SocketConnection | null
    try {
      found = await connectSocket({
        directory: start.directory,
        role: 'owner',
        parameters,
        timeout,
        onGone: (why) => isOurs && onGone(why),
      })
    } catch (error) {
      // Its owner is being killed, or it is ending itself and another has left its secret there already.
      const isPassing =
        error instanceof SignerError &&
        ['SIGNER_LOCKED', 'SIGNER_REQUEST', 'SIGNER_GONE'].includes(error.code)
      if (!isPassing || performance.now() > deadline) throw error
      await delay(20)
      continue
    }
    if (found === null) return null
    const { call, closed, welcome } = found
    if (welcome.isSame) {
      isOurs = true
      const close = async () => {
        await isKept(call)
        await found.close()
      }
      return { pid: welcome.pid, started: welcome.started, call, close }
    }
    // The answer may be lost with the process; that it is gone is what counts.
    await call('end', null).catch(() => null)
    await closed
  }
}

/** Starts the child. `onGone` is called once, when it has ended for whatever reason. */
async function openProcess(
  accounts: StartParameters['accounts'],
  timeout: number,
  channel: PassphraseChannel | null,
  onGone: (why: string) => void,
): Promise<Omit<Connection, 'started'>> {
  const { path, execArgv } = entryPoint(import.meta.url, './main')
  const child = spawn(process.execPath, [...execArgv, path], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', ...(channel === null ? [] : [channel.stdio])],
    env: environmentFor(accounts),
  })
  channel?.spawned(child)
  const pipe = child.stdio[3] as Duplex
  const { call, finish } = converse(pipe, timeout, () => child.kill('SIGKILL'))
  const end = (why: string) => {
    finish(why)
    onGone(why)
  }
  child.once('error', (error) => end(`it could not be started (${error.message})`))
  child.once('exit', (code, signal) => end(`it ended with ${signal ?? `code ${code}`}`))
  const kill = () => child.kill('SIGKILL')
  // The exit tells what became of it; a pipe that breaks first is part of that.
  pipe.on('error', kill)
  return {
    pid: child.pid ?? 0,
    call,
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      const stays = await isKept(call)
      if (stays) pipe.off('error', kill).on('error', () => {})
      pipe.end()
      // Its other clients have it from here on, and this process may end before it.
      if (stays) child.unref()
      else await exitOf(exit, child)
    },
  }
}

/** `PATH`; and where a key is in AWS KMS, what its SDK finds credentials and region by. */
function environmentFor(accounts: StartParameters['accounts']): NodeJS.ProcessEnv {
  const usesKms = accounts.some(({ key }) => key.kind === 'kms')
  const isPassed = (name: string) =>
    name === 'PATH' || (usesKms && (name === 'HOME' || name.startsWith('AWS_')))
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => isPassed(name)))
}

/** Whether a signer that is let go of now lives on, because somebody else is connected to it. */
async function isKept(call: Call): Promise<boolean> {
  try {
    return ((await call('leave', null)) as { readonly stays: boolean }).stays
  } catch {
    // It is gone already, or it was never started.
    return false
  }
}

async function exitOf(exit: Promise<unknown>, child: ChildProcess): Promise<void> {
  const grace = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await exit
  clearTimeout(grace)
}
