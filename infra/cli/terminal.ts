import { describeError, InvalidInputError } from '../../runtime/core/errors.ts'

/** Where a command writes. Standard output carries the answer alone; everything else goes to standard error. */
export type Terminal = {
  /** The answer. */
  out(text: string): void
  /** Progress and errors. */
  note(text: string): void
  /** Runs a step and tells how it went and how long it took. */
  step<T>(name: string, work: () => Promise<T>, describe: (result: T) => string): Promise<T>
}

const COLOURS = { green: '32', red: '31', dim: '2', bold: '1', yellow: '33' } as const
export type Colour = keyof typeof COLOURS

/** Colours only for eyes: not in pipes, and not where `NO_COLOR` is set (no-color.org). */
export function paint(colour: Colour, text: string, stream: NodeJS.WriteStream = process.stderr): string {
  if (!isColoured(stream)) return text
  return `\u001b[${COLOURS[colour]}m${text}\u001b[0m`
}

const isColoured = (stream: Pick<NodeJS.WriteStream, 'isTTY'>): boolean =>
  stream.isTTY && (process.env.NO_COLOR ?? '') === ''

/** The sequences that {@link paint} writes: the only ones that may reach a terminal. */
const PAINTED = new RegExp(`(\u001b\\[(?:0|${Object.values(COLOURS).join('|')})m)`)

/**
 * What a terminal would obey or a reader be deceived by: control characters but line breaks and tabs, marks that turn
 * text around, separators that some terminals break lines at, and tag characters, which hide text.
 */
const DRIVING = /[^\P{Cc}\n\t]|[\u202a-\u202e\u2066-\u2069\p{Zl}\p{Zp}\u{e0000}-\u{e007f}]/gu

/**
 * Text that may be shown, whoever wrote it: a model's answer keeps its lines and every script's letters, and what
 * would drive the terminal is shown as U+FFFD. Text that belongs on one line goes through `plainLine` before.
 *
 * @example printable('\u001b]0;owned\u0007fine\n') // '\ufffd]0;owned\ufffdfine\n'
 */
export const printable = (text: string): string => text.replaceAll(DRIVING, '\ufffd')

/** The same for what we wrote ourselves, with other people's words in it: our colours stay where there are any. */
export const printablePainted = (text: string, stream: Pick<NodeJS.WriteStream, 'isTTY'>): string =>
  isColoured(stream)
    ? text
        .split(PAINTED)
        .map((part, index) => (index % 2 === 1 ? part : printable(part)))
        .join('')
    : printable(text)

export const processTerminal: Terminal = {
  out: (text) => process.stdout.write(`${printablePainted(text, process.stdout)}\n`),
  note: (text) => process.stderr.write(`${printablePainted(text, process.stderr)}\n`),
  async step(name, work, describe) {
    const start = performance.now()
    const seconds = () => `${((performance.now() - start) / 1000).toFixed(1)} s`
    try {
      const result = await work()
      this.note(`  ${paint('green', '✓')} ${name.padEnd(10)} ${describe(result)} ${paint('dim', seconds())}`)
      return result
    } catch (error) {
      this.note(`  ${paint('red', '✗')} ${name.padEnd(10)} ${paint('dim', seconds())}`)
      throw error
    }
  },
}

/**
 * Keeps a reader who goes away from ending the process: `rialto start | head`, or a terminal that is closed, would
 * otherwise break it off in mid-play with a stack trace, and leave behind what it started.
 *
 * Nobody misses what nobody reads. But an answer that could not be written for another reason, a full disk say, is a
 * failure: it is noted, and the exit code becomes 1.
 *
 * @example outliveReaders(process)
 */
export function outliveReaders(host: Pick<NodeJS.Process, 'stdout' | 'stderr' | 'once' | 'exitCode'>): void {
  host.stderr.on('error', () => undefined)
  host.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || error.code === 'EIO') return
    host.stderr.write(`rialto: standard output cannot be written (${error.code ?? error.message}).\n`)
    host.once('exit', () => {
      host.exitCode = 1
    })
  })
}

/** What a command ends with: 0 success, 1 failed, 2 wrong use. */
export type ExitCode = 0 | 1 | 2

/** One clear line about an error, and the exit code that goes with it. */
export function explain(error: unknown): { readonly line: string; readonly exitCode: ExitCode } {
  return { line: describeError(error), exitCode: error instanceof InvalidInputError ? 2 : 1 }
}
