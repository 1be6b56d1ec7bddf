import { isatty, ReadStream } from 'node:tty'
import { InvalidInputError, RialtoError } from '../../runtime/core/errors.ts'

/** Somebody pressed Ctrl-C, or the terminal went away, before an answer was complete. */
export class InterruptedError extends RialtoError {
  override readonly name = 'InterruptedError'
  constructor() {
    super('INTERRUPTED', 'Interrupted: nothing was changed.')
  }
}

/** Whether there is somebody to ask: questions go to standard error, and answers come from standard input. */
export const canAsk = (): boolean => isatty(0) && isatty(2)

/**
 * Asks for secrets on the terminal, without showing what is typed, and restores the terminal however it ends.
 *
 * Nothing of an answer is ever a string, and it is in memory once: the caller overwrites it when it is used.
 *
 * @param questions asked one after the other
 * @returns as many answers, without the line break, each at most 4096 bytes
 * @throws {InvalidInputError} `NO_TERMINAL` when there is none.
 * @throws {InterruptedError} on Ctrl-C, Ctrl-D, or a terminal that goes away; what was typed is overwritten.
 * @example const [passphrase] = await askSecrets(['Passphrase'])
 */
export async function askSecrets(questions: readonly string[]): Promise<readonly Buffer[]> {
  if (!canAsk())
    throw new InvalidInputError('There is no terminal to ask for a passphrase on.', {
      code: 'NO_TERMINAL',
      fix: 'Give it with --passphrase-file <path> or --passphrase-fd <n>.',
    })
  const lines = secretLines(questions.length)
  const notes = (text: string) => process.stderr.write(text)
  return await new Promise<readonly Buffer[]>((resolve, reject) => {
    const finish = (settle: () => void) => {
      stream.setRawMode(false)
      stream.destroy()
      notes('\n')
      settle()
    }
    const fail = () => {
      lines.forget()
      finish(() => reject(new InterruptedError()))
    }
    const buffer = Buffer.alloc(256)
    const stream = new ReadStream(0, {
      // One buffer of ours for all that is read, so that the runtime keeps no copy of a secret.
      onread: {
        buffer,
        callback(length: number) {
          const before = lines.done()
          const state = lines.push(buffer.subarray(0, length))
          buffer.fill(0)
          if (state === 'interrupted') fail()
          else if (state === 'complete') finish(() => resolve(lines.answers()))
          else for (let at = before + 1; at <= lines.done(); at += 1) notes(`\n${questions[at]}: `)
          return true
        },
      },
    } as ConstructorParameters<typeof ReadStream>[1])
    stream.setRawMode(true)
    stream.once('end', fail)
    stream.once('error', fail)
    notes(`${questions[0]}: `)
    stream.resume()
  })
}

const [CTRL_C, CTRL_D, BACKSPACE, LINE_FEED, RETURN, CTRL_U, ESCAPE, DELETE] = [3, 4, 8, 10, 13, 21, 27, 127]
const MAX_BYTES = 4096

/** Takes what a terminal sends in raw mode, and makes lines of it as a terminal would. */
export function secretLines(count: number) {
  const lines = Array.from({ length: count }, () => ({ bytes: Buffer.alloc(MAX_BYTES), length: 0 }))
  let at = 0
  /** Arrow keys and the like come as a sequence of bytes, which are not what anybody meant to type. */
  let sequence: 'none' | 'begun' | 'within' = 'none'

  /** Takes the last character away, all its bytes. */
  function erase(line: { readonly bytes: Buffer; length: number }): void {
    let byte = 0
    do {
      if (line.length === 0) return
      line.length -= 1
      byte = line.bytes[line.length] ?? 0
      line.bytes[line.length] = 0
    } while ((byte & 0xc0) === 0x80)
  }

  function pushByte(byte: number): 'more' | 'complete' | 'interrupted' {
    const line = lines[at]
    if (line === undefined) return 'complete'
    if (sequence === 'begun') {
      sequence = byte === 0x5b || byte === 0x4f ? 'within' : 'none'
      return 'more'
    }
    if (sequence === 'within') {
      if (byte >= 0x40) sequence = 'none'
      return 'more'
    }
    if (byte === CTRL_C || byte === CTRL_D) return 'interrupted'
    if (byte === RETURN || byte === LINE_FEED) {
      at += 1
      return at === count ? 'complete' : 'more'
    }
    if (byte === ESCAPE) sequence = 'begun'
    else if (byte === BACKSPACE || byte === DELETE) erase(line)
    else if (byte === CTRL_U) while (line.length > 0) erase(line)
    else if (byte >= 32 && line.length < MAX_BYTES) {
      line.bytes[line.length] = byte
      line.length += 1
    }
    return 'more'
  }

  return {
    /** How many lines are complete. */
    done: () => at,
    push(chunk: Uint8Array): 'more' | 'complete' | 'interrupted' {
      for (const byte of chunk) {
        const state = pushByte(byte)
        if (state !== 'more') return state
      }
      return 'more'
    },
    answers: () => lines.map(({ bytes, length }) => bytes.subarray(0, length)),
    forget() {
      for (const { bytes } of lines) bytes.fill(0)
    },
  }
}
