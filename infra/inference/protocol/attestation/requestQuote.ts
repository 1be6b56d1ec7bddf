import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { describeError } from '../../../../runtime/core/errors.ts'
import { UnencodableMessageError } from '../errors.ts'
import { AttestationError } from './errors.ts'
import { reportDataLength } from './reportData.ts'
import { type Attestation, attestationLimits, parseAttestation } from './schema.ts'
import { quotes, readTdxQuote } from './tdxQuote.ts'

/** What makes a quote. */
export type QuoteCommandParameters = {
  /**
   * A program and its arguments, run without a shell. The report data is added as the last argument, in 128 hex
   * digits. It writes the JSON form of an attestation to its standard output and exits with 0.
   */
  readonly command: readonly [program: string, ...args: string[]]
  /** 64 bytes, of `reportDataFor`. */
  readonly reportData: Uint8Array
  /** How long it may take, 30,000 ms if not given: a quote takes moments, collateral a few round trips. */
  readonly timeoutMs?: number
  /** Ends it earlier. */
  readonly signal?: AbortSignal
}

/** What is kept of the standard error, for whoever has to mend the command. */
const stderrLimit = 2_048

/**
 * Has a command make a quote. This is how Linux's `configfs-tsm`, dstack's guest agent and whatever comes next are
 * plugged in: `infra/inference/protocol/attestation/README.md` has examples.
 *
 * Whether the quote proves anything is for clients to say; here is checked that it can be read and was made for this
 * report data, so that the operator learns of a mistake and not each client. A command that takes too long is
 * killed, with all that it started.
 *
 * @throws AttestationError `ATTESTATION_COMMAND`
 * @throws UnencodableMessageError when the report data is not 64 bytes long
 * @example
 * const attestation = await requestQuote({
 *   command: ['/usr/local/bin/quote-node'],
 *   reportData: reportDataFor({ identity: identity.bytes, keyConfigs }),
 * })
 */
export async function requestQuote({
  command,
  reportData,
  timeoutMs = 30_000,
  signal,
}: QuoteCommandParameters): Promise<Attestation> {
  if (reportData.length !== reportDataLength)
    throw new UnencodableMessageError(`has report data that is not ${reportDataLength} bytes long`)
  const output = await run(command, Buffer.from(reportData).toString('hex'), timeoutMs, signal)
  const attestation = read(command[0], output)
  if (!quotes(readQuoteOf(command[0], attestation), reportData))
    throw commandError(command[0], 'made a quote for other report data than it was given')
  return attestation
}

/** @param problem a clause that follows the command */
const commandError = (
  program: string,
  problem: string,
  more: { readonly cause?: unknown; readonly retryable?: boolean; readonly stderr?: string } = {},
): AttestationError =>
  new AttestationError('ATTESTATION_COMMAND', `The quote command ${program} ${problem}.`, {
    details: { program, ...(more.stderr ? { stderr: more.stderr } : {}) },
    retryable: more.retryable ?? false,
    ...(more.cause === undefined ? {} : { cause: more.cause }),
  })

function read(program: string, output: string): Attestation {
  try {
    return parseAttestation(JSON.parse(output))
  } catch (cause) {
    // Of what it wrote only the place is said: it may be anything.
    const problem =
      cause instanceof AttestationError
        ? `wrote something else: ${withoutPeriod(cause.message)}`
        : 'wrote no JSON'
    throw commandError(program, problem, cause instanceof AttestationError ? { cause } : {})
  }
}

function readQuoteOf(program: string, { quote }: Attestation) {
  try {
    return readTdxQuote(new Uint8Array(Buffer.from(quote, 'base64')))
  } catch (cause) {
    throw commandError(program, `made no quote: ${withoutPeriod(describeError(cause))}`, { cause })
  }
}

const withoutPeriod = (text: string): string => text.replace(/\.$/, '')

type Child = ChildProcessByStdio<null, Readable, Readable>

function run(
  [program, ...args]: QuoteCommandParameters['command'],
  argument: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<string> {
  if (signal?.aborted) return Promise.reject(commandError(program, 'was not started, since it was cancelled'))
  const child = start(program, [...args, argument])
  return new Promise<string>((resolve, reject) => {
    const output: Buffer[] = []
    let length = 0
    let stderr = ''

    const fail = (problem: string, more: { readonly cause?: unknown; readonly retryable?: boolean }): void =>
      reject(commandError(program, problem, { ...more, stderr: printable(stderr) }))
    const stop = (problem: string, retryable: boolean): void => {
      fail(problem, { retryable })
      killGroup(child)
      // Whoever left the group may still hold the pipes, and what hangs in a driver cannot be killed: neither is
      // waited for.
      child.stdout.destroy()
      child.stderr.destroy()
      child.unref()
    }
    const timer = setTimeout(() => stop(`did not end within ${timeoutMs} ms`, true), timeoutMs)
    const onAbort = (): void => stop('was cancelled', true)
    signal?.addEventListener('abort', onAbort, { once: true })

    child.stdout.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > attestationLimits.json) stop(`wrote more than ${attestationLimits.json} bytes`, false)
      else output.push(chunk)
    })
    child.stderr.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString('latin1')).slice(-stderrLimit)
    })
    child.on('error', (cause) => fail('could not be started', { cause }))
    child.on('close', (code, endedBy) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      if (code === 0) resolve(Buffer.concat(output).toString('utf8'))
      else if (code === null) fail(`was ended by ${endedBy}`, { retryable: true })
      else fail(`failed with exit code ${code}`, { retryable: true })
    })
  })
}

function start(program: string, args: readonly string[]): Child {
  try {
    // A process group of its own, so that what the command starts can be ended with it.
    return spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  } catch (cause) {
    throw commandError(program, 'could not be started', { cause })
  }
}

function killGroup({ pid }: Child): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    // ESRCH: all of it has ended. EPERM: it runs as another user, and ends when it writes into the closed pipe.
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ESRCH' && code !== 'EPERM') throw error
  }
}

/** One line that a terminal can be shown. */
const printable = (text: string): string =>
  [...text.trim()].map((character) => (character < ' ' || character > '~' ? ' ' : character)).join('')
