/** For tests: an OpenAI-compatible server that does what it is told, and a client of it. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ChatOpenAI } from '@langchain/openai'

/** Answers one request, given its body. */
export type Script = (response: ServerResponse, request: IncomingMessage, body: string) => void

/** A completion whose message is that text. */
export const says =
  (content: unknown, fields: object = {}): Script =>
  (response) => {
    const text = typeof content === 'string' ? content : JSON.stringify(content)
    const message = { role: 'assistant', content: text, refusal: null, ...fields }
    response.setHeader('content-type', 'application/json')
    response.end(
      JSON.stringify({
        id: 'chatcmpl-1',
        object: 'chat.completion',
        created: 0,
        model: 'scripted',
        choices: [{ index: 0, message, finish_reason: 'stop' }],
        usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
      }),
    )
  }

/** Never answers. */
export const hangs: Script = () => {}

export type ScriptedModel = {
  /** What it does with the next requests. */
  script: Script
  /** The bodies it was sent, oldest first. */
  readonly bodies: string[]
  readonly chat: ChatOpenAI
  readonly url: string
  /** Resolves when the next request has arrived. */
  asked(): Promise<void>
  close(): Promise<void>
}

export async function startScriptedModel(): Promise<ScriptedModel> {
  const waiting: (() => void)[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    model.bodies.push(body)
    model.script(response, request, body)
    for (const resolve of waiting.splice(0)) resolve()
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  const model: ScriptedModel = {
    script: says({ candidate: 'c1', size: 10, reason: 'As told.' }),
    bodies: [],
    url,
    chat: new ChatOpenAI({
      model: 'scripted',
      apiKey: 'none',
      maxRetries: 0,
      temperature: 0,
      useResponsesApi: false,
      configuration: { baseURL: url, logLevel: 'off' },
    }),
    asked: () => new Promise((resolve) => waiting.push(resolve)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return model
}
