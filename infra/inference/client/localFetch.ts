import { lookup as lookupName } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { isLoopback } from '../../http/isLoopback.ts'
import { ClientOptionError, TransportError } from './errors.ts'
import { joinUrl } from './joinUrl.ts'
import { defaultTimeouts, type LocalOptions } from './options.ts'
import { type FetchRequest, readFetch } from './readFetch.ts'
import { refuse } from './refusals.ts'
import { parseJson, respondRefusal } from './respond.ts'
import { createTransport, type Transport } from './transport.ts'

/** Headers that a server on this machine may be shown. */
const passed = ['content-type', 'accept', 'authorization']

/**
 * A `fetch` to a model on this machine and to nowhere else: no proxy, no redirect, and no name that resolves to another
 * machine.
 *
 * @throws {ClientOptionError} when the URL is not of this machine
 */
export function createLocalFetch(options: LocalOptions): {
  readonly fetch: typeof globalThis.fetch
  readonly close: () => void
} {
  const base = loopbackUrl(options.local.url)
  const timeouts = { ...defaultTimeouts, ...options.timeouts }
  const now = options.now ?? Date.now
  const transport = createTransport({ lookup: lookupLoopback })

  const fetch: typeof globalThis.fetch = async (input, init) => {
    const at = now()
    const request = readFetch(input, init)
    request.signal?.throwIfAborted()
    const { method, path, signal } = request
    const post = method === 'POST' && (path === '/chat/completions' || path === '/embeddings')
    if (path === null || !(post || (method === 'GET' && /^\/models(\/|$)/.test(path))))
      return respondRefusal(refuse('unknown_url').refusal, { spent: 0, returned: 0 })
    const body = post ? await request.body() : undefined
    const report = (status: number, code: string | null): void => {
      if (!post) return
      options.onPath?.({
        at,
        kind: 'request',
        resource: path === '/embeddings' ? '/v1/embeddings' : '/v1/chat/completions',
        outcome: code === null ? 'answered' : 'refused',
        status,
        code,
        model: modelIn(body),
        privacy: 'local',
        relay: null,
        gateway: null,
        epoch: null,
        node: 'local',
        operator: 'local',
        spent: 0,
        returned: 0,
        unsettled: 0,
        receipt: 'absent',
        sizes: { inner: body?.length ?? 0, outer: 0, answer: 0 },
        firstByteMs: code === null ? now() - at : null,
        tries: [],
      })
    }
    try {
      const answer = await send(transport, joinUrl(base, path), request, body, timeouts)
      report(answer.status, null)
      return answer
    } catch (error) {
      signal?.throwIfAborted()
      if (!(error instanceof TransportError)) throw error
      const { refusal } = refuse('not_local')
      report(refusal.status, refusal.code)
      return respondRefusal(refusal, { spent: 0, returned: 0 })
    }
  }
  return { fetch, close: transport.close }
}

async function send(
  transport: Transport,
  url: string,
  { method, headers, signal }: FetchRequest,
  body: Uint8Array | undefined,
  { firstByte, idle }: typeof defaultTimeouts,
): Promise<Response> {
  const shown = passed.flatMap((name) => {
    const value = headers.get(name)
    return value === null ? [] : [[name, value]]
  })
  const answer = await transport({
    url,
    method: method === 'POST' ? 'POST' : 'GET',
    headers: Object.fromEntries(shown),
    ...(body === undefined ? {} : { body }),
    firstByte,
    idle,
    signal,
  })
  // A server of one's own that wants to send the request elsewhere is not followed.
  if (answer.status >= 300 && answer.status < 400) throw new TransportError(url, 'redirects to another place')
  const pieces = answer.body[Symbol.asyncIterator]()
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await pieces.next()
        if (done === true) controller.close()
        else controller.enqueue(value)
      },
      async cancel() {
        await pieces.return?.()
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(stream, {
    status: answer.status,
    headers: { 'content-type': answer.contentType, 'rialto-privacy': 'local', 'rialto-node': 'local' },
  })
}

/** @throws {ClientOptionError} */
function loopbackUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (
    url === undefined ||
    url.protocol !== 'http:' ||
    !isLoopback(url) ||
    url.username !== '' ||
    url.search !== ''
  )
    throw new ClientOptionError(
      'local.url is not of this machine',
      'Name an address on loopback, like http://127.0.0.1:11434/v1.',
    )
  return url.href
}

/** Resolves names to loopback addresses only, whatever a hosts file or a resolver says. */
const lookupLoopback: LookupFunction = (hostname, options, callback) => {
  lookupName(hostname, { ...options, all: true }, (error, addresses) => {
    const own = (addresses ?? []).filter(({ address }) => address === '::1' || address.startsWith('127.'))
    const [first] = own
    if (error !== null || first === undefined)
      callback(
        error ??
          Object.assign(new TransportError(`http://${hostname}`, 'is another machine'), { code: 'EACCES' }),
        '',
        0,
      )
    else if (options.all === true) callback(null, own)
    else callback(null, first.address, first.family)
  })
}

function modelIn(body: Uint8Array | undefined): string {
  const model = (parseJson(body ?? new Uint8Array(0)) as { model?: unknown } | null | undefined)?.model
  return typeof model === 'string' ? model : ''
}
