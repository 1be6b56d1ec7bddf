import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { streamSSE } from 'hono/streaming'
import { type Clock, systemClock } from '../../../runtime/core/clock.ts'
import { RialtoError } from '../../../runtime/core/errors.ts'
import {
  ApiError,
  type ChatRequest,
  countTokens,
  cutToTokens,
  type FinishReason,
  parseChatRequest,
  type Reply,
  textOf,
  type Usage,
} from './openai.ts'
import { REFERENCE_ANALYST, reply } from './reply.ts'

/** Larger bodies are refused. The largest situation is under 16 kB. */
export const MAX_BODY_BYTES = 1_048_576
/** About how many characters one streamed piece holds. */
const PIECE = 24

export type ReferenceAnalyst = {
  /** The base URL of the API, such as `http://127.0.0.1:41231/v1`. */
  readonly url: string
  /** Ends every open connection, then resolves. */
  close(): Promise<void>
}

/** The address to listen on is taken or not ours to take. */
class AnalystListenError extends RialtoError {
  override readonly name = 'AnalystListenError'
  constructor(port: number, cause: unknown) {
    super('ANALYST_LISTEN', `The reference analyst cannot listen on 127.0.0.1:${port}.`, {
      fix: 'Free the port or name another one; 0 takes any that is free.',
      details: { port },
      cause,
    })
  }
}

/**
 * Starts the reference analyst: an OpenAI-compatible API on loopback that serves one model, a formula.
 *
 * It keeps nothing and logs nothing: no request and no answer outlives its connection.
 *
 * @param parameters.port 0, the default, takes a free one
 * @throws {AnalystListenError} when it cannot listen there.
 * @example
 * const analyst = await startReferenceAnalyst()
 * const model = new ChatOpenAI({ model: REFERENCE_ANALYST, apiKey: 'none', configuration: { baseURL: analyst.url } })
 */
export async function startReferenceAnalyst({
  port = 0,
  clock = systemClock,
}: {
  port?: number
  clock?: Clock
} = {}): Promise<ReferenceAnalyst> {
  const server = createAdaptorServer({ fetch: createAnalystApp(clock).fetch, hostname: '127.0.0.1' })
  // An idle connection is the client's to close: were it closed here while the client's event loop is busy, the
  // next request on it would fail for no reason of its own.
  if ('keepAliveTimeout' in server) server.keepAliveTimeout = 0
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new AnalystListenError(port, error)))
    server.listen(port, '127.0.0.1', resolve)
  })
  const { port: bound } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${bound}/v1`,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(new AnalystListenError(bound, error)) : resolve()))
        if ('closeAllConnections' in server) server.closeAllConnections()
      }),
  }
}

/** The API as a fetch handler, for whoever serves it otherwise. */
function createAnalystApp(clock: Clock): Hono {
  const app = new Hono()
  const limit = bodyLimit({
    maxSize: MAX_BODY_BYTES,
    onError: () => {
      throw new ApiError(413, `The body is larger than ${MAX_BODY_BYTES} bytes.`, {
        code: 'request_too_large',
      })
    },
  })
  const model = { id: REFERENCE_ANALYST, object: 'model', created: 0, owned_by: 'rialto' }

  app.get('/healthz', (context) => context.json({ status: 'ok', model: REFERENCE_ANALYST }))
  app.get('/v1/models', (context) => context.json({ object: 'list', data: [model] }))
  app.get('/v1/models/:model', (context) => {
    requireModel(context.req.param('model'))
    return context.json(model)
  })
  app.post('/v1/chat/completions', limit, async (context) => {
    const request = parseChatRequest(await context.req.text())
    requireModel(request.model)
    const completion = complete(request)
    const head = {
      id: `chatcmpl-${randomUUID()}`,
      created: Math.floor(clock.now() / 1_000),
      model: REFERENCE_ANALYST,
    }
    if (request.stream !== true) return context.json(completionBody(head, completion))
    return streamSSE(context, async (stream) => {
      for (const chunk of completionChunks(head, completion, request.stream_options?.include_usage === true))
        await stream.writeSSE({ data: JSON.stringify(chunk) })
      await stream.writeSSE({ data: '[DONE]' })
    })
  })
  app.on(['PUT', 'PATCH', 'DELETE', 'GET'], '/v1/chat/completions', () => {
    throw new ApiError(405, 'Use POST.', { code: 'method_not_allowed' })
  })
  app.notFound((context) =>
    context.json(new ApiError(404, 'There is nothing here.', { code: 'unknown_url' }).toBody(), 404),
  )
  app.onError((error, context) => {
    // Whatever else was thrown may quote the request, so nobody is shown it.
    const shown = error instanceof ApiError ? error : new ApiError(500, 'The reference analyst failed.')
    // A body that was not read to its end is still on the wire: nothing can follow it on this connection.
    if (shown.status === 413) context.header('connection', 'close')
    return context.json(shown.toBody(), shown.status)
  })
  return app
}

function requireModel(name: string): void {
  if (name !== REFERENCE_ANALYST)
    throw new ApiError(404, `The model does not exist here; the only one is ${REFERENCE_ANALYST}.`, {
      param: 'model',
      code: 'model_not_found',
    })
}

type Completion = { readonly reply: Reply; readonly finish: FinishReason; readonly usage: Usage }
type Head = { readonly id: string; readonly created: number; readonly model: string }

function complete(request: ChatRequest): Completion {
  const whole = reply(request)
  const most = request.max_completion_tokens ?? request.max_tokens ?? Number.POSITIVE_INFINITY
  const text = whole.kind === 'tool' ? whole.arguments : whole.text
  const cut = cutToTokens(text, most)
  const prompt = request.messages.reduce((sum, { content }) => sum + countTokens(textOf(content)), 0)
  const completion = countTokens(cut)
  return {
    reply: whole.kind === 'tool' ? { ...whole, arguments: cut } : { ...whole, text: cut },
    finish: cut.length < text.length ? 'length' : whole.kind === 'tool' ? 'tool_calls' : 'stop',
    usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
  }
}

function completionBody(head: Head, { reply: said, finish, usage }: Completion) {
  const call = said.kind === 'tool' ? [toolCall(said)] : undefined
  return {
    ...head,
    object: 'chat.completion',
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: said.kind === 'text' ? said.text : null,
          refusal: said.kind === 'refusal' ? said.text : null,
          ...(call && { tool_calls: call }),
        },
        logprobs: null,
        finish_reason: finish,
      },
    ],
    usage,
  }
}

const toolCall = (said: { readonly name: string; readonly arguments: string }) => ({
  id: `call_${randomUUID()}`,
  type: 'function',
  function: { name: said.name, arguments: said.arguments },
})

function* completionChunks(head: Head, { reply: said, finish, usage }: Completion, withUsage: boolean) {
  const chunk = (delta: object, finish_reason: FinishReason | null = null) => ({
    ...head,
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, logprobs: null, finish_reason }],
    ...(withUsage && { usage: null }),
  })
  if (said.kind === 'tool') {
    const call = toolCall(said)
    const opening = { index: 0, ...call, function: { ...call.function, arguments: '' } }
    yield chunk({ role: 'assistant', content: null, tool_calls: [opening] })
    for (const piece of pieces(said.arguments))
      yield chunk({ tool_calls: [{ index: 0, function: { arguments: piece } }] })
  } else {
    const field = said.kind === 'text' ? 'content' : 'refusal'
    yield chunk({ role: 'assistant', [field]: '' })
    for (const piece of pieces(said.text)) yield chunk({ [field]: piece })
  }
  yield chunk({}, finish)
  if (withUsage) yield { ...head, object: 'chat.completion.chunk', choices: [], usage }
}

/** A text in pieces that join to it again. Split between characters, so that each piece is whole on its own. */
function* pieces(text: string) {
  let piece = ''
  for (const character of text) {
    piece += character
    if (piece.length >= PIECE) {
      yield piece
      piece = ''
    }
  }
  if (piece !== '') yield piece
}
