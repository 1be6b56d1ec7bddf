import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { HumanMessage } from '@langchain/core/messages'
import { ChatOpenAI } from '@langchain/openai'
import { APICallError, generateObject, generateText, streamText, type ToolSet } from 'ai'
import OpenAI, { APIError } from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { answerSchema } from '../../agents/lending-guardian/schema.ts'
import { analyse } from '../../infra/inference/analyst/analyse.ts'
import { situation } from '../../infra/inference/analyst/situation.fixture.ts'
import { type Joined, type RealNetwork, startRealNetwork } from './network.ts'

/*
 * The three clients that a private fetch is made for, each over the real relay, gateway, mint and nodes. What they say
 * is checked against the analyst's own arithmetic, so that nothing got lost or mixed up on its way.
 */

let network: RealNetwork
let joined: Joined
beforeAll(async () => {
  network = await startRealNetwork()
  joined = await network.join()
  await joined.ready()
})
afterAll(() => network.close())
beforeEach(() => {
  ;(joined.paths as unknown[]).length = 0
})

const { answer } = analyse(situation)
const question = `Choose.\n\n\`\`\`json\n${JSON.stringify(situation)}\n\`\`\``
const messages = [{ role: 'user' as const, content: question }]
const schema = answerSchema.toJSONSchema()
const baseURL = 'http://private.invalid/v1'
/** One request each, over the network, paid for and settled. */
const expectOnePaid = () =>
  expect
    .poll(() => joined.paths)
    .toMatchObject([
      { outcome: 'answered', status: 200, model: network.model, privacy: 'private', unsettled: 0, spent: 1 },
    ])

describe('openai', () => {
  const client = () => new OpenAI({ baseURL, apiKey: 'none', fetch: joined.fetch, maxRetries: 0 })
  const ask = {
    get model() {
      return network.model
    },
    messages,
  }

  it('lists models', async () => {
    expect((await client().models.list()).data).toMatchObject([{ id: network.model, privacy: 'private' }])
    expect(await client().models.retrieve(network.model)).toMatchObject({ id: network.model })
  })

  it('answers plainly', async () => {
    const said = await client().chat.completions.create({ ...ask })
    expect(JSON.parse(said.choices[0]?.message.content ?? '')).toEqual(answer)
    expect(said.usage?.prompt_tokens).toBeGreaterThan(100)
    await expectOnePaid()
    expect(joined.paths[0]?.receipt).toBe('ok')
  })

  it('streams', async () => {
    let text = ''
    let pieces = 0
    for await (const chunk of await client().chat.completions.create({ ...ask, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? ''
      pieces += 1
    }
    expect(JSON.parse(text)).toEqual(answer)
    expect(pieces).toBeGreaterThan(5)
    await expectOnePaid()
  })

  it('calls a tool', async () => {
    const said = await client().chat.completions.create({
      ...ask,
      tools: [{ type: 'function', function: { name: 'choose', parameters: schema } }],
      tool_choice: 'required',
    })
    const [call] = said.choices[0]?.message.tool_calls ?? []
    expect(call).toMatchObject({ type: 'function', function: { name: 'choose' } })
    expect(call?.type === 'function' && JSON.parse(call.function.arguments)).toEqual(answer)
    await expectOnePaid()
  })

  it('fills a JSON schema', async () => {
    const said = await client().chat.completions.create({
      ...ask,
      response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } },
    })
    expect(JSON.parse(said.choices[0]?.message.content ?? '')).toEqual(answer)
    await expectOnePaid()
  })

  it('throws its own error, with our code', async () => {
    const failed = client().chat.completions.create({ ...ask, model: 'gpt-5' })
    await expect(failed).rejects.toBeInstanceOf(APIError)
    await expect(failed).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
      error: { rialto: { role: 'client', spent: 0, returned: 0 } },
    })
  })

  it('throws an error of the model’s server with what it cost', async () => {
    const failed = client().chat.completions.create({ ...ask, n: 2 })
    await expect(failed).rejects.toMatchObject({
      status: 400,
      param: 'n',
      error: { rialto: { role: 'upstream', spent: 0 } },
    })
  })

  it('aborts', async () => {
    const abort = new AbortController()
    const stream = await client().chat.completions.create({ ...ask, stream: true }, { signal: abort.signal })
    for await (const _ of stream) abort.abort()
    await expect.poll(() => joined.paths).toMatchObject([{ unsettled: 0 }])
    expect(joined.wallet.unsettled()).toEqual([])
  })
})

describe('@langchain/openai', () => {
  const model = () =>
    new ChatOpenAI({
      model: network.model,
      apiKey: 'none',
      maxRetries: 0,
      configuration: { baseURL, fetch: joined.fetch },
    })

  it('answers plainly', async () => {
    const said = await model().invoke([new HumanMessage(question)])
    expect(JSON.parse(said.text)).toEqual(answer)
    await expectOnePaid()
  })

  it('streams', async () => {
    let text = ''
    for await (const chunk of await model().stream(question)) text += chunk.text
    expect(JSON.parse(text)).toEqual(answer)
    await expectOnePaid()
    expect(joined.paths[0]?.receipt).toBe('ok')
  })

  it('calls a tool', async () => {
    const bound = model().bindTools([{ type: 'function', function: { name: 'choose', parameters: schema } }])
    expect((await bound.invoke(question)).tool_calls).toMatchObject([{ name: 'choose', args: answer }])
    await expectOnePaid()
  })

  it.each(['jsonSchema', 'functionCalling', 'jsonMode'] as const)('fills a schema by %s', async (method) => {
    const structured = model().withStructuredOutput(answerSchema, { name: 'answer', method })
    expect(await structured.invoke(question)).toEqual(answer)
    await expectOnePaid()
  })

  it('throws its own error, with our code', async () => {
    const other = new ChatOpenAI({
      model: 'gpt-5',
      apiKey: 'none',
      maxRetries: 0,
      configuration: { baseURL, fetch: joined.fetch },
    })
    await expect(other.invoke(question)).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
  })
})

describe('ai', () => {
  const provider = () =>
    createOpenAICompatible({ name: 'private', baseURL, fetch: joined.fetch, supportsStructuredOutputs: true })
  const model = (id = network.model) => provider()(id)

  it('answers plainly', async () => {
    const { text, usage } = await generateText({ model: model(), prompt: question, maxRetries: 0 })
    expect(JSON.parse(text)).toEqual(answer)
    expect(usage.inputTokens).toBeGreaterThan(100)
    await expectOnePaid()
  })

  it('streams', async () => {
    const { textStream } = streamText({ model: model(), prompt: question, maxRetries: 0 })
    let text = ''
    for await (const piece of textStream) text += piece
    expect(JSON.parse(text)).toEqual(answer)
    await expectOnePaid()
  })

  it('calls a tool', async () => {
    // `tool()` has types that exactOptionalPropertyTypes does not take; what it returns is what it is given.
    const choose = { description: 'Choose.', inputSchema: answerSchema } as ToolSet[string]
    const { toolCalls } = await generateText({
      model: model(),
      prompt: question,
      tools: { choose },
      toolChoice: 'required',
      maxRetries: 0,
    })
    expect(toolCalls).toMatchObject([{ toolName: 'choose', input: answer }])
    await expectOnePaid()
  })

  it('fills a JSON schema', async () => {
    const { object } = await generateObject({
      model: model(),
      schema: answerSchema,
      prompt: question,
      maxRetries: 0,
    })
    expect(object).toEqual(answer)
    await expectOnePaid()
  })

  it('throws its own error, with our code', async () => {
    const failed = generateText({ model: model('gpt-5'), prompt: question, maxRetries: 0 })
    await expect(failed).rejects.toBeInstanceOf(APICallError)
    await expect(failed).rejects.toMatchObject({
      statusCode: 404,
      responseBody: expect.stringContaining('model_not_found'),
    })
  })
})
