import type { Usage } from '../protocol/network/price.ts'
import { parseJson } from './respond.ts'

/** What an answer says of itself. */
export type Seen = { readonly usage: Usage | null; readonly model: string | null }

/** Reads usage and model out of an answer as it passes. */
export type AnswerWatch = {
  push(bytes: Uint8Array): void
  /** What was seen, once all has passed. */
  seen(): Seen
}

/** The largest plain answer whose usage is looked for, in bytes. */
const mostParsed = 64 * 1024 * 1024

/** Watches a plain JSON answer. Its pieces may be many: whoever sends it chooses how small they are. */
export function watchPlain(): AnswerWatch {
  let pieces: Uint8Array[] = []
  let length = 0
  return {
    push(bytes) {
      length += bytes.length
      if (length <= mostParsed) pieces.push(bytes)
      else pieces = []
    },
    seen: () => read(length <= mostParsed ? parseJson(Buffer.concat(pieces)) : undefined),
  }
}

/** An event that names usage is short; a longer line is passed on and not read. */
const mostLine = 256 * 1024
/** Stands in no event but the one that has the usage, where `"usage"` itself stands in all of them, as null. */
const usageMark = Buffer.from('"prompt_tokens"')
const newline = 0x0a

/**
 * Watches server-sent events. Only the first one is read for the model, and the one that has the usage: to look at each
 * would cost as much as opening it.
 */
export function watchEvents(): AnswerWatch {
  /** The line that has begun. */
  let line: Buffer[] = []
  let length = 0
  let seen: Seen = { usage: null, model: null }

  const look = (bytes: Buffer): void => {
    if (bytes.toString('latin1', 0, 5) !== 'data:') return
    const said = read(parseJson(bytes.subarray(5)))
    seen = { usage: said.usage ?? seen.usage, model: seen.model ?? said.model }
  }
  /** Looks at whole lines. */
  const search = (lines: Buffer): void => {
    for (let at = 0; seen.model === null && at < lines.length; ) {
      const end = lines.indexOf(newline, at)
      look(lines.subarray(at, end))
      at = end + 1
    }
    const found = lines.lastIndexOf(usageMark)
    if (found >= 0) look(lines.subarray(lines.lastIndexOf(newline, found) + 1, lines.indexOf(newline, found)))
  }
  return {
    push(piece) {
      const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length)
      const end = bytes.lastIndexOf(newline) + 1
      if (end > 0) {
        const lines = bytes.subarray(0, end)
        if (length <= mostLine) search(line.length === 0 ? lines : Buffer.concat([...line, lines]))
        line = []
        length = 0
      }
      if (end === bytes.length) return
      length += bytes.length - end
      if (length <= mostLine) line.push(bytes.subarray(end))
      else line = []
    },
    seen: () => seen,
  }
}

function read(value: unknown): Seen {
  if (typeof value !== 'object' || value === null) return { usage: null, model: null }
  const { usage, model } = value as { usage?: unknown; model?: unknown }
  return { usage: readUsage(usage), model: typeof model === 'string' ? model : null }
}

function readUsage(usage: unknown): Usage | null {
  if (typeof usage !== 'object' || usage === null) return null
  const { prompt_tokens: prompt, completion_tokens: completion = 0 } = usage as Record<string, unknown>
  return isCount(prompt) && isCount(completion) ? { prompt, completion } : null
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value < 1e9

/**
 * Whether an answer's own name of its model is the one that was asked for: the same, or the same with a version or tag
 * behind it, as servers resolve aliases (`llama3` to `llama3:latest`, `gpt-4o` to `gpt-4o-2024-08-06`).
 */
export const isSameModel = (asked: string, said: string): boolean =>
  said === asked || (said.startsWith(asked) && /^[-:@]/.test(said.slice(asked.length)))

/**
 * Lets whole server-sent events pass and holds back what has begun: when a stream breaks, an error can follow as an
 * event of its own, where it would else be the rest of another.
 */
export class EventGate {
  #held: Uint8Array[] = []
  #length = 0
  /** The last bytes that came: a blank line may be cut in two. */
  #tail = Buffer.alloc(0)

  /** What may pass now; empty when no event is complete. */
  push(bytes: Uint8Array): Uint8Array {
    const at = lastBoundary(bytes, this.#tail)
    this.#tail = Buffer.concat([this.#tail, bytes.subarray(-longestBreak)]).subarray(-longestBreak)
    if (at === 0 && this.#length + bytes.length <= mostLine) {
      this.#held.push(bytes)
      this.#length += bytes.length
      return new Uint8Array(0)
    }
    // An event that is larger than any server sends is not held for ever.
    const end = at === 0 ? bytes.length : at
    const first = bytes.subarray(0, end)
    const passing = this.#held.length === 0 ? first : Buffer.concat([...this.#held, first])
    this.#held = end === bytes.length ? [] : [bytes.subarray(end)]
    this.#length = bytes.length - end
    return passing
  }

  /** What is held when the stream has ended. */
  end(): Uint8Array {
    const rest = Buffer.concat(this.#held)
    this.#held = []
    this.#length = 0
    return rest
  }
}

/** Bytes of a blank line with what ends the line before it, less one: CR LF CR. */
const longestBreak = 3

/** Behind the last blank line: two line ends in a row, as LF or CRLF. 0 when there is none. */
function lastBoundary(bytes: Uint8Array, before: Uint8Array): number {
  const byteAt = (at: number): number | undefined => (at >= 0 ? bytes[at] : before[before.length + at])
  for (let at = bytes.length - 1; at >= 0; at--) {
    if (bytes[at] !== newline) continue
    const previous = byteAt(at - 1) === 0x0d ? byteAt(at - 2) : byteAt(at - 1)
    if (previous === newline) return at + 1
  }
  return 0
}
