import type { IncomingMessage } from 'node:http'
import { readBody } from '../../http/readBody.ts'
import type { Usage } from '../protocol/network/price.ts'
import { problemOf } from '../protocol/network/problem.ts'
import { UpstreamError } from './errors.ts'
import { EventStream } from './eventStream.ts'
import { editMembers, membersOf } from './jsonMembers.ts'
import type { NodeLimits, NodeTimeouts } from './options.ts'
import type { Plan } from './planRequest.ts'
import type { SealedAnswer } from './sealedAnswer.ts'
import { estimateAnswer, readUsage } from './tokens.ts'

/** What the upstream answers, as far as it is there when it is passed on. */
export type UpstreamAnswer =
  | { readonly form: 'stream'; readonly status: number; readonly contentType: string }
  | {
      readonly form: 'whole'
      readonly status: number
      readonly contentType: string
      readonly body: Uint8Array
      /** What it used: nothing where it is an error. */
      readonly usage: Usage
    }

type Bounds = { readonly limits: NodeLimits; readonly timeouts: NodeTimeouts }
const nothing: Usage = { prompt: 0, completion: 0 }

/**
 * Reads the head of an answer, and all of it where it is no stream.
 *
 * @throws UpstreamError for what cannot be passed on
 */
export async function readUpstreamAnswer(
  message: IncomingMessage,
  plan: Plan,
  { limits, timeouts }: Bounds,
): Promise<UpstreamAnswer> {
  const { statusCode: status = 0, headers } = message
  const contentType = headers['content-type'] ?? ''
  const encoding = headers['content-encoding'] ?? 'identity'
  const fault =
    status >= 300 && status < 400
      ? 'redirect'
      : status === 401 || status === 407
        ? // The key is the node's: the client could do nothing about it, and would look for a fault of its own.
          'key-refused'
        : encoding !== 'identity' || status < 200
          ? 'not-understood'
          : undefined
  if (fault !== undefined) {
    message.destroy()
    throw new UpstreamError(fault)
  }
  if (status < 300 && /^text\/event-stream\s*(;|$)/i.test(contentType))
    return { form: 'stream', status, contentType }
  const body = await readBody(message, { most: limits.answerBytes, stall: timeouts.silence }).catch(
    (error: { readonly fault?: string }) => {
      message.destroy()
      throw new UpstreamError(
        error.fault === 'too-large' ? 'too-large' : error.fault === 'stalled' ? 'silent' : 'cut',
      )
    },
  )
  return readWhole(status, contentType, body, plan)
}

function readWhole(status: number, contentType: string, body: Buffer, plan: Plan): UpstreamAnswer {
  const said = parseObject(body)
  if (status >= 300) {
    if (said !== undefined && typeof said.error === 'object' && said.error !== null)
      return { form: 'whole', status, contentType: 'application/json', body, usage: nothing }
    // Whatever it is, a client of OpenAI's API could not read it; and a page may hold what is not the client's.
    const problem = problemOf({
      status,
      code: 'upstream_error',
      message: `The model's server refused with status ${status} and gave no reason in OpenAI's form.`,
      role: 'upstream',
    })
    const written = Buffer.from(JSON.stringify(problem))
    return { form: 'whole', status, contentType: 'application/json', body: written, usage: nothing }
  }
  if (said === undefined) throw new UpstreamError('not-understood')
  const usage = readUsage(said.usage) ?? { prompt: plan.prompt, completion: estimateAnswer(said.choices) }
  const { id, upstreamModel = id } = plan.model
  const members = upstreamModel === id || !('model' in said) ? undefined : membersOf(body)
  return {
    form: 'whole',
    status,
    contentType: contentType === '' ? 'application/json' : contentType,
    body: members === undefined ? body : editMembers(body, members, new Map([['model', JSON.stringify(id)]])),
    usage,
  }
}

function parseObject(body: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    // The parser's own error quotes the answer.
    return undefined
  }
}

/** How a stream ended, and what was used by then. */
export type StreamEnd = { readonly whole: boolean; readonly usage: Usage }

/** Passes a stream on as it comes, no faster than the gateway takes it. */
export function relayStream(
  message: IncomingMessage,
  plan: Plan,
  answer: SealedAnswer,
  { limits, timeouts }: Bounds,
): Promise<StreamEnd> {
  const { id, upstreamModel = id } = plan.model
  const events = new EventStream({ model: upstreamModel === id ? undefined : id, dropUsage: plan.dropUsage })
  // Without either, the end of the connection is the end of the answer, and so is a crash.
  const framed = 'content-length' in message.headers || 'transfer-encoding' in message.headers
  return new Promise((resolve) => {
    let received = 0
    let parts: Buffer[] = []
    let silence: NodeJS.Timeout | undefined
    const listen = () => {
      clearTimeout(silence)
      silence = setTimeout(() => message.destroy(), timeouts.silence)
    }
    listen()
    const finish = (whole: boolean) => {
      clearTimeout(silence)
      const used = events.usage
      const said = events.failed && whole ? nothing : { prompt: plan.prompt, completion: events.estimate }
      resolve({ whole, usage: used ?? said })
    }
    const send = (pieces: readonly Buffer[]) => {
      let room = true
      for (const piece of pieces) room = answer.push(piece)
      return room
    }
    const pass = () => {
      if (parts.length === 0) return
      const [first = Buffer.alloc(0)] = parts
      const bytes = parts.length === 1 ? first : Buffer.concat(parts)
      parts = []
      let room = true
      try {
        room = send(events.push(bytes))
      } catch {
        // An event without an end: whoever sends it has broken the stream.
        message.destroy()
      }
      if (message.destroyed) return
      if (room) return void silence?.refresh()
      message.pause()
      // It is not the upstream that is silent now.
      clearTimeout(silence)
      answer.onRoom(() => {
        if (message.destroyed) return
        listen()
        message.resume()
      })
    }
    message.on('data', (bytes: Buffer) => {
      received += bytes.length
      if (received > limits.streamBytes) return void message.destroy()
      // A server sends each token by itself, and a read of the socket brings many: they are looked at together.
      if (parts.push(bytes) === 1) process.nextTick(pass)
    })
    message.once('end', () => {
      if (!message.complete || !(framed || events.done)) return finish(false)
      pass()
      send(events.end())
      finish(true)
    })
    message.once('close', () => finish(false))
  })
}
