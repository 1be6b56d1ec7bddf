import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as SecureAgent, request as secureRequest } from 'node:https'
import type { LookupFunction } from 'node:net'
import { TransportError } from './errors.ts'

export type TransportRequest = {
  readonly url: string
  readonly method: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** Milliseconds until the head of the answer. */
  readonly firstByte: number
  /** Milliseconds between two pieces of it, as long as somebody waits for one. */
  readonly idle: number
  readonly signal?: AbortSignal | undefined
}

export type TransportResponse = {
  readonly status: number
  readonly contentType: string
  readonly headers: Headers
  /** Ends the connection when it is left early. Read once. */
  readonly body: AsyncIterable<Uint8Array>
}

/**
 * What carries bytes to a server. Redirects are never followed: they would send a request to where nobody looked.
 *
 * @throws {TransportError} from the call and from the body
 */
export type Transport = ((request: TransportRequest) => Promise<TransportResponse>) & {
  /** Lets go of idle connections. */
  readonly close: () => void
}

/**
 * A transport on `node:http` with connections that are kept: a third of the time of the global `fetch`.
 *
 * @param options.lookup resolves names, for a caller that restricts where they may lead
 */
export function createTransport({ lookup }: { readonly lookup?: LookupFunction } = {}): Transport {
  const options = { keepAlive: true, noDelay: true, maxSockets: Number.POSITIVE_INFINITY }
  const agents = { 'http:': new Agent(options), 'https:': new SecureAgent(options) }

  const send = ({ url, method, headers, body, firstByte, idle, signal }: TransportRequest) =>
    new Promise<TransportResponse>((resolve, reject) => {
      const isSecure = url.startsWith('https:')
      const request = (isSecure ? secureRequest : httpRequest)(url, {
        method,
        agent: agents[isSecure ? 'https:' : 'http:'],
        headers: body === undefined ? headers : { ...headers, 'content-length': body.length },
        ...(lookup === undefined ? {} : { lookup }),
        ...(signal === undefined ? {} : { signal }),
      })
      const timer = setTimeout(() => request.destroy(new TransportError(url, 'took too long')), firstByte)
      request.once('response', (response) => {
        clearTimeout(timer)
        resolve({
          status: response.statusCode ?? 0,
          contentType: response.headers['content-type'] ?? '',
          headers: new Headers(
            Object.entries(response.headers).map(([name, value]): [string, string] => [name, String(value)]),
          ),
          body: readPieces(url, response, idle),
        })
      })
      request.once('error', (error) => {
        clearTimeout(timer)
        reject(error instanceof TransportError ? error : new TransportError(url, 'was not reached', error))
      })
      request.end(body)
    })

  return Object.assign(send, {
    close: () => {
      for (const agent of Object.values(agents)) agent.destroy()
    },
  })
}

/** The pieces of an answer. The clock runs only while one is awaited, so that a slow reader is no silent server. */
async function* readPieces(url: string, response: IncomingMessage, idle: number): AsyncGenerator<Uint8Array> {
  const pieces = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  const silent = () => response.destroy(new TransportError(url, 'fell silent'))
  try {
    for (;;) {
      const timer = setTimeout(silent, idle)
      const { done, value } = await pieces.next().finally(() => clearTimeout(timer))
      if (done === true) return
      yield value
    }
  } catch (error) {
    throw error instanceof TransportError ? error : new TransportError(url, 'broke off', error)
  } finally {
    // Whoever leaves before the end cannot give the connection back.
    if (!response.readableEnded) response.destroy()
  }
}

/** A transport on a `fetch`, such as a test's. */
export function transportOf(fetch: typeof globalThis.fetch): Transport {
  const send = async (request: TransportRequest): Promise<TransportResponse> => {
    const { url, method, headers, body, firstByte, idle, signal } = request
    const gone = new AbortController()
    const timer = setTimeout(() => gone.abort(), firstByte)
    try {
      const response = await fetch(url, {
        method,
        redirect: 'error',
        signal: signal === undefined ? gone.signal : AbortSignal.any([signal, gone.signal]),
        ...(headers === undefined ? {} : { headers }),
        ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
      })
      return {
        status: response.status,
        contentType: response.headers.get('content-type') ?? '',
        headers: response.headers,
        body: readStream(url, response.body, idle),
      }
    } catch (error) {
      throw new TransportError(url, gone.signal.aborted ? 'took too long' : 'was not reached', error)
    } finally {
      clearTimeout(timer)
    }
  }
  return Object.assign(send, { close: () => undefined })
}

async function* readStream(
  url: string,
  body: ReadableStream<Uint8Array> | null,
  idle: number,
): AsyncGenerator<Uint8Array> {
  if (body === null) return
  const reader = body.getReader()
  try {
    for (;;) {
      let timer: NodeJS.Timeout | undefined
      const silence = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new TransportError(url, 'fell silent')), idle)
      })
      const { done, value } = await Promise.race([reader.read(), silence]).finally(() => clearTimeout(timer))
      if (done) return
      yield value
    }
  } catch (error) {
    throw error instanceof TransportError ? error : new TransportError(url, 'broke off', error)
  } finally {
    // Of no effect on a body that has ended. Nobody is left to be told of a failure.
    reader.cancel().catch(() => undefined)
  }
}

/**
 * Reads a short answer as a whole.
 *
 * @param most bytes
 * @throws {TransportError} also when it is longer
 */
export async function readAll(url: string, response: TransportResponse, most: number): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of response.body) {
    length += piece.length
    if (length > most) throw new TransportError(url, `answered with more than ${most} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces, length)
}
