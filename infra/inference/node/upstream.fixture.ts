import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a scripted upstream was asked. */
export type Question = {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export type ScriptedUpstream = {
  /** With the version. */
  readonly url: string
  /** All that it was asked but for `/models`. */
  readonly questions: Question[]
  /** What it does next, and from then on. */
  answer: (question: Question, response: ServerResponse) => void
  /** What it says to whoever asks for its models. */
  models: number
  close(): Promise<void>
}

export const json = (response: ServerResponse, status: number, value: unknown) => {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}

/** A server that does as a test tells it. */
export async function startScriptedUpstream(
  answer: ScriptedUpstream['answer'] = (_, response) => json(response, 200, completion('fine')),
): Promise<ScriptedUpstream> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      if (request.url?.endsWith('/models')) return json(response, scripted.models, { data: [] })
      const question = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(parts),
      }
      scripted.questions.push(question)
      scripted.answer(question, response)
    })
    // A request that is cut off is what some tests are about.
    request.on('error', () => undefined)
    response.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const scripted: ScriptedUpstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    questions: [],
    answer,
    models: 200,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return scripted
}

export const completion = (content: string, fields: object = {}) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'public/model-1',
  choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 },
  ...fields,
})

export const chunk = (delta: object, fields: object = {}) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'public/model-1',
  choices: [{ index: 0, delta, finish_reason: null }],
  ...fields,
})

export const event = (value: unknown) =>
  `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`

export const beginStream = (response: ServerResponse) =>
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
