import { isUtf8 } from 'node:buffer'
import type { Usage } from '../protocol/network/price.ts'
import { UpstreamError } from './errors.ts'
import { editMembers, membersOf } from './jsonMembers.ts'
import { estimateEvents, readUsage } from './tokens.ts'

const CR = 0x0d
const LF = 0x0a
const dataField = Buffer.from('data:')
const done = Buffer.from('[DONE]')
const usageKey = Buffer.from('"usage"')

/** One event is no longer than this, in bytes: an answer in a single event, with log probabilities, is a few MiB. */
const longestEvent = 16 * 1024 * 1024

/**
 * Passes server-sent events on (WHATWG HTML, section 9.2), changing only what has to change:
 *
 * - the name of the model, where the client knows it by another;
 * - the chunk that holds nothing but the usage, where the client did not ask for it.
 *
 * What need not change is passed on as the bytes that came, whole events of one read in one piece, and nothing of it
 * is parsed. What ends within an event is held back until its end.
 *
 * @example
 * const events = new EventStream({ model: 'public', dropUsage: true })
 * for await (const bytes of upstream) for (const piece of events.push(bytes)) send(piece)
 * for (const piece of events.end()) send(piece)
 * events.usage // { prompt: 12, completion: 345 }
 */
export class EventStream {
  readonly #model: Buffer | undefined
  readonly #dropUsage: boolean
  /** The bytes of an event whose end has not come. */
  #held = Buffer.alloc(0)
  #heldLength = 0
  /** Of these, what was searched for line ends already, where the first line ends, and where the last one begins. */
  #searched = 0
  #firstLineEnd = 0
  #line = 0
  /** Up to the end of the model's name, events of one stream begin alike: where it is in one, it is in the next. */
  #template: { readonly head: Buffer; readonly nameAt: number } | undefined
  #usage: Usage | undefined
  #done = false
  /** Where the last event's data is: a view of each would cost as much as passing it on. */
  #last: { data: Buffer; start: number; end: number } | undefined
  #count = 0
  #bytes = 0
  #shortest = Number.POSITIVE_INFINITY

  constructor({
    model,
    dropUsage,
  }: {
    /** Written over the model's name in each event; `undefined` leaves it. */
    readonly model: string | undefined
    readonly dropUsage: boolean
  }) {
    this.#model = model === undefined ? undefined : Buffer.from(JSON.stringify(model))
    this.#dropUsage = dropUsage
  }

  /** The last usage that was stated. */
  get usage(): Usage | undefined {
    return this.#usage
  }

  /** Whether the stream said of itself that it is over. */
  get done(): boolean {
    return this.#done
  }

  /** Completion tokens as estimated. Right after {@link end}. */
  get estimate(): number {
    return estimateEvents({ count: this.#count, bytes: this.#bytes, shortest: this.#shortest })
  }

  /** Whether the last thing that it said is an error: servers have no other way once they have begun. */
  get failed(): boolean {
    const said =
      this.#last === undefined ? undefined : parse(this.#last.data.subarray(this.#last.start, this.#last.end))
    return typeof said === 'object' && said !== null && 'error' in said && isSet(said.error)
  }

  /** @throws UpstreamError for an event that is too large */
  push(bytes: Buffer): Buffer[] {
    if (bytes.length === 0) return []
    const data = this.#heldLength === 0 ? bytes : this.#append(bytes)
    return this.#take(data, false)
  }

  /** Says that no bytes follow: an event without the empty line at its end counts all the same. */
  end(): Buffer[] {
    return this.#take(this.#held.subarray(0, this.#heldLength), true)
  }

  #append(bytes: Buffer): Buffer {
    const length = this.#heldLength + bytes.length
    if (length > longestEvent) throw new UpstreamError('too-large')
    if (length > this.#held.length) {
      const grown = Buffer.allocUnsafe(Math.max(length, this.#held.length * 2))
      this.#held.copy(grown, 0, 0, this.#heldLength)
      this.#held = grown
    }
    bytes.copy(this.#held, this.#heldLength)
    this.#heldLength = length
    return this.#held.subarray(0, length)
  }

  #hold(data: Buffer, from: number): void {
    const rest = data.subarray(from)
    if (from === 0 && this.#heldLength === data.length && rest.length > 0) return
    // New memory: what was passed on may be a view of the old.
    this.#held = rest.length === 0 ? Buffer.alloc(0) : Buffer.allocUnsafe(Math.max(rest.length * 2, 1024))
    rest.copy(this.#held)
    this.#heldLength = rest.length
  }

  /** Cuts events out of what there is, and returns what is passed on. */
  #take(data: Buffer, ended: boolean): Buffer[] {
    const out: Buffer[] = []
    /** Where the bytes begin that are not passed on yet, the event, and the line. */
    let from = 0
    let event = 0
    let line = this.#line
    let firstLineEnd = this.#firstLineEnd
    let search = this.#searched
    // Each is looked for once and only passed, so that a byte that is not there costs one search of a read.
    let nextLf = data.indexOf(LF, search)
    let nextCr = data.indexOf(CR, search)
    const marks = { usage: -2 }
    const finish = (end: number, textEnd: number) => {
      const edit = this.#event(data, event, textEnd, firstLineEnd, marks)
      if (edit === 'drop') {
        if (event > from) out.push(data.subarray(from, event))
        from = end
      } else if (edit !== undefined) {
        if (edit.start > from) out.push(data.subarray(from, edit.start))
        out.push(edit.bytes)
        from = edit.end
      }
      event = end
      firstLineEnd = 0
    }
    for (;;) {
      if (nextLf !== -1 && nextLf < search) nextLf = data.indexOf(LF, search)
      if (nextCr !== -1 && nextCr < search) nextCr = data.indexOf(CR, search)
      const at = nextCr === -1 ? nextLf : nextLf === -1 ? nextCr : Math.min(nextLf, nextCr)
      if (at === -1) {
        search = data.length
        break
      }
      // Whether a CR ends the line by itself shows in the byte behind it.
      if (at === nextCr && at + 1 === data.length && !ended) {
        search = at
        break
      }
      const next = at === nextCr && data[at + 1] === LF ? at + 2 : at + 1
      if (at === line) finish(next, line)
      else if (line === event) firstLineEnd = at
      line = next
      search = next
    }
    if (ended && event < data.length) {
      if (line === event) firstLineEnd = data.length
      finish(data.length, data.length)
      line = data.length
    }
    if (event > from) out.push(data.subarray(from, event))
    this.#searched = Math.max(search - event, 0)
    this.#firstLineEnd = Math.max(firstLineEnd - event, 0)
    this.#line = Math.max(line - event, 0)
    this.#hold(data, event)
    return out
  }

  /**
   * Looks at one event.
   *
   * @param textEnd behind its last line
   * @param lineEnd behind its first line, without the line's end
   * @returns what to do with it, `undefined` for nothing
   */
  #event(
    data: Buffer,
    start: number,
    textEnd: number,
    lineEnd: number,
    marks: { usage: number },
  ): 'drop' | { readonly start: number; readonly end: number; readonly bytes: Buffer } | undefined {
    if (textEnd <= start) return undefined
    const simple = lineEnd > start && textEnd - lineEnd <= 2 && startsWith(data, dataField, start)
    if (!simple) return this.#unusual(data, start, textEnd)
    let text = start + dataField.length
    if (data[text] === 0x20) text++
    if (lineEnd - text === done.length && startsWith(data, done, text)) {
      this.#done = true
      return undefined
    }
    this.#noteChunk(data, text, lineEnd)
    if (marks.usage === -2 || (marks.usage !== -1 && marks.usage < text))
      marks.usage = data.indexOf(usageKey, text)
    while (marks.usage !== -1 && marks.usage < lineEnd) {
      if (isObjectBehind(data, marks.usage + usageKey.length)) {
        if (this.#noteUsage(data.subarray(text, lineEnd)) && this.#dropUsage) return 'drop'
        break
      }
      marks.usage = data.indexOf(usageKey, marks.usage + 1)
    }
    return this.#rename(data, text, lineEnd)
  }

  /** An event of several lines, or with other fields: parsed, and put together anew where it has to change. */
  #unusual(data: Buffer, start: number, textEnd: number) {
    const lines = data.toString('utf8', start, textEnd).split(/\r\n|\n|\r/)
    const isData = (line: string) => /^data(?::|$)/.test(line)
    const values = lines.filter(isData).map((line) => line.replace(/^data:? ?/, ''))
    const text = Buffer.from(values.join('\n'))
    if (text.length === 0) return undefined
    if (text.equals(done)) {
      this.#done = true
      return undefined
    }
    this.#noteChunk(text, 0, text.length)
    if (this.#noteUsage(text) && this.#dropUsage) return 'drop' as const
    this.#template = undefined
    const edit = this.#rename(text, 0, text.length)
    if (edit === undefined) return undefined
    const renamed = Buffer.concat([text.subarray(0, edit.start), edit.bytes, text.subarray(edit.end)])
    this.#template = undefined
    const others = lines.filter((line) => line !== '' && !isData(line))
    const written = [
      ...others,
      ...renamed
        .toString('utf8')
        .split('\n')
        .map((line) => `data: ${line}`),
    ]
    return { start, end: textEnd, bytes: Buffer.from(`${written.join('\n')}\n`) }
  }

  #noteChunk(data: Buffer, start: number, end: number): void {
    this.#count++
    this.#bytes += end - start
    if (end - start < this.#shortest) this.#shortest = end - start
    this.#last ??= { data, start, end }
    this.#last.data = data
    this.#last.start = start
    this.#last.end = end
  }

  /** Takes the usage that an event states, and says whether it states nothing else. */
  #noteUsage(text: Buffer): boolean {
    const said = parse(text)
    if (typeof said !== 'object' || said === null) return false
    const { usage, choices } = said as { usage?: unknown; choices?: unknown }
    const read = readUsage(usage)
    if (read !== undefined) this.#usage = read
    return typeof usage === 'object' && usage !== null && Array.isArray(choices) && choices.length === 0
  }

  /** The place of the model's name, and what to write there. */
  #rename(data: Buffer, text: number, end: number) {
    const name = this.#model
    if (name === undefined) return undefined
    const known = this.#template
    if (known !== undefined && end - text >= known.head.length && startsWith(data, known.head, text))
      return { start: text + known.nameAt, end: text + known.head.length, bytes: name }
    const json = data.subarray(text, end)
    const models = membersOf(json)?.filter((member) => member.name === 'model') ?? []
    const [only, second] = models
    if (only === undefined || json[only.valueStart] !== 0x22) return undefined
    if (second !== undefined) {
      const edited = editMembers(json, membersOf(json) ?? [], new Map([['model', name.toString('utf8')]]))
      return { start: text, end, bytes: Buffer.from(edited) }
    }
    this.#template = { head: Buffer.from(json.subarray(0, only.valueEnd)), nameAt: only.valueStart }
    return { start: text + only.valueStart, end: text + only.valueEnd, bytes: name }
  }
}

function startsWith(data: Buffer, head: Buffer, at: number): boolean {
  if (data.length - at < head.length) return false
  // Asking the system takes longer than looking at a few bytes.
  if (head.length > 16) return data.compare(head, 0, head.length, at, at + head.length) === 0
  for (let index = 0; index < head.length; index++) if (data[at + index] !== head[index]) return false
  return true
}

const isSet = (value: unknown) => value !== null && value !== undefined

/** Whether a colon and an object follow, blanks aside: most chunks of a stream say `"usage":null`. */
function isObjectBehind(data: Buffer, at: number): boolean {
  let next = at
  while (data[next] === 0x20) next++
  if (data[next] !== 0x3a) return false
  next++
  while (data[next] === 0x20) next++
  return data[next] === 0x7b
}

function parse(text: Buffer): unknown {
  try {
    return isUtf8(text) ? (JSON.parse(text.toString('utf8')) as unknown) : undefined
  } catch {
    return undefined
  }
}
