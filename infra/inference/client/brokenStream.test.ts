import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { ChatOpenAI } from '@langchain/openai'
import { streamText } from 'ai'
import OpenAI, { APIError } from 'openai'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { openPrivateNetwork, type PrivateNetwork } from './openPrivateNetwork.ts'
import { startTestNetwork, type TestNetwork } from './testNetwork.ts'

/*
 * What each client makes of a stream that breaks. None of them must take a part for the whole; that they throw with our
 * code is why the last event of such a stream is an error.
 */

let network: TestNetwork
let opened: PrivateNetwork
beforeAll(async () => {
  network = await startTestNetwork()
  opened = openPrivateNetwork(network.options(await network.wallet()))
  const chunk = (content: string) => ({
    id: 'c',
    object: 'chat.completion.chunk',
    created: 0,
    model: 'test-model',
    choices: [{ index: 0, delta: { role: 'assistant', content }, finish_reason: null }],
  })
  const event = (content: string) => `data: ${JSON.stringify(chunk(content))}\n\n`
  network.script.node = () => ({
    events: [event('one '), event('two '), 'data: {"id":"cut in the midd'],
    cut: true,
  })
})
afterAll(async () => {
  await opened.close()
  await network.close()
})
beforeEach(() => {
  network.paths.length = 0
})

const baseURL = 'http://x/v1'
const model = 'test-model'

it('openai throws an APIError', async () => {
  const client = new OpenAI({ baseURL, apiKey: 'none', fetch: opened.fetch, maxRetries: 0 })
  let text = ''
  const reading = (async () => {
    const stream = await client.chat.completions.create({
      model,
      messages: [{ role: 'user', content: 'hi' }],
      stream: true,
    })
    for await (const { choices } of stream) text += choices[0]?.delta.content ?? ''
  })()
  await expect(reading).rejects.toBeInstanceOf(APIError)
  await expect(reading).rejects.toMatchObject({
    code: 'stream_broken',
    error: { rialto: { role: 'client', limit: { fault: 'stream_truncated' } } },
  })
  expect(text).toBe('one two ')
  await expect.poll(() => network.paths).toMatchObject([{ outcome: 'broken', returned: 4 }])
})

it('@langchain/openai throws it too', async () => {
  const chat = new ChatOpenAI({
    model,
    apiKey: 'none',
    maxRetries: 0,
    configuration: { baseURL, fetch: opened.fetch },
  })
  let text = ''
  const reading = (async () => {
    for await (const chunk of await chat.stream('hi')) text += chunk.text
  })()
  await expect(reading).rejects.toMatchObject({ code: 'stream_broken' })
  expect(text).toBe('one two ')
})

it('ai gives an error within its stream, and throws behind it', async () => {
  const provider = createOpenAICompatible({ name: 'private', baseURL, fetch: opened.fetch })
  const errors: unknown[] = []
  let text = ''
  const { fullStream } = streamText({
    model: provider(model),
    prompt: 'hi',
    maxRetries: 0,
    onError: ({ error }) => {
      errors.push(error)
    },
  })
  const reading = (async () => {
    for await (const part of fullStream) if (part.type === 'text-delta') text += part.text
  })()
  await expect(reading).rejects.toMatchObject({ cause: { code: 'INFERENCE_STREAM_BROKEN' } })
  expect(text).toBe('one two ')
  expect(JSON.stringify(errors)).toContain('did not arrive whole')
})

it('a plain reader gets a body that fails', async () => {
  const body = JSON.stringify({ model, messages: [], stream: true })
  const said = await opened.fetch(`${baseURL}/chat/completions`, { method: 'POST', body })
  await expect(said.text()).rejects.toMatchObject({ code: 'INFERENCE_STREAM_BROKEN' })
})
