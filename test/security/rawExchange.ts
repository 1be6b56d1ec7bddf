import { connectRaw, statusOf } from '../../infra/http/rawClient.fixture.ts'
import { InvariantError } from '../../runtime/core/errors.ts'

/** Milliseconds after which a server that says nothing is taken to hang: no limit of any role is longer. */
const PATIENCE = 25_000

/** Fails when something does not come about: a hang is told as one. */
export async function within<Value>(work: Promise<Value>, what: string): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new InvariantError(`It hangs: ${what}.`)), PATIENCE)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

/** What came back on one connection, byte for character. */
export type RawAnswer = {
  readonly status: number
  /** Without a date. */
  readonly text: string
  readonly body: string
}

export function readRaw(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n')
  return {
    status: statusOf(text),
    text: text.replace(/\r\ndate: [^\r]*/i, ''),
    body: end < 0 ? '' : text.slice(end + 4),
  }
}

/** One request on a connection of its own, which ends with it. */
export async function rawExchange(
  url: string,
  request: {
    readonly method?: string
    readonly type?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: Uint8Array
  } = {},
): Promise<RawAnswer> {
  const { host, pathname, search } = new URL(url)
  const { method = 'POST', type, headers = {}, body = new Uint8Array(0) } = request
  const fields = {
    host,
    connection: 'close',
    'content-length': String(body.length),
    ...(type === undefined ? {} : { 'content-type': type }),
    ...headers,
  }
  const client = await connectRaw(url)
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  client.send(`${method} ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n`)
  client.send(body)
  const { text } = await within(client.ended(), `${method} ${pathname}`)
  return readRaw(text)
}
