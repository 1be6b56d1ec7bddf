import type { ServerResponse } from 'node:http'
import { completion } from './names.ts'
import type { Part } from './part.ts'
import { serve } from './serve.ts'

/**
 * What the upstream is told to do, in place of a prompt. `first` says one token at once and the rest a moment later;
 * `paced` says 1,000 tokens a second; `fast` says them as fast as they are taken, each in a turn of its own as a model
 * that makes them one by one, and `bulk` all that are taken in one turn, as a file is sent.
 */
export type Script = { readonly kind: 'first' | 'paced' | 'fast' | 'bulk'; readonly tokens: number }

const event = (model: string, choices: object[], more: object = {}) => {
  const chunk = { id: 'chatcmpl-bench', object: 'chat.completion.chunk', created: 0, model, choices, ...more }
  return Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`)
}
/** One token, as servers send it. */
export const tokenEvent = (model: string): Buffer =>
  event(model, [{ index: 0, delta: { content: ' token' }, finish_reason: null }])

const ending = (model: string, tokens: number) =>
  Buffer.concat([
    event(model, [{ index: 0, delta: {}, finish_reason: 'stop' }]),
    event(model, [], {
      usage: { prompt_tokens: 8, completion_tokens: tokens, total_tokens: 8 + tokens },
    }),
    Buffer.from('data: [DONE]\n\n'),
  ])

/** The body of a request that makes the upstream say so much. */
export const scripted = (model: string, script: Script): string =>
  JSON.stringify({
    model,
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: Math.max(script.tokens, completion.asked),
    messages: [{ role: 'user', content: JSON.stringify(script) }],
  })

/** An OpenAI-compatible server that does as it is told. */
export const upstream = (_: undefined): Promise<Part> =>
  serve((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (bytes: Buffer) => parts.push(bytes))
    request.on('end', () => {
      if (request.method !== 'POST') return response.end('{"object":"list","data":[]}')
      const { model, messages } = JSON.parse(Buffer.concat(parts).toString()) as {
        model: string
        messages: { content: string }[]
      }
      const { kind, tokens } = JSON.parse(messages[0]?.content ?? '') as Script
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      speak[kind](response, { tokens, token: tokenEvent(model), ending: ending(model, tokens) })
    })
  })

type Speech = { readonly tokens: number; readonly token: Buffer; readonly ending: Buffer }

const speak: Record<Script['kind'], (response: ServerResponse, speech: Speech) => void> = {
  first(response, { tokens, token, ending: end }) {
    response.write(token)
    setTimeout(() => {
      for (let count = 1; count < tokens; count += 1) response.write(token)
      response.end(end)
    }, 2)
  },
  paced(response, { tokens, token, ending: end }) {
    const began = performance.now()
    let said = 0
    const timer = setInterval(() => {
      // By the clock: what a timer is late by is caught up with.
      const due = Math.min(tokens, Math.floor(performance.now() - began))
      for (; said < due; said += 1) response.write(token)
      if (said < tokens) return
      clearInterval(timer)
      response.end(end)
    }, 1)
    response.once('close', () => clearInterval(timer))
  },
  fast(response, { tokens, token, ending: end }) {
    let said = 0
    const say = () => {
      if (response.destroyed) return
      if (said === tokens) return response.end(end)
      said += 1
      if (response.write(token)) setImmediate(say)
      else response.once('drain', say)
    }
    say()
  },
  bulk(response, { tokens, token, ending: end }) {
    let said = 0
    const say = () => {
      while (said < tokens) {
        said += 1
        if (response.write(token)) continue
        response.once('drain', say)
        return
      }
      response.end(end)
    }
    say()
  },
}
