import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createPrivateFetch } from './createPrivateFetch.ts'
import { openPrivateNetwork, type PrivateNetwork } from './openPrivateNetwork.ts'
import { startTestNetwork, type TestNetwork, testModel } from './testNetwork.ts'
import { completion } from './testRoles.ts'

let network: TestNetwork
let opened: PrivateNetwork[] = []
const base = { ...({} as TestNetwork['script']) }
beforeAll(async () => {
  network = await startTestNetwork([
    { name: 'node-a', models: [testModel(), testModel({ id: 'org/weak', privacy: 'anonymized' })] },
    { name: 'node-b', models: [testModel({ price: { prompt: 500, completion: 2_000 }, context: 4_096 })] },
  ])
  Object.assign(base, network.script)
})
afterAll(() => network.close())
beforeEach(() => {
  Object.assign(network.script, base)
  network.paths.length = 0
})
afterEach(async () => {
  for (const each of opened) await each.close()
  opened = []
})

const open = async (changes: Parameters<TestNetwork['options']>[1] = {}): Promise<PrivateNetwork> => {
  const one = openPrivateNetwork(network.options(await network.wallet(), changes))
  opened.push(one)
  return one
}
const url = 'https://any.example/some/v1/chat/completions'
const prompt = {
  model: 'test-model',
  messages: [{ role: 'user', content: 'the canary sings' }],
  max_tokens: 50,
}
const post = (body: unknown): RequestInit => ({ method: 'POST', body: JSON.stringify(body) })

describe('models', () => {
  it('lists what may be asked, with the least that any node promises', async () => {
    const { fetch } = await open()
    const { data } = (await (await fetch('http://x/v1/models')).json()) as { data: unknown[] }
    expect(data).toEqual([
      {
        id: 'test-model',
        object: 'model',
        created: 0,
        owned_by: 'node-a-operator, node-b-operator',
        privacy: 'private',
        price: { prompt: 500, completion: 2_000 },
        context: 4_096,
        nodes: 2,
      },
    ])
    const one = await fetch('http://x/v1/models/test-model')
    expect(await one.json()).toEqual(data[0])
  })

  it('lists weaker ones where those are accepted, by names with slashes too', async () => {
    const { fetch } = await open({ privacy: 'anonymized' })
    const found = await fetch('http://x/v1/models/org/weak')
    expect(await found.json()).toMatchObject({ id: 'org/weak', privacy: 'anonymized' })
    expect((await fetch('http://x/v1/models/org%2Fweak')).status).toBe(200)
    expect((await fetch('http://x/v1/models/none')).status).toBe(404)
  })

  it('shows the whole catalogue to who asks for it', async () => {
    const catalogue = await (await open()).catalogue()
    expect(catalogue.map(({ model, node, privacy, refused }) => ({ model, node, privacy, refused }))).toEqual(
      [
        { model: 'test-model', node: 'node-a', privacy: 'private', refused: null },
        { model: 'org/weak', node: 'node-a', privacy: 'anonymized', refused: null },
        { model: 'test-model', node: 'node-b', privacy: 'private', refused: null },
      ],
    )
  })
})

describe('a request', () => {
  it('reaches the node as it was written, and nothing of its head does', async () => {
    const { fetch } = await open()
    const said = await fetch(url, {
      ...post(prompt),
      headers: { authorization: 'Bearer secret', 'user-agent': 'me', 'x-stainless-os': 'Linux' },
    })
    expect(said.status).toBe(200)
    expect(await said.json()).toMatchObject({ choices: [{ message: { content: 'Yes.' } }] })
    const asked = network.seen.asked.at(-1)
    expect(asked?.body).toEqual(prompt)
    expect(asked?.path).toBe('/v1/chat/completions')
    expect(asked?.headers).toEqual([
      ['content-type', 'application/json'],
      ['rialto-cells', '1024'],
      ['rialto-cadence', 'off'],
    ])
  })

  it('says on the answer who kept which word, and what it cost', async () => {
    const { fetch, balance } = await open()
    expect((await balance()).ready).toBe(32)
    const said = await fetch(url, post(prompt))
    expect(Object.fromEntries(said.headers)).toEqual({
      'content-type': 'application/json',
      'rialto-privacy': 'private',
      'rialto-model': 'test-model',
      'rialto-node': 'node-a',
      'rialto-operator': 'node-a-operator',
      'rialto-spent': '1',
      'rialto-returned': '0',
      'rialto-receipt-check': 'ok',
    })
    expect(await balance()).toMatchObject({ ready: 31, spending: 0, spent: 1 })
  })

  it('is told of as a path that holds nothing of what was asked', async () => {
    const { fetch } = await open()
    await fetch(url, post(prompt))
    const [path] = network.paths
    expect(path).toMatchObject({
      kind: 'request',
      resource: '/v1/chat/completions',
      outcome: 'answered',
      status: 200,
      code: null,
      model: 'test-model',
      privacy: 'private',
      relay: expect.stringMatching(/\/relay-\d$/),
      gateway: 'gate',
      epoch: 1,
      node: 'node-a',
      operator: 'node-a-operator',
      spent: 1,
      returned: 0,
      unsettled: 0,
      receipt: 'ok',
      sizes: { inner: 2_104, outer: 16_440, answer: expect.any(Number) },
      tries: [{ node: 'node-a', paid: 1, returned: 0, code: null, sent: 1 }],
    })
    expect(path?.sizes.answer).toBeGreaterThan(1_024)
    expect(JSON.stringify(network.paths)).not.toContain('canary')
  })

  it('gives the relay a size and nothing else', async () => {
    const { fetch } = await open()
    await fetch(url, post(prompt))
    await fetch(url, post({ ...prompt, messages: [{ role: 'user', content: 'y'.repeat(700) }] }))
    const [first, second] = network.seen.relay.slice(-2)
    expect(first?.length).toBe(second?.length)
    expect(Object.keys(first?.headers ?? {}).sort()).toEqual([
      'connection',
      'content-length',
      'content-type',
      'host',
    ])
  })

  it('goes over the relays in turn', async () => {
    const { fetch, ready } = await open()
    await ready()
    const from = network.seen.infer.length
    for (let count = 0; count < 4; count++) await fetch(url, post(prompt))
    const used = new Set(network.paths.map(({ relay }) => relay))
    expect(network.seen.infer.length).toBe(from + 4)
    expect(used.size).toBe(2)
  })

  it.each([
    ['a Request', () => new Request(url, post(prompt)), undefined],
    ['a URL', () => new URL(url), post(prompt)],
    ['bytes', () => url, { method: 'POST', body: new TextEncoder().encode(JSON.stringify(prompt)) }],
    ['a blob', () => url, { method: 'post', body: new Blob([JSON.stringify(prompt)]) }],
    [
      'a stream',
      () => url,
      { method: 'POST', duplex: 'half', body: new Blob([JSON.stringify(prompt)]).stream() } as RequestInit,
    ],
  ])('may be %s', async (_, input, init) => {
    const { fetch } = await open()
    expect((await fetch(input(), init)).status).toBe(200)
    expect(network.seen.asked.at(-1)?.body).toEqual(prompt)
  })

  it('for embeddings pays for the prompt alone', async () => {
    const { fetch } = await open()
    const vectors = {
      object: 'list',
      data: [],
      model: 'test-model',
      usage: { prompt_tokens: 10, total_tokens: 10 },
    }
    network.script.node = () => ({ body: vectors, usage: { prompt: 10, completion: 0 } })
    const said = await fetch('http://x/v1/embeddings', post({ model: 'test-model', input: 'words' }))
    expect(await said.json()).toEqual(vectors)
    expect(said.headers.get('rialto-receipt-check')).toBe('ok')
    expect(network.seen.asked.at(-1)?.path).toBe('/v1/embeddings')
  })

  it('goes without cells where none are wanted', async () => {
    const { fetch } = await open({ cells: 'off' })
    expect((await fetch(url, post(prompt))).status).toBe(200)
    expect(network.seen.asked.at(-1)?.headers).toEqual([['content-type', 'application/json']])
  })

  it('passes an error of the model’s server on, with what it cost', async () => {
    const { fetch } = await open()
    const error = {
      message: 'too long',
      type: 'invalid_request_error',
      param: 'messages',
      code: 'context',
      more: 1,
    }
    network.script.node = () => ({ status: 400, body: { error, extra: true } })
    const said = await fetch(url, post(prompt))
    expect(said.status).toBe(400)
    expect(await said.json()).toEqual({
      error: { ...error, rialto: { role: 'upstream', spent: 0, returned: 1 } },
      extra: true,
    })
    expect(network.paths[0]).toMatchObject({
      outcome: 'answered',
      status: 400,
      code: 'upstream_error',
      spent: 0,
    })
  })
})

describe('a stream', () => {
  const event = (content: string) =>
    `data: ${JSON.stringify({ model: 'test-model', choices: [{ delta: { content } }] })}\n\n`

  it('passes as it comes', async () => {
    const { fetch } = await open()
    let release = (): void => undefined
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    network.script.node = () => ({ events: [event('one'), gate, event('two'), 'data: [DONE]\n\n'] })
    const said = await fetch(url, post({ ...prompt, stream: true }))
    expect(said.headers.get('content-type')).toBe('text/event-stream')
    expect(said.headers.get('rialto-privacy')).toBe('private')
    const reader = (said.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream()).getReader()
    expect(await reader.read()).toEqual({ done: false, value: event('one') })
    expect(network.paths).toEqual([])
    release()
    let rest = ''
    for (let next = await reader.read(); !next.done; next = await reader.read()) rest += next.value
    expect(rest).toBe(`${event('two')}data: [DONE]\n\n`)
    expect(network.paths).toMatchObject([{ outcome: 'answered', spent: 1, receipt: 'usage-missing' }])
  })

  it('is checked against the usage that it states', async () => {
    const { fetch } = await open()
    const usage = `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 10, completion_tokens: 20 } })}\n\n`
    network.script.node = () => ({ events: [event('one'), usage, 'data: [DONE]\n\n'] })
    await (await fetch(url, post({ ...prompt, stream: true }))).text()
    expect(network.paths).toMatchObject([{ receipt: 'ok' }])
  })

  it('that is left early is followed to its end for its change', async () => {
    const { fetch, close, balance } = await open()
    let release = (): void => undefined
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    network.script.node = () => ({ events: [event('one'), gate, event('two')], used: 0 })
    const said = await fetch(url, post({ ...prompt, stream: true }))
    const reader = said.body?.getReader()
    await reader?.read()
    await reader?.cancel()
    expect(await balance()).toMatchObject({ ready: 31, spending: 1 })
    release()
    await close()
    expect(network.paths).toMatchObject([{ outcome: 'aborted', spent: 0, returned: 1, unsettled: 0 }])
  })
})

describe('what is refused', () => {
  const refusal = async (response: Response) => ({
    status: response.status,
    error: ((await response.json()) as { error: unknown }).error,
  })

  it.each([
    ['another path', 'http://x/v1/completions', post(prompt), 404, 'unknown_url'],
    ['another method', url, {}, 404, 'unknown_url'],
    ['a path without v1', 'http://x/chat/completions', post(prompt), 404, 'unknown_url'],
    ['what is no JSON', url, { method: 'POST', body: '{"canary' }, 400, 'invalid_json'],
    ['a list', url, post([]), 400, 'invalid_json'],
    ['no model', url, post({ messages: [] }), 400, 'missing_required_parameter'],
    ['an unknown model', url, post({ ...prompt, model: 'gpt' }), 404, 'model_not_found'],
    ['a weaker word', url, post({ ...prompt, model: 'org/weak' }), 403, 'privacy_unavailable'],
    ['too long a prompt', url, post({ ...prompt, x: 'y'.repeat(40_000) }), 400, 'context_length_exceeded'],
  ])('%s', async (_, input, init, status, code) => {
    const { fetch } = await open()
    const answer = await refusal(await fetch(input, init))
    expect(answer).toMatchObject({
      status,
      error: { code, rialto: { role: 'client', spent: 0, returned: 0 } },
    })
    expect(JSON.stringify(answer)).not.toContain('canary')
  })

  it('a body that no bucket holds', async () => {
    const { fetch } = await open()
    const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(5_000_000)}` } }
    const answer = await refusal(
      await fetch(url, post({ ...prompt, messages: [{ role: 'user', content: [image] }] })),
    )
    expect(answer).toMatchObject({
      status: 413,
      error: { code: 'too_large', rialto: { limit: { most: 4_194_304 } } },
    })
  })

  it('everything, once it is closed', async () => {
    const { fetch, close } = await open()
    await close()
    expect(await refusal(await fetch(url, post(prompt)))).toMatchObject({
      status: 503,
      error: { code: 'closing' },
    })
  })

  it.each([
    ['no relay', { relay: [] }],
    ['no witness', { gateway: { name: 'gate', identity: 'A'.repeat(43), witnesses: [] } }],
    ['an address that is none', { relay: 'relay.example' }],
    ['a share of nothing', { operatorShare: 0 }],
    ['cells of a byte', { cells: 1 }],
    ['no tries', { tries: 0 }],
  ])('options with %s', async (_, changes) => {
    const options = network.options(await network.wallet(), changes)
    expect(() => createPrivateFetch(options)).toThrow(
      expect.objectContaining({ code: 'INFERENCE_CLIENT_OPTION' }),
    )
  })

  it('throws what fetch throws for what is no request', async () => {
    const { fetch } = await open()
    await expect(fetch('/v1/models')).rejects.toThrow(TypeError)
  })
})

it('answers many at once, each with its own answer', async () => {
  const { fetch } = await open()
  network.script.node = ({ body }) => ({
    body: completion(
      'test-model',
      { prompt: 10, completion: 20 },
      String((body.messages as { content: string }[])[0]?.content),
    ),
  })
  const answers = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const said = await fetch(url, post({ ...prompt, messages: [{ role: 'user', content: `n${index}` }] }))
      return ((await said.json()) as ReturnType<typeof completion>).choices[0]?.message.content
    }),
  )
  expect(answers).toEqual(Array.from({ length: 20 }, (_, index) => `n${index}`))
})
