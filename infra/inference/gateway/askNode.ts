import { type Agent, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { BinaryHttpDecoder, type BinaryHttpEvent } from '../protocol/bhttp/decoder.ts'
import type { Field } from '../protocol/bhttp/message.ts'
import type { Refusal } from '../protocol/network/problem.ts'
import { headers, mediaTypes, routes } from '../protocol/network/routes.ts'
import { OHTTP_KEY_PROBLEM, ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import type { GatewayLimits } from './options.ts'
import { refusals } from './problems.ts'

/** How a node answered. */
export type NodeAnswer = {
  /** Undefined when the answer is complete. */
  readonly failure: Refusal | undefined
  /** The trailer, as it came and unverified. */
  readonly receipt: string | undefined
  /** Milliseconds until the first byte of the content; undefined when there was none. */
  readonly firstByte: number | undefined
}

/** A request that a node works on. */
export type NodeRequest = {
  /** Never rejects. */
  readonly answer: Promise<NodeAnswer>
  /** Stops reading, without which the node's answer piles up, and goes on. */
  hold(hold: boolean): void
  /** Gives up. */
  abort(): void
}

/**
 * What is sealed for a node, up to 8 MiB. Whoever has sent it empties it: an answer goes on for minutes, and all that
 * refers to the order would hold it for as long.
 */
export type SealedRequest = { bytes: Uint8Array }

const nothing = new Uint8Array(0)

/** Of a refusal in the clear, no more than this is read. */
const MOST_REFUSAL = 4_096

export const field = (fields: readonly Field[], name: string): string | undefined => {
  const found = fields.filter(([each]) => each.toLowerCase() === name)
  return found.length === 1 ? found[0]?.[1] : undefined
}

/**
 * Hands a sealed request to a node and takes its answer apart.
 *
 * @param sealed emptied when nothing of it has to be sent again
 * @param onContent given the content as it comes, in pieces of one turn of the event loop
 * @param onOverdue called when the whole time is over while the answer is held: its readers have to go
 */
export function askNode(parameters: {
  readonly url: string
  /** Told to the node in the clear, so that it can refuse a sealed request that asks for another. */
  readonly model: string
  readonly sealed: SealedRequest
  readonly authorization: string
  readonly agent: Agent
  readonly limits: Pick<GatewayLimits, 'connect' | 'firstByte' | 'silence' | 'whole' | 'answer'>
  readonly onContent: (bytes: Uint8Array) => void
  readonly onOverdue: () => void
}): NodeRequest {
  const { url, model, sealed, authorization, agent, limits, onContent, onOverdue } = parameters
  const began = performance.now()
  const decoder = new BinaryHttpDecoder('response', { maxContentBytes: limits.answer })
  let pending: Uint8Array[] = []
  let firstByte: number | undefined
  let receipt: string | undefined
  let incoming: IncomingMessage | undefined
  let held = false
  let over = false
  let settle: (answer: NodeAnswer) => void = () => undefined
  const answer = new Promise<NodeAnswer>((resolve) => {
    settle = resolve
  })

  let waiting = setTimeout(() => finish(refusals.nodeTimeout), limits.firstByte)
  let whole = setTimeout(overdue, limits.whole)
  let connecting: NodeJS.Timeout | undefined

  function overdue(): void {
    if (!held) {
      finish(refusals.nodeTimeout)
      return
    }
    // It is a reader that is late, not the node: without the reader the node may still end.
    whole = setTimeout(() => finish(refusals.nodeTimeout), limits.silence)
    onOverdue()
  }

  function finish(failure?: Refusal): void {
    if (over) return
    over = true
    sealed.bytes = nothing
    clearTimeout(waiting)
    clearTimeout(whole)
    clearTimeout(connecting)
    flush()
    if (failure !== undefined) request.destroy()
    settle({ failure, receipt, firstByte })
  }

  function flush(): void {
    if (pending.length === 0) return
    const [only] = pending
    const bytes = pending.length === 1 && only !== undefined ? only : Buffer.concat(pending)
    pending = []
    onContent(bytes)
  }

  function take(events: readonly BinaryHttpEvent[]): void {
    for (const event of events) {
      if (over) return
      if (event.type === 'content') {
        if (firstByte === undefined) {
          firstByte = performance.now() - began
          clearTimeout(waiting)
          waiting = setTimeout(() => finish(refusals.nodeTimeout), limits.silence)
        }
        // Each read of the socket may bring many chunks: what comes in one turn goes out in one.
        if (pending.length === 0) process.nextTick(flush)
        pending.push(event.bytes)
      } else if (event.type === 'response') {
        const isSealed = field(event.headers, 'content-type') === ohttpMediaTypes.chunkedResponse
        if (event.status !== 200 || !isSealed) finish(refusals.nodeFailed)
      } else if (event.type === 'end') receipt = field(event.trailers, headers.receipt)
    }
  }

  function read(response: IncomingMessage): void {
    incoming = response
    if (held) response.pause()
    response.on('data', (bytes: Buffer) => {
      if (over) return
      if (firstByte !== undefined) waiting.refresh()
      try {
        take(decoder.push(bytes))
      } catch {
        // What is wrong with a node's answer is told to nobody: it is not whole, and that is all that counts.
        finish(refusals.nodeFailed)
      }
    })
    response.on('end', () => {
      if (over) return
      try {
        take(decoder.end())
        finish()
      } catch {
        finish(refusals.nodeFailed)
      }
    })
    response.on('error', () => finish(refusals.nodeFailed))
    response.on('close', () => finish(refusals.nodeFailed))
  }

  function readRefusal(response: IncomingMessage): void {
    const parts: Buffer[] = []
    let length = 0
    response.on('data', (bytes: Buffer) => {
      length += bytes.length
      if (length > MOST_REFUSAL) finish(refusals.nodeFailed)
      else parts.push(bytes)
    })
    response.on('end', () => finish(refusalOf(response.statusCode ?? 0, Buffer.concat(parts))))
    response.on('error', () => finish(refusals.nodeFailed))
    response.on('close', () => finish(refusals.nodeFailed))
  }

  function begin(retried: boolean) {
    const send = url.startsWith('https:') ? requestHttps : requestHttp
    const sent = send(
      `${url}${routes.node.ohttp}`,
      {
        method: 'POST',
        agent,
        headers: {
          'content-type': ohttpMediaTypes.chunkedRequest,
          'content-length': sealed.bytes.length,
          [headers.authorization]: authorization,
          [headers.model]: model,
        },
      },
      (response) => {
        sealed.bytes = nothing
        const isAnswer =
          response.statusCode === 200 && response.headers['content-type'] === mediaTypes.binaryHttp
        if (isAnswer) read(response)
        else readRefusal(response)
      },
    )
    sent.on('socket', (socket) => {
      if (!socket.connecting) return
      connecting = setTimeout(() => finish(refusals.nodeUnavailable), limits.connect)
      socket.once('connect', () => clearTimeout(connecting))
    })
    sent.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(connecting)
      if (over) return
      // A connection that was kept may have been closed by the node just then. Nothing runs twice by sending it
      // again, because the node remembers what it has opened.
      if (sent.reusedSocket && error.code === 'ECONNRESET' && incoming === undefined && !retried) {
        request = begin(true)
        return
      }
      finish(incoming === undefined && isUnreachable(error) ? refusals.nodeUnavailable : refusals.nodeFailed)
    })
    sent.end(sealed.bytes, () => {
      // On a connection that was kept it may have to be sent once more, until there is an answer.
      if (!sent.reusedSocket) sealed.bytes = nothing
    })
    return sent
  }

  let request = begin(false)
  return {
    answer,
    hold(hold) {
      if (held === hold || over) return
      held = hold
      if (hold) {
        incoming?.pause()
        clearTimeout(waiting)
      } else {
        incoming?.resume()
        waiting = setTimeout(() => finish(refusals.nodeTimeout), limits.silence)
      }
    },
    abort: () => finish(refusals.closing),
  }
}

const unreachable = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'ETIMEDOUT',
])

const isUnreachable = ({ code }: NodeJS.ErrnoException): boolean =>
  code !== undefined && unreachable.has(code)

/** What a node said in the clear, in the gateway's own words. */
function refusalOf(status: number, body: Buffer): Refusal {
  if (status === 429) return refusals.nodeBusy
  if (status === 503) return refusals.nodeUnavailable
  if (status === 400 && body.includes(`"${OHTTP_KEY_PROBLEM}"`)) return refusals.nodeKeyUnknown
  return refusals.nodeFailed
}
