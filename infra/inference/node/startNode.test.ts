import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { REFERENCE_ANALYST } from '../analyst/reply.ts'
import { type ReferenceAnalyst, startReferenceAnalyst } from '../analyst/server.ts'
import { situation } from '../analyst/situation.fixture.ts'
import { readNodeDescription } from '../protocol/network/nodeDescription.ts'
import { ask, eventsOf, model, modelDigest, nodeIdentity, startTestNode } from './node.fixture.ts'
import type { RunningNode } from './startNode.ts'

const question = `Choose.\n\n\`\`\`json\n${JSON.stringify(situation)}\n\`\`\`\n`
const messages = [{ role: 'user', content: question }]
const PUBLIC = 'analyst@rialto'

let analyst: ReferenceAnalyst
let node: RunningNode
beforeAll(async () => {
  analyst = await startReferenceAnalyst()
  node = await startTestNode(analyst.url, {
    models: [model({ id: PUBLIC, upstreamModel: REFERENCE_ANALYST, context: 16_384, serves: ['chat'] })],
  })
})
afterAll(async () => {
  await node.close()
  await analyst.close()
})

const direct = async (fields: object) => {
  const response = await fetch(`${analyst.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: REFERENCE_ANALYST, messages, ...fields }),
  })
  return (await response.json()) as { choices: { message: object }[]; usage: Record<string, number> }
}

describe('in front of the reference analyst', () => {
  it('answers plainly, as the analyst itself does but for its name', async () => {
    const said = await ask(node, { model: PUBLIC, messages })
    const own = await direct({})
    expect(said.status).toBe(200)
    expect(said.whole).toBe(true)
    expect(said.headers).toEqual({
      'content-type': 'application/json',
      'rialto-privacy': 'private',
      'rialto-model': PUBLIC,
    })
    expect(said.json).toMatchObject({ model: PUBLIC, usage: own.usage, choices: own.choices })
    const cost = 250 * (own.usage.prompt_tokens ?? 0) + 1_000 * (own.usage.completion_tokens ?? 0)
    expect(said.receipt).toEqual({
      ceiling: 16,
      used: Math.ceil(cost / 1_000_000),
      model: modelDigest(PUBLIC),
    })
  })

  it.each([true, false])('streams, with usage asked for: %s', async (include_usage) => {
    const fields = { stream: true, ...(include_usage ? { stream_options: { include_usage } } : {}) }
    const said = await ask(node, { model: PUBLIC, messages, ...fields })
    const events = eventsOf(said.body)
    expect(events.pop()).toBe('[DONE]')
    const chunks = events.map(
      (each) => JSON.parse(each) as { model: string; usage?: object; choices: never[] },
    )
    expect(new Set(chunks.map((each) => each.model))).toEqual(new Set([PUBLIC]))
    const text = chunks
      .map((each: { choices: { delta?: { content?: string } }[] }) => each.choices[0]?.delta?.content ?? '')
      .join('')
    expect((await direct({})).choices).toMatchObject([{ message: { content: text } }])
    expect(chunks.filter((each) => each.choices.length === 0)).toHaveLength(include_usage ? 1 : 0)
    expect(said.receipt?.used).toBeGreaterThan(0)
    expect(said.headers['content-type']).toMatch(/^text\/event-stream/)
  })

  it('carries tools and a JSON schema', async () => {
    const parameters = { type: 'object', properties: { candidate: { type: 'string' } } }
    const tools = [{ type: 'function', function: { name: 'choose', parameters } }]
    const called = await ask(node, { model: PUBLIC, messages, tools, tool_choice: 'required' })
    // Each call has an id of its own.
    const sameIds = (said: unknown) => JSON.stringify(said).replaceAll(/call_[0-9a-f-]+/g, 'call')
    expect(sameIds(called.json.choices)).toBe(
      sameIds((await direct({ tools, tool_choice: 'required' })).choices),
    )
    const response_format = {
      type: 'json_schema',
      json_schema: { name: 'answer', strict: true, schema: parameters },
    }
    const structured = await ask(node, { model: PUBLIC, messages, response_format })
    const own = await direct({ response_format })
    expect(structured.json).toMatchObject({ choices: own.choices })
  })

  it('passes its refusals on as they are, for nothing', async () => {
    const said = await ask(node, { model: PUBLIC, messages, n: 2 })
    expect(said.status).toBe(400)
    expect(said.json).toMatchObject({ error: { param: 'n', type: 'invalid_request_error' } })
    expect(said.receipt?.used).toBe(0)
  })

  it('describes itself', async () => {
    const response = await fetch(`${node.url}/description`)
    expect(response.headers.get('content-type')).toBe('application/vnd.rialto.node+jwt')
    const { description, identity, keys } = await readNodeDescription(await response.text())
    expect(identity.text).toBe(nodeIdentity.identity.text)
    expect(description.models).toEqual([
      {
        id: PUBLIC,
        privacy: 'private',
        context: 16_384,
        price: { prompt: 250, completion: 1_000 },
        serves: ['chat'],
      },
    ])
    const configs = new Uint8Array(await (await fetch(`${node.url}/ohttp-keys`)).arrayBuffer())
    expect(configs).toEqual(keys)
  })
})
