import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { type Listening, listen } from '../../infra/http/listen.ts'
import { readBody } from '../../infra/http/readBody.ts'

/** How the scripted model answers: in so many pieces, with so many milliseconds between them. */
export type Pace = { readonly pieces: number; readonly pause: number }

const bodySchema = z.looseObject({
  model: z.string(),
  messages: z.array(z.looseObject({ content: z.string() })).min(1),
  max_tokens: z.int(),
  stream: z.boolean().optional(),
})

/** What the scripted model says to a prompt: known to whoever knows the prompt, found nowhere else. */
export const completionOf = (prompt: string): string =>
  `COMPLETION-${createHash('sha256').update(prompt).digest('hex').slice(0, 32)}`

/** Tokens that it says it used: of those that it may, two thirds. */
const usageOf = (most: number) => {
  const completion = Math.ceil((most * 2) / 3)
  return { prompt_tokens: 12, completion_tokens: completion, total_tokens: 12 + completion }
}

/** A model that answers each prompt with {@link completionOf}, plain or streamed. */
export function startScriptedModel(paceOf: (prompt: string) => Pace): Promise<Listening> {
  async function answer(body: Buffer, response: ServerResponse): Promise<void> {
    const { model, messages, max_tokens: most, stream } = bodySchema.parse(JSON.parse(body.toString('utf8')))
    const prompt = messages.at(-1)?.content ?? ''
    const { pieces, pause } = paceOf(prompt)
    const text = completionOf(prompt)
    const common = { id: 'chatcmpl-1', created: 1, model }
    if (stream !== true) {
      response.writeHead(200, { 'content-type': 'application/json' })
      const choices = [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }]
      response.end(JSON.stringify({ ...common, object: 'chat.completion', choices, usage: usageOf(most) }))
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const send = (value: object) =>
      response.write(`data: ${JSON.stringify({ ...common, object: 'chat.completion.chunk', ...value })}\n\n`)
    const length = Math.ceil(text.length / pieces)
    for (let at = 0; at < pieces; at++) {
      if (at > 0 && pause > 0) await delay(pause)
      const content = text.slice(at * length, (at + 1) * length)
      send({ choices: [{ index: 0, delta: { content }, finish_reason: at === pieces - 1 ? 'stop' : null }] })
    }
    send({ choices: [], usage: usageOf(most) })
    response.end('data: [DONE]\n\n')
  }

  return listen(
    (request, response) => {
      if (request.method === 'GET') return void response.end('{"data":[]}')
      readBody(request, { most: 1_000_000 })
        .then((body) => answer(body, response))
        .catch(() => response.destroy())
    },
    { what: 'scripted model' },
  )
}
