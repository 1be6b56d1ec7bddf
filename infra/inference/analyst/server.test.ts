import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { HumanMessage, SystemMessage, type UsageMetadata } from '@langchain/core/messages'
import { ChatOpenAI } from '@langchain/openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { answerSchema, SITUATION_SCHEMA_ID } from '../../../agents/lending-guardian/schema.ts'
import { manualClock } from '../../../runtime/core/clock.ts'
import { analyse } from './analyse.ts'
import { REFERENCE_ANALYST } from './reply.ts'
import { MAX_BODY_BYTES, type ReferenceAnalyst, startReferenceAnalyst } from './server.ts'
import { situation } from './situation.fixture.ts'

let analyst: ReferenceAnalyst
beforeAll(async () => {
  analyst = await startReferenceAnalyst({ clock: manualClock(1_700_000_000_000) })
})
afterAll(() => analyst.close())

const { answer } = analyse(situation)
const question = `Choose.\n\n\`\`\`json\n${JSON.stringify(situation, null, 2)}\n\`\`\`\n`
const messages = [{ role: 'user', content: question }]

const post = async (body: unknown) => {
  const response = await fetch(`${analyst.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer any' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as Record<string, never> }
}
const chat = (fields: object) => post({ model: REFERENCE_ANALYST, messages, ...fields })

const jsonSchema = (schema: object) => ({
  type: 'json_schema',
  json_schema: { name: 'answer', strict: true, schema },
})

describe('through @langchain/openai', () => {
  const model = (fields: object = {}) =>
    new ChatOpenAI({
      model: REFERENCE_ANALYST,
      apiKey: 'none',
      maxRetries: 0,
      temperature: 0,
      configuration: { baseURL: analyst.url },
      ...fields,
    })

  it('answers plainly, with its usage', async () => {
    const said = await model().invoke([
      new SystemMessage('You guard a position.'),
      new HumanMessage(question),
    ])
    expect(JSON.parse(said.text)).toEqual(answer)
    expect(said.response_metadata).toMatchObject({ model_name: REFERENCE_ANALYST, finish_reason: 'stop' })
    const usage = said.usage_metadata as UsageMetadata | undefined
    expect(usage?.input_tokens).toBeGreaterThan(100)
    expect(usage?.output_tokens).toBe(Math.ceil(Buffer.byteLength(said.text) / 4))
    expect(usage?.total_tokens).toBe((usage?.input_tokens ?? 0) + (usage?.output_tokens ?? 0))
  })

  it('streams the same answer in pieces', async () => {
    let text = ''
    let pieces = 0
    let tokens: number | undefined
    for await (const chunk of await model({ streamUsage: true }).stream(question)) {
      text += chunk.text
      pieces++
      tokens = (chunk.usage_metadata as UsageMetadata | undefined)?.output_tokens ?? tokens
    }
    expect(JSON.parse(text)).toEqual(answer)
    expect(pieces).toBeGreaterThan(5)
    expect(tokens).toBe(Math.ceil(Buffer.byteLength(text) / 4))
  })

  it.each(['jsonSchema', 'functionCalling', 'jsonMode'] as const)(
    'fills a zod schema by %s',
    async (method) => {
      const structured = model().withStructuredOutput(answerSchema, { name: 'answer', method })
      expect(await structured.invoke(question)).toEqual(answer)
    },
  )

  it('calls a tool that takes the answer, and talks once it has the result', async () => {
    const tool = {
      type: 'function' as const,
      function: { name: 'choose', description: 'Choose.', parameters: answerSchema.toJSONSchema() },
    }
    const bound = model().bindTools([tool])
    const called = await bound.invoke(question)
    expect(called.tool_calls).toMatchObject([{ name: 'choose', args: answer }])
    let gathered: Awaited<ReturnType<typeof bound.invoke>> | undefined
    for await (const chunk of await bound.stream(question)) gathered = gathered?.concat(chunk) ?? chunk
    expect(gathered?.tool_calls).toMatchObject([{ name: 'choose', args: answer }])
    const after = await bound.invoke([
      new HumanMessage(question),
      called,
      { role: 'tool', content: 'done', tool_call_id: called.tool_calls?.[0]?.id ?? '' },
    ])
    expect(after.tool_calls).toEqual([])
    expect(JSON.parse(after.text)).toEqual(answer)
  })
})

describe('what it reads', () => {
  type Said = { choices: [{ message: { content: string | null; refusal: string | null } }] }

  const say = async (content: unknown, fields: object = {}) => {
    const { body } = await chat({ messages: [{ role: 'user', content }], ...fields })
    return (body as unknown as Said).choices[0].message
  }

  it('takes a bare situation, a fenced one and one in parts', async () => {
    for (const content of [
      JSON.stringify(situation),
      question,
      question.replaceAll('\n', '\r\n').replaceAll('\r\n```', '\n```').replace('```json\r', '```json'),
      [{ type: 'text', text: question }],
    ])
      expect(JSON.parse((await say(content)).content ?? '')).toEqual(answer)
  })

  it('reads the last user message alone', async () => {
    const { body } = await chat({
      messages: [
        ...messages,
        { role: 'assistant', content: 'Noted.' },
        { role: 'user', content: 'And now?' },
      ],
    })
    expect(JSON.stringify(body)).toContain('a formula and not a language model')
  })

  it('says what it is to whoever talks to it', async () => {
    const { content, refusal } = await say('Who are you?')
    expect(refusal).toBeNull()
    expect(content).toContain(REFERENCE_ANALYST)
    expect(content).toContain(SITUATION_SCHEMA_ID)
    expect(content).not.toContain('\n')
  })

  it('refuses, in the way clients know, to fill a schema from talk', async () => {
    const { content, refusal } = await say('Who are you?', {
      response_format: jsonSchema(answerSchema.toJSONSchema()),
    })
    expect(content).toBeNull()
    expect(refusal).toContain('a formula')
  })

  it('says where a situation is wrong', async () => {
    const wrong = { ...situation, healthFactor: 1.0625 }
    expect((await say(JSON.stringify(wrong))).content).toContain('healthFactor')
    const unknown = { ...situation, owner: '0x00' }
    expect((await say(JSON.stringify(unknown))).content).toContain('Unrecognized key')
    for (const schema of ['rialto.situation/v1', 'rialto.situation/v3'])
      expect((await say(JSON.stringify({ ...situation, schema }))).content).toContain('schema')
  })
})

describe('what it answers with', () => {
  type Body = {
    choices: [{ message: { content: string; tool_calls?: unknown }; finish_reason: string }]
    id: string
  }

  it('gives the same answer to the same request', async () => {
    const [first, second] = await Promise.all([chat({}), chat({ temperature: 2, seed: 9 })])
    const choices = ({ body }: typeof first) => (body as unknown as Body).choices
    expect(choices(first)).toEqual(choices(second))
    expect(first.body).toMatchObject({
      object: 'chat.completion',
      created: 1_700_000_000,
      model: REFERENCE_ANALYST,
    })
  })

  it('leaves out what a schema has no place for', async () => {
    const { body } = await chat({
      response_format: jsonSchema({
        type: 'object',
        properties: { candidate: { type: 'string' }, size: { type: 'integer' } },
        required: ['candidate', 'size'],
        additionalProperties: false,
      }),
    })
    const { message } = (body as unknown as Body).choices[0]
    expect(JSON.parse(message.content)).toEqual({ candidate: answer.candidate, size: answer.size })
  })

  it('stops where max_tokens says, and says so', async () => {
    const { body } = await chat({ max_completion_tokens: 3 })
    const { message, finish_reason } = (body as unknown as Body).choices[0]
    expect(message.content).toBe(JSON.stringify(answer).slice(0, 12))
    expect(finish_reason).toBe('length')
  })

  it('calls no tool when told not to', async () => {
    const tools = [
      { type: 'function', function: { name: 'choose', parameters: answerSchema.toJSONSchema() } },
    ]
    const { body } = await chat({ tools, tool_choice: 'none' })
    expect((body as unknown as Body).choices[0].message.tool_calls).toBeUndefined()
  })

  it('ends a stream with [DONE], and gives usage only when asked', async () => {
    const read = async (fields: object) => {
      const response = await fetch(`${analyst.url}/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({ model: REFERENCE_ANALYST, messages, stream: true, ...fields }),
      })
      expect(response.headers.get('content-type')).toContain('text/event-stream')
      return response.text()
    }
    const plain = await read({})
    expect(plain.endsWith('data: [DONE]\n\n')).toBe(true)
    expect(plain).not.toContain('"usage"')
    expect(await read({ stream_options: { include_usage: true } })).toContain('"total_tokens"')
  })
})

describe('what it refuses', () => {
  it.each([
    ['a model that is not there', { model: 'gpt-5' }, 404, 'model_not_found', 'model'],
    ['no messages', { messages: undefined }, 400, 'missing_required_parameter', 'messages'],
    ['empty messages', { messages: [] }, 400, 'invalid_value', 'messages'],
    ['two choices', { n: 2 }, 400, 'invalid_value', 'n'],
    ['a role that is no text', { messages: [{ role: 1 }] }, 400, 'invalid_value', 'messages.0.role'],
    ['an unknown format', { response_format: { type: 'xml' } }, 400, 'invalid_value', 'response_format.type'],
    [
      'a schema it cannot fill',
      { response_format: jsonSchema({ type: 'object', properties: { poem: {} }, required: ['poem'] }) },
      400,
      null,
      'response_format',
    ],
    [
      'a tool that is not there',
      { tool_choice: { type: 'function', function: { name: 'x' } } },
      400,
      null,
      'tool_choice',
    ],
    [
      'tools that cannot take the answer',
      {
        tool_choice: 'required',
        tools: [{ type: 'function', function: { name: 'x', parameters: { properties: { city: {} } } } }],
      },
      400,
      null,
      'tools',
    ],
  ])('%s', async (_, fields, status, code, param) => {
    const answered = await chat(fields)
    expect(answered.status).toBe(status)
    expect(answered.body).toEqual({
      error: { message: expect.any(String), type: 'invalid_request_error', param, code },
    })
  })

  it('malformed JSON, without quoting it', async () => {
    const { status, body } = await post('{"messages": "my secret plan"')
    expect(status).toBe(400)
    expect(body).toMatchObject({ error: { code: 'invalid_json' } })
    expect(JSON.stringify(body)).not.toContain('secret')
  })

  it('a body that is too large, announced or not', async () => {
    const large = JSON.stringify({
      model: REFERENCE_ANALYST,
      messages: [{ role: 'user', content: 'x'.repeat(MAX_BODY_BYTES) }],
    })
    expect(await post(large)).toMatchObject({ status: 413, body: { error: { code: 'request_too_large' } } })
    const { port } = new URL(analyst.url)
    const status = await new Promise((resolve, reject) => {
      const sent = httpRequest(
        { port, host: '127.0.0.1', path: '/v1/chat/completions', method: 'POST' },
        (response) => {
          resolve(response.statusCode)
          response.destroy()
        },
      )
      sent.on('error', reject)
      sent.setHeader('transfer-encoding', 'chunked')
      sent.write(large)
      sent.end()
    })
    expect(status).toBe(413)
  })

  it('another path or method', async () => {
    expect((await fetch(`${analyst.url}/completions`, { method: 'POST' })).status).toBe(404)
    expect((await fetch(`${analyst.url}/chat/completions`)).status).toBe(405)
    expect((await fetch(`${analyst.url}/models/other`)).status).toBe(404)
  })
})

describe('the server', () => {
  it('lists its model and its health', async () => {
    const { data } = (await (await fetch(`${analyst.url}/models`)).json()) as { data: unknown[] }
    expect(data).toEqual([{ id: REFERENCE_ANALYST, object: 'model', created: 0, owned_by: 'rialto' }])
    expect((await fetch(`${analyst.url}/models/${REFERENCE_ANALYST}`)).status).toBe(200)
    expect(await (await fetch(new URL('/healthz', analyst.url))).json()).toMatchObject({ status: 'ok' })
  })

  it('says in one line that a port is taken', async () => {
    const { port } = new URL(analyst.url)
    await expect(startReferenceAnalyst({ port: Number(port) })).rejects.toMatchObject({
      code: 'ANALYST_LISTEN',
      message: `The reference analyst cannot listen on 127.0.0.1:${port}.`,
    })
  })

  it('leaves it to its clients to close idle connections', async () => {
    const { headers } = await fetch(`${analyst.url}/models`)
    expect(headers.get('keep-alive')).toBeNull()
    expect(headers.get('connection')).toBe('keep-alive')
  })

  it('closes although a client holds its connection open', async () => {
    const other = await startReferenceAnalyst()
    const socket = connect(Number(new URL(other.url).port), '127.0.0.1')
    await new Promise((resolve) => socket.once('connect', resolve))
    const closed = new Promise((resolve) => socket.once('close', resolve))
    await other.close()
    await closed
    await expect(fetch(`${other.url}/models`)).rejects.toThrow()
  })
})
