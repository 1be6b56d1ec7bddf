import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { quietPort } from './quietPort.ts'

/** What the model's server was asked. */
export type Asked = {
  readonly path: string
  /** Names and values as they came. */
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
  readonly from: string
}

/** A model's server that does as a test tells it. */
export type ScriptedUpstream = {
  /** With the version. */
  readonly url: string
  /** All that it was asked, but for the looks at its models. */
  readonly asked: Asked[]
  /** What it does with the next request, and from then on. */
  answer: (asked: Asked, response: ServerResponse) => void | Promise<void>
  /** Goes away: connections are refused. */
  pause(): Promise<void>
  resume(): Promise<void>
  close(): Promise<void>
}

export async function startUpstream(answer: ScriptedUpstream['answer']): Promise<ScriptedUpstream> {
  const server = createServer((request, response) => {
    // Requests that are cut off are what some tests are about.
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    void serve(request, response)
  })
  server.keepAliveTimeout = 0

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    try {
      for await (const part of request) parts.push(part as Buffer)
    } catch {
      return
    }
    const path = request.url ?? ''
    if (path.endsWith('/models')) return void response.end('{"object":"list","data":[]}')
    const { rawHeaders } = request
    const asked: Asked = {
      path,
      rawHeaders,
      body: Buffer.concat(parts),
      from: request.socket.remoteAddress ?? '',
    }
    upstream.asked.push(asked)
    await upstream.answer(asked, response)
  }

  const port = await quietPort()
  const listen = () => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()))
  const close = () =>
    new Promise<void>((resolve) => {
      if (!server.listening) return resolve()
      server.close(() => resolve())
      server.closeAllConnections()
    })
  await listen()
  const upstream: ScriptedUpstream = {
    url: `http://127.0.0.1:${port}/v1`,
    asked: [],
    answer,
    pause: close,
    resume: listen,
    close,
  }
  return upstream
}

export type Usage = { readonly prompt: number; readonly completion: number }

const usageOf = ({ prompt, completion }: Usage) => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
})

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

/** A whole answer as OpenAI's API has it. */
export const completion = (
  model: string,
  message: object,
  usage: Usage = { prompt: 10, completion: 20 },
): object => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model,
  choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: 'stop' }],
  usage: usageOf(usage),
})

/** One event of a streamed answer. */
export const event = (model: string, delta: object, more: object = {}): string =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1,
    model,
    choices: [{ index: 0, delta, finish_reason: null }],
    ...more,
  })}\n\n`

/** The events that end a stream. */
export const lastEvents = (model: string, usage: Usage = { prompt: 10, completion: 20 }): string =>
  `${event(model, {}, { choices: [], usage: usageOf(usage) })}data: [DONE]\n\n`

export const beginStream = (response: ServerResponse, headers: Record<string, string> = {}) =>
  response.writeHead(200, { 'content-type': 'text/event-stream', ...headers })
