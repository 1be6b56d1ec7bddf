import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import type { Duplex } from 'node:stream'
import type { Address } from 'viem'
import type { LedgerAttempt, Logger, SignedTransaction, Signer } from '../../runtime/core/ports.ts'
import { entryPoint } from '../process/entryPoint.ts'
import { SignerError } from './errors.ts'
import { type PassphraseChannel, passphraseHandOver, type SignerPassphrase } from './keystore/handOver.ts'
import {
  type Answer,
  decodeLine,
  encodeMessage,
  fromWireError,
  lineSplitter,
  type Message,
  type Started,
  type StartParameters,
} from './messages.ts'

export type CreateSignerProcessParameters = Omit<StartParameters, 'passphrase'> & {
  /** Left out: the one that lies beside the keys. */
  readonly passphrase?: SignerPassphrase
  /** Told when the process ended by itself, and of a ledger that a crash had cut off. */
  readonly logger?: Pick<Logger, 'warn'>
  /** Milliseconds within which the process must answer; then it is killed. Default 20,000. */
  readonly timeout?: number
}

/** A signer in a process of its own, and what it said when it was ready. */
export type SignerProcess = Signer & {
  readonly started: Started
  /** Of the process that runs now; null between its end and the next request. */
  readonly pid: number | null
  /** @throws {SignerError} `UNKNOWN_ACCOUNT` when it was started without an account of that label. */
  addressOf(label: string): Address
  /** Ends the process and returns when it is gone. */
  close(): Promise<void>
}

/**
 * Starts the one process that holds keys. No key is ever on this side: a plan goes over a private pipe, signed bytes
 * come back. Its environment is empty but for `PATH`, and it writes to neither stdout nor stderr.
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
  let closed = false
  let connection: Promise<Connection> | null = null
  let pid: number | null = null

  async function open(): Promise<Connection> {
    const { source, channel } = handOver()
    const start: StartParameters = {
      ...rest,
      directory: resolve(directory),
      ...(source === undefined ? {} : { passphrase: source }),
    }
    const opened = await openConnection(timeout, channel, (why) => {
      connection = null
      pid = null
      if (!closed) logger?.warn({ why }, 'The signer process ended; the next request starts it again.')
    })
    pid = opened.pid
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
    connection ??= open()
    return connection
  }

  async function close(): Promise<void> {
    closed = true
    const open = await connection?.catch(() => null)
    await open?.close()
  }

  const { started } = await connect()
  return {
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
    accounts: async () => started.accounts.map(({ address }) => address),
    sign: async (request) => (await (await connect()).call('sign', request)) as SignedTransaction,
    lookup: async (account, attempt) =>
      (await (await connect()).call('lookup', { account, attempt })) as SignedTransaction | null,
    abandon: async (account, attempt) =>
      (await (await connect()).call('abandon', { account, attempt })) as SignedTransaction | null,
    signedFrom: async (account, nonce) =>
      (await (await connect()).call('signedFrom', { account, nonce })) as readonly LedgerAttempt[],
    close,
  }
}

type Connection = {
  readonly pid: number
  readonly started: Started
  call(method: Message['method'], params: unknown): Promise<unknown>
  close(): Promise<void>
}

/** Starts the child. `onGone` is called once, when it has ended for whatever reason. */
async function openConnection(
  timeout: number,
  channel: PassphraseChannel | null,
  onGone: (why: string) => void,
): Promise<Omit<Connection, 'started'>> {
  const { path, execArgv } = entryPoint(import.meta.url, './main')
  const child = spawn(process.execPath, [...execArgv, path], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', ...(channel === null ? [] : [channel.stdio])],
    env: process.env.PATH === undefined ? {} : { PATH: process.env.PATH },
  })
  channel?.spawned(child)
  const pipe = child.stdio[3] as Duplex
  const waiting = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: SignerError) => void }
  >()
  let nextId = 1
  let ended: string | null = null

  function finish(why: string): void {
    if (ended !== null) return
    ended = why
    for (const { reject } of waiting.values()) reject(gone(why))
    waiting.clear()
    onGone(why)
  }
  child.once('error', (error) => finish(`it could not be started (${error.message})`))
  child.once('exit', (code, signal) => finish(`it ended with ${signal ?? `code ${code}`}`))
  // The exit tells what became of it; a pipe that breaks first is part of that.
  pipe.on('error', () => child.kill('SIGKILL'))
  const onData = lineSplitter((line) => {
    const answer = decodeLine(line) as Answer
    const asker = waiting.get(answer.id)
    waiting.delete(answer.id)
    if ('error' in answer) asker?.reject(fromWireError(answer.error))
    else asker?.resolve(answer.result)
  })
  pipe.on('data', (chunk: Buffer) => {
    try {
      onData(chunk)
    } catch {
      // What does not speak our language is no signer of ours.
      child.kill('SIGKILL')
    }
  })

  return {
    pid: child.pid ?? 0,
    call(method, params) {
      if (ended !== null) return Promise.reject(gone(ended))
      const id = nextId++
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => child.kill('SIGKILL'), timeout)
        const settle =
          <T>(settled: (value: T) => void) =>
          (value: T) => {
            clearTimeout(timer)
            settled(value)
          }
        waiting.set(id, { resolve: settle(resolve), reject: settle(reject) })
        pipe.write(encodeMessage({ id, method, params }))
      })
    },
    close: () => stop(child, pipe),
  }
}

async function stop(child: ChildProcess, pipe: Duplex): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  const grace = setTimeout(() => child.kill('SIGKILL'), 5_000)
  pipe.end()
  await exit
  clearTimeout(grace)
}

const gone = (why: string): SignerError =>
  new SignerError('SIGNER_GONE', `The signer process did not answer: ${why}.`, {
    fix: 'Ask again: the same request gives the same bytes.',
    retryable: true,
    details: { why },
  })
