import { InvariantError } from '../../runtime/core/errors.ts'
import type { Connection, TapEvent } from './tap.ts'

/** A message on a tapped connection. */
export type TappedMessage = {
  /** The request or status line. */
  readonly start: string
  /** By their names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Uint8Array
  /** When its first and its last byte passed, in milliseconds. */
  readonly began: number
  readonly ended: number
}

/** A request with its answer. */
export type Exchange = {
  readonly link: string
  readonly from: string
  readonly request: TappedMessage
  readonly response: TappedMessage
}

/** Reads the exchanges of a connection. What was cut off is left out. */
export function readExchanges(connection: Connection): readonly Exchange[] {
  const { link, from } = connection
  const { messages: requests } = readMessages(eventsOf(connection, 'up'))
  const { messages: responses } = readMessages(eventsOf(connection, 'down'))
  return responses.flatMap((response, index) => {
    const request = requests[index]
    return request === undefined ? [] : [{ link, from, request, response }]
  })
}

/** The bytes that passed and are in none of the exchanges. */
export function restOf(connection: Connection): Uint8Array {
  const [up, down] = [readMessages(eventsOf(connection, 'up')), readMessages(eventsOf(connection, 'down'))]
  // A request without an answer is in no exchange either: then the whole connection is the rest.
  return up.messages.length === down.messages.length
    ? Buffer.concat([up.rest, down.rest])
    : Buffer.concat(connection.events.map(({ bytes }) => bytes))
}

const eventsOf = ({ events }: Connection, direction: TapEvent['direction']): readonly TapEvent[] =>
  events.filter((event) => event.direction === direction)

type Messages = { readonly messages: readonly TappedMessage[]; readonly rest: Uint8Array }

/** HTTP/1.1 messages one behind the other (RFC 9112): with a length, in chunks, or without a body. */
function readMessages(events: readonly TapEvent[]): Messages {
  const bytes = Buffer.concat(events.map((event) => event.bytes))
  const ends: { readonly offset: number; readonly at: number }[] = []
  let offset = 0
  for (const event of events) {
    offset += event.bytes.length
    ends.push({ offset, at: event.at })
  }
  /** When the byte at a place passed. */
  const timeOf = (place: number): number => ends.find((end) => end.offset > place)?.at ?? 0

  const messages: TappedMessage[] = []
  let at = 0
  while (at < bytes.length) {
    const headEnd = bytes.indexOf('\r\n\r\n', at)
    if (headEnd < 0) break
    const [start = '', ...lines] = bytes.toString('latin1', at, headEnd).split('\r\n')
    const headers = new Map(
      lines.map((line): [string, string] => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      }),
    )
    const read =
      headers.get('transfer-encoding') === 'chunked'
        ? readChunks(bytes, headEnd + 4)
        : readLength(bytes, headEnd + 4, Number(headers.get('content-length') ?? 0))
    if (read === undefined) break
    messages.push({ start, headers, body: read.body, began: timeOf(at), ended: timeOf(read.end - 1) })
    at = read.end
  }
  return { messages, rest: bytes.subarray(at) }
}

type Read = { readonly body: Uint8Array; readonly end: number } | undefined

const readLength = (bytes: Buffer, at: number, length: number): Read =>
  at + length > bytes.length ? undefined : { body: bytes.subarray(at, at + length), end: at + length }

function readChunks(bytes: Buffer, from: number): Read {
  const chunks: Uint8Array[] = []
  for (let at = from; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const length = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16)
    if (Number.isNaN(length)) throw new InvariantError('A tapped message has a chunk without a length.')
    const start = lineEnd + 2
    if (start + length + 2 > bytes.length) return undefined
    if (length === 0) return { body: Buffer.concat(chunks), end: start + 2 }
    chunks.push(bytes.subarray(start, start + length))
    at = start + length + 2
  }
}
