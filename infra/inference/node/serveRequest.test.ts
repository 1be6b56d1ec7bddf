import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connectRaw, statusOf } from '../../http/rawClient.fixture.ts'
import { encodeRequest } from '../protocol/bhttp/encode.ts'
import { nodeHpke } from '../protocol/hpke/nodeHpke.ts'
import { generateIdentity } from '../protocol/network/identity.ts'
import { headers } from '../protocol/network/routes.ts'
import { largestInnerBucket, sealedRequestLength } from '../protocol/network/sizes.ts'
import { createGatewayKey, type OhttpKey } from '../protocol/ohttp/keys.ts'
import { OHTTP_KEY_PROBLEM } from '../protocol/ohttp/mediaTypes.ts'
import {
  ask,
  authorize,
  deferred,
  fetchKey,
  modelDigest,
  openAnswer,
  post,
  type RawAnswer,
  sealFor,
  startTestNode,
} from './node.fixture.ts'
import type { RunningNode } from './startNode.ts'
import { completion, json, type ScriptedUpstream, startScriptedUpstream } from './upstream.fixture.ts'

const asked = { model: 'public/model-1', messages: [{ role: 'user', content: 'hello' }] }
const answerIt: ScriptedUpstream['answer'] = (_, response) => json(response, 200, completion('fine'))

let upstream: ScriptedUpstream
let node: RunningNode
let key: OhttpKey
beforeAll(async () => {
  upstream = await startScriptedUpstream()
  node = await startTestNode(upstream.url, { limits: { requests: 2 } })
  key = await fetchKey(node.url)
})
beforeEach(() => {
  upstream.answer = answerIt
  upstream.questions.length = 0
})
afterAll(async () => {
  await node.close()
  await upstream.close()
})

const send = (sealed: Uint8Array, authorization: string | null = authorize(sealed), url = node.url) =>
  post(`${url}/ohttp`, sealed, authorization === null ? {} : { [headers.authorization]: authorization })
const seen = ({ status, headers: fields, body }: RawAnswer) => {
  const { date: _, ...others } = fields
  return { status, fields: others, body: body.toString() }
}

describe('authorization', () => {
  it('is wanted, of a gateway that is served, for this node, this request and this time', async () => {
    const { sealed } = await sealFor(key, asked)
    const other = (await sealFor(key, asked)).sealed
    const right = authorize(sealed)
    const bad = [
      null,
      '',
      'nonsense',
      authorize(other),
      authorize(sealed, { by: generateIdentity() }),
      authorize(sealed, { issuedAt: Date.now() - 120_000 }),
      authorize(sealed, { issuedAt: Date.now() + 120_000 }),
      `${authorize(sealed)}, ${authorize(sealed)}`,
      // The last byte of a signature is often 0.
      `${right.slice(0, -2)}${right.endsWith('AA') ? 'BA' : 'AA'}`,
    ]
    for (const each of bad) {
      const answer = await send(sealed, each)
      expect(answer.status).toBe(401)
      expect(JSON.parse(answer.body.toString())).toMatchObject({
        error: { code: 'not_authorized', rialto: { role: 'node' } },
      })
    }
    expect(upstream.questions).toHaveLength(0)
    expect((await send(sealed)).status).toBe(200)
  })
})

describe('a request that does not open', () => {
  it('is answered in one way, whatever is wrong with it', async () => {
    const { sealed } = await sealFor(key, asked)
    const flipped = (at: number) => {
      const copy = sealed.slice()
      copy[at] = (copy[at] ?? 0) ^ 1
      return copy
    }
    const repeated = (await sealFor(key, asked)).sealed
    expect((await send(repeated)).status).toBe(200)
    const bad = [
      flipped(8),
      flipped(38),
      flipped(40),
      flipped(sealed.length - 1),
      sealed.subarray(0, sealed.length - 1),
      sealed.subarray(0, 39),
      sealed.subarray(0, 20),
      Buffer.concat([sealed, Buffer.from([0])]),
      Buffer.concat([sealed.subarray(0, 7), new Uint8Array(32), sealed.subarray(39)]),
      new Uint8Array(0),
      repeated,
    ]
    const answers = []
    for (const each of bad) answers.push(seen(await send(each)))
    expect(answers[0]).toMatchObject({ status: 400, body: '' })
    for (const answer of answers) expect(answer).toEqual(answers[0])
    expect(upstream.questions).toHaveLength(1)
  })

  it('is told that its key is not in use where that is so', async () => {
    const stranger = await createGatewayKey(nodeHpke, (key.keyId + 1) % 256, await nodeHpke.generateKeyPair())
    const { sealed } = await sealFor(stranger, asked)
    const otherSuite = (await sealFor(key, asked)).sealed.slice()
    otherSuite[6] = 2
    for (const each of [sealed, otherSuite]) {
      const answer = await send(each)
      expect(answer.status).toBe(400)
      expect(answer.headers['content-type']).toBe('application/problem+json')
      expect(JSON.parse(answer.body.toString())).toMatchObject({ type: OHTTP_KEY_PROBLEM })
    }
  })

  it('never runs, whichever bits of it are changed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.nat({ max: 64 }),
        async (place, mask, cut) => {
          const { sealed } = await sealFor(key, asked)
          const changed = sealed.slice(0, sealed.length - cut)
          const at = place % changed.length
          changed[at] = (changed[at] ?? 0) ^ mask
          expect((await send(changed)).status).toBe(400)
        },
      ),
      { numRuns: 60 },
    )
    expect(upstream.questions).toHaveLength(0)
  })
})

describe('bodies of nobody knows whom', () => {
  it('hold no more memory together than they may, and hold nothing once they are over', async () => {
    const small = await startTestNode(upstream.url, { limits: { bodyBytes: 300_000 } })
    const sealed = (await sealFor(await fetchKey(small.url), asked, { plaintext: new Uint8Array(131_072) }))
      .sealed
    const senders = await Promise.all([connectRaw(small.url), connectRaw(small.url)])
    try {
      for (const each of senders) {
        each.send('POST /ohttp HTTP/1.1\r\nhost: node\r\ncontent-length: 250000\r\n\r\n')
        each.send(Buffer.alloc(180_000))
      }
      const refused = await Promise.any(senders.map((each) => each.until('"busy"')))
      expect(statusOf(refused)).toBe(429)
      for (const { socket } of senders) socket.destroy()
      const status = async (authorization: string | null) =>
        (await send(sealed, authorization, small.url)).status
      await expect.poll(() => status(null)).toBe(401)
      for (let round = 0; round < 4; round++) expect(await status(null)).toBe(401)
      expect(await status(authorize(sealed))).toBe(200)
    } finally {
      for (const { socket } of senders) socket.destroy()
      await small.close()
    }
  })
})

describe('what opens and is no request', () => {
  const http = (fields: Partial<Parameters<typeof encodeRequest>[0]>) =>
    encodeRequest({
      method: 'POST',
      scheme: 'https',
      authority: '',
      path: '/v1/chat/completions',
      headers: [],
      content: Buffer.from(JSON.stringify(asked)),
      trailers: [],
      ...fields,
    })

  it.each([
    ['nonsense', Buffer.from('nonsense')],
    ['nothing', Buffer.alloc(0)],
    ['another method', http({ method: 'GET' })],
    ['another path', http({ path: '/v1/models' })],
    ['a query', http({ path: '/v1/chat/completions?x=1' })],
    ['cells that are too small', http({ headers: [[headers.cells, '63']] })],
    ['cells that are too large', http({ headers: [[headers.cells, '16385']] })],
    ['cells that are no number', http({ headers: [[headers.cells, '1e3']] })],
    ['a cadence without cells', http({ headers: [[headers.cadence, '50']] })],
    [
      'a cadence that is too quick',
      http({
        headers: [
          [headers.cells, '1024'],
          [headers.cadence, '4'],
        ],
      }),
    ],
    [
      'a cadence that is none',
      http({
        headers: [
          [headers.cells, '1024'],
          [headers.cadence, 'on'],
        ],
      }),
    ],
    ['no JSON', http({ content: Buffer.from('{"model":') })],
  ])('is refused sealed, for nothing: %s', async (_, plaintext) => {
    const answer = await ask(node, undefined, { plaintext, ceiling: 4 })
    expect(answer).toMatchObject({ status: 400, whole: true })
    expect(answer.headers).toEqual({ 'content-type': 'application/json' })
    expect(answer.json).toMatchObject({ error: { code: 'malformed', rialto: { role: 'node' } } })
    expect(answer.receipt).toEqual({ ceiling: 4, used: 0, model: modelDigest('') })
    expect(upstream.questions).toHaveLength(0)
  })

  it('has the receipt for the model that was asked for, where one was', async () => {
    const answer = await ask(node, { ...asked, model: 'other' })
    expect(answer).toMatchObject({ status: 404, receipt: { used: 0, model: modelDigest('other') } })
    expect(answer.json).toMatchObject({ error: { code: 'model_unknown' } })
  })

  it('runs the model that was paid for alone, and the receipt is for that one', async () => {
    const paidFor = 'another'
    for (const body of [asked, { ...asked, model: 'other' }, Buffer.from('no JSON')]) {
      const answer = await ask(node, body, { paidFor })
      expect(answer.status).toBeGreaterThanOrEqual(400)
      expect(answer.receipt).toMatchObject({ used: 0, model: modelDigest(paidFor) })
    }
    expect(upstream.questions).toHaveLength(0)
    expect(await ask(node, asked, { paidFor: asked.model })).toMatchObject({ status: 200 })
  })
})

describe('what goes to the upstream', () => {
  it('has nothing of the client but the body', async () => {
    const fields = [
      ['user-agent', 'CANARY'],
      ['authorization', 'Bearer CANARY'],
      ['cookie', 'CANARY'],
      ['x-forwarded-for', 'CANARY'],
      ['rialto-model', 'CANARY'],
    ] as const
    const keyed = await startTestNode(upstream.url, { upstream: { url: `${upstream.url}/`, key: 'sk-own' } })
    const answer = await ask(keyed, asked, { fields })
    await keyed.close()
    expect(answer.status).toBe(200)
    expect(upstream.questions).toHaveLength(1)
    const [question] = upstream.questions
    expect(question).toMatchObject({ method: 'POST', path: '/v1/chat/completions' })
    expect(question?.headers).toEqual({
      accept: 'text/event-stream, application/json',
      'accept-encoding': 'identity',
      authorization: 'Bearer sk-own',
      connection: 'keep-alive',
      'content-length': String(JSON.stringify(asked).length),
      'content-type': 'application/json',
      host: new URL(upstream.url).host,
      'user-agent': 'rialto-node',
    })
    expect(question?.body.toString()).toBe(JSON.stringify(asked))
  })

  it('is embeddings where these are asked for', async () => {
    const said = {
      object: 'list',
      data: [{ index: 0, embedding: 'AAAA' }],
      model: 'public/model-1',
      usage: { prompt_tokens: 9_000, total_tokens: 9_000 },
    }
    upstream.answer = (_, response) => json(response, 200, said)
    const body = { model: 'public/model-1', input: ['a', 'b'], encoding_format: 'base64' }
    const answer = await ask(node, body, { path: '/v1/embeddings' })
    expect(answer.json).toEqual(said)
    expect(answer.receipt?.used).toBe(Math.ceil((9_000 * 250) / 1_000_000))
    expect(upstream.questions[0]?.path).toBe('/v1/embeddings')
    expect(JSON.parse(upstream.questions[0]?.body.toString() ?? '')).toEqual(body)
  })

  it('is a large image, byte for byte', async () => {
    const url = `data:image/png;base64,${'iVBORw0KGgo'.repeat(200_000)}`
    const body = {
      ...asked,
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
    }
    const answer = await ask(node, body)
    expect(answer.status).toBe(200)
    expect(upstream.questions[0]?.body.equals(Buffer.from(JSON.stringify(body)))).toBe(true)
  })
})

describe('limits', () => {
  it('refuses what is larger than the largest bucket, without reading it', async () => {
    const length = sealedRequestLength(largestInnerBucket) + 1
    const answer = await post(`${node.url}/ohttp`, new Uint8Array(length))
    expect(answer.status).toBe(413)
    expect(JSON.parse(answer.body.toString())).toMatchObject({ error: { code: 'too_large' } })
  })

  it('is busy at its limit of requests, and opens nothing then', async () => {
    const held: (() => void)[] = []
    const both = deferred()
    upstream.answer = (_, response) => {
      held.push(() => json(response, 200, completion('late')))
      if (held.length === 2) both.resolve()
    }
    const waiting = [ask(node, asked), ask(node, asked)]
    await both.promise
    const { sealed, exchange } = await sealFor(key, asked)
    const refused = await send(sealed)
    expect(refused.status).toBe(429)
    expect(JSON.parse(refused.body.toString())).toMatchObject({
      error: { code: 'busy', rialto: { role: 'node' } },
    })
    for (const release of held) release()
    for (const answer of await Promise.all(waiting)) expect(answer.status).toBe(200)
    upstream.answer = answerIt
    // The very same request is admitted now: it was not opened before.
    expect((await openAnswer(await send(sealed), { sealed, exchange })).status).toBe(200)
  })

  it('gives up a body that does not arrive in its time', async () => {
    const hasty = await startTestNode(upstream.url, { timeouts: { body: 50 } })
    const ended = await new Promise<string>((resolve) => {
      const request = httpRequest(`${hasty.url}/ohttp`, {
        method: 'POST',
        headers: { 'content-length': 100 },
      })
      request.on('error', () => resolve('cut')).on('response', () => resolve('answered'))
      request.write('x')
    })
    await hasty.close()
    expect(ended).toBe('cut')
  })

  it('answers what is no HTTP, and what nobody serves, and goes on', async () => {
    const raw = await new Promise<string>((resolve) => {
      const socket = connect(Number(new URL(node.url).port), '127.0.0.1', () =>
        socket.write('\x16\x03\x01 nonsense\r\n\r\n'),
      )
      let text = ''
      socket.on('data', (part) => {
        text += part.toString()
      })
      socket.on('close', () => resolve(text))
    })
    expect(raw).toMatch(/^HTTP\/1.1 400/)
    for (const path of ['/', '/v1/chat/completions', '/ohttp']) {
      const answer = await fetch(node.url + path)
      expect(answer.status).toBe(404)
      expect(await answer.json()).toMatchObject({ error: { code: 'not_found' } })
    }
    expect((await ask(node, asked)).status).toBe(200)
  })
})

describe('closing', () => {
  it('lets what is under way end, and takes nothing new', async () => {
    const leaving = await startTestNode(upstream.url)
    const leavingKey = await fetchKey(leaving.url)
    const reached = deferred<() => void>()
    upstream.answer = (_, response) => reached.resolve(() => json(response, 200, completion('late')))
    const waiting = ask(leaving, asked)
    const release = await reached.promise
    const closed = leaving.close(5_000)
    const { sealed } = await sealFor(leavingKey, asked)
    await expect(send(sealed, authorize(sealed), leaving.url)).rejects.toThrow()
    release()
    expect((await waiting).status).toBe(200)
    await closed
  })
})
