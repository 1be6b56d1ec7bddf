import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { headers } from '../protocol/network/routes.ts'
import { ask, authorize, deferred, eventsOf, fetchKey, sealFor, startTestNode } from './node.fixture.ts'
import type { RunningNode } from './startNode.ts'
import {
  beginStream,
  chunk,
  completion,
  event,
  json,
  type ScriptedUpstream,
  startScriptedUpstream,
} from './upstream.fixture.ts'

const asked = { model: 'public/model-1', messages: [{ role: 'user', content: 'hello' }] }
const usage = { prompt_tokens: 4_000, completion_tokens: 3_000, total_tokens: 7_000 }

let upstream: ScriptedUpstream
let node: RunningNode
/** The same, with little patience: only what is meant to run into a time-out asks it. */
let hasty: RunningNode
beforeAll(async () => {
  upstream = await startScriptedUpstream()
  const limits = { answerBytes: 100_000, streamBytes: 300_000 }
  node = await startTestNode(upstream.url, { limits })
  hasty = await startTestNode(upstream.url, { limits, timeouts: { firstByte: 1_000, silence: 1_000 } })
})
beforeEach(() => {
  upstream.questions.length = 0
})
afterAll(async () => {
  await node.close()
  await hasty.close()
  await upstream.close()
})

const upstreamFailed = {
  status: 502,
  whole: true,
  receipt: { used: 0, ceiling: 16 },
  headers: {
    'rialto-privacy': 'private',
    'rialto-model': 'public/model-1',
    'content-type': 'application/json',
  },
}

describe('an upstream that refuses', () => {
  it("is passed on in its own words where they are OpenAI's", async () => {
    const error = { message: 'slow down: you said hello', type: 'requests', param: null, code: 'rate' }
    upstream.answer = (_, response) => json(response, 429, { error })
    const answer = await ask(node, asked)
    expect(answer).toMatchObject({ ...upstreamFailed, status: 429 })
    expect(answer.json).toEqual({ error })
  })

  it.each([
    ['a page', 500, 'text/html', '<h1>you said hello</h1>'],
    ['JSON of another shape', 503, 'application/json', '{"detail":"you said hello"}'],
    ['nothing', 404, 'text/plain', ''],
    ['half of its JSON', 400, 'application/json', '{"error":{"message":"you said hello'],
  ])('is told in ours where it answers with %s', async (_, status, type, body) => {
    upstream.answer = (_, response) => response.writeHead(status, { 'content-type': type }).end(body)
    const answer = await ask(node, asked)
    expect(answer).toMatchObject({ ...upstreamFailed, status })
    expect(answer.json).toMatchObject({ error: { code: 'upstream_error', rialto: { role: 'upstream' } } })
    expect(answer.body.toString()).not.toContain('hello')
  })

  it("does not make the client look for a key of its own when it refuses the node's", async () => {
    upstream.answer = (_, response) => json(response, 401, { error: { message: 'sk-own is wrong' } })
    const answer = await ask(node, asked)
    expect(answer).toMatchObject(upstreamFailed)
    expect(answer.body.toString()).not.toContain('sk-own')
  })
})

describe('an upstream that fails', () => {
  it.each([
    [
      'points elsewhere',
      (response) => response.writeHead(307, { location: `${upstream.url}/elsewhere` }).end(),
    ],
    ['is silent', () => undefined],
    ['hangs up', (response) => response.destroy()],
    ['answers garbage', (response) => response.socket?.end('garbage\r\n\r\n')],
    ['answers 200 with a page', (response) => response.end('<h1>hello</h1>')],
    ['answers 200 with a list', (response) => json(response, 200, ['hello'])],
    [
      'compresses what nobody asked it to',
      (response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('hello'),
    ],
    ['answers more than is taken', (response) => json(response, 200, completion('x'.repeat(100_001)))],
    [
      'breaks off within its JSON',
      (response) => {
        response.writeHead(200, { 'content-type': 'application/json' })
        response.write('{"choices":', () => response.destroy())
      },
    ],
    [
      'stops within its JSON',
      (response) => {
        response.writeHead(200, { 'content-type': 'application/json' })
        response.write('{"choices":')
      },
    ],
  ] satisfies [string, (response: Parameters<ScriptedUpstream['answer']>[1]) => unknown][])(
    'and %s is told sealed, for nothing',
    async (what, answer) => {
      upstream.answer = (_, response) => void answer(response)
      const said = await ask(/silent|stops/.test(what) ? hasty : node, asked)
      expect(said).toMatchObject(upstreamFailed)
      expect(said.json).toMatchObject({ error: { code: 'upstream_failed', rialto: { role: 'node' } } })
      expect(said.body.toString()).not.toContain('hello')
      // On a connection that was kept, a hang-up may be its server's patience that ended: then it is asked again.
      expect(upstream.questions.length).toBeLessThanOrEqual(what === 'hangs up' ? 2 : 1)
    },
  )

  it('and is not there at all is told so, too', async () => {
    const gone = await startScriptedUpstream()
    await gone.close()
    const lonely = await startTestNode(gone.url)
    const said = await ask(lonely, asked)
    await lonely.close()
    expect(said).toMatchObject(upstreamFailed)
  })
})

describe('a stream that is not whole', () => {
  const first = event(chunk({ content: 'first' }))
  it.each([
    ['breaks off', (response) => response.write(first, () => response.destroy())],
    ['stops', (response) => response.write(first)],
    ['never ends', (response) => void endless(response, event(chunk({ content: 'more' })))],
    ['has an event without an end', (response) => void endless(response, 'data: x')],
  ] satisfies [string, (response: Parameters<ScriptedUpstream['answer']>[1]) => unknown][])(
    'ends without its final chunk and without a receipt when the upstream %s',
    async (what, go) => {
      upstream.answer = (_, response) => {
        beginStream(response)
        response.write(first)
        go(response)
      }
      const said = await ask(what === 'stops' ? hasty : node, { ...asked, stream: true })
      expect(said).toMatchObject({ status: 200, whole: false, receipt: undefined })
      expect(said.body.toString()).toContain('first')
    },
  )

  it('is known by its mark where the connection does not tell', async () => {
    const raw =
      (end: string): ScriptedUpstream['answer'] =>
      (_, response) =>
        void response.socket?.end(`HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n${first}${end}`)
    upstream.answer = raw('')
    expect(await ask(node, { ...asked, stream: true })).toMatchObject({ whole: false, receipt: undefined })
    upstream.answer = raw('data: [DONE]\n\n')
    expect(await ask(node, { ...asked, stream: true })).toMatchObject({
      whole: true,
      receipt: { ceiling: 16 },
    })
  })

  it.each([
    ['it takes too long as a whole', { timeouts: { whole: 1_000 } }, {}, 'answer_too_long'],
    [
      'its cells are too much, of which the client says how many and how large they are',
      { limits: { sealedBytes: 2_000_000 } },
      { cells: 16_384, cadence: 5 },
      'answer_too_large',
    ],
  ] as const)('is ended when %s, and what it had is paid', async (_, options, shape, code) => {
    const strict = await startTestNode(upstream.url, options)
    upstream.answer = (_, response) => {
      beginStream(response)
      const timer = setInterval(() => response.write(first), 20)
      response.on('close', () => clearInterval(timer))
    }
    const { body, whole, receipt } = await ask(strict, { ...asked, stream: true }, shape)
    await strict.close()
    const events = eventsOf(body).map((data) => JSON.parse(data) as { error?: object })
    expect(events.at(-1)).toMatchObject({ error: { code, rialto: { role: 'node' } } })
    expect(events.slice(0, -1).every(({ error }) => error === undefined)).toBe(true)
    // Whoever chose the length must not have all but the end of it for nothing.
    expect({ whole, receipt }).toMatchObject({ whole: true, receipt: { used: 1, ceiling: 16 } })
  })
})

function endless(response: Parameters<ScriptedUpstream['answer']>[1], text: string): void {
  const go = () => {
    while (!response.destroyed && response.write(text.repeat(50)));
  }
  response.on('drain', go)
  go()
}

describe('what is charged', () => {
  const stream =
    (...said: unknown[]): ScriptedUpstream['answer'] =>
    (_, response) => {
      beginStream(response)
      response.end(said.map(event).join(''))
    }

  it('is what the upstream says was used', async () => {
    upstream.answer = (_, response) => json(response, 200, completion('fine', { usage }))
    expect((await ask(node, asked)).receipt?.used).toBe(4)
    upstream.answer = stream(chunk({ content: 'a' }), chunk({}, { choices: [], usage }), '[DONE]')
    const streamed = await ask(node, { ...asked, stream: true })
    expect(streamed.receipt?.used).toBe(4)
    expect(eventsOf(streamed.body)).toHaveLength(2)
  })

  it('is never more than was paid', async () => {
    upstream.answer = (_, response) =>
      json(response, 200, completion('fine', { usage: { prompt_tokens: 1e15, completion_tokens: 1e15 } }))
    expect((await ask(node, asked, { ceiling: 2 })).receipt).toMatchObject({ used: 2, ceiling: 2 })
  })

  it.each([undefined, null, {}, { prompt_tokens: -5 }, 'much'])(
    'is estimated where it says %j',
    async (nonsense) => {
      upstream.answer = (_, response) =>
        json(response, 200, completion('x'.repeat(8_000), { usage: nonsense }))
      expect((await ask(node, asked)).receipt?.used).toBe(3)
      upstream.answer = stream(
        ...Array.from({ length: 1_500 }, () => chunk({ content: 'x' }, { usage: nonsense })),
        '[DONE]',
      )
      expect((await ask(node, { ...asked, stream: true })).receipt?.used).toBe(2)
    },
  )

  it('is nothing for a stream that ends in an error', async () => {
    upstream.answer = stream(
      ...Array.from({ length: 1_500 }, () => chunk({ content: 'x' })),
      { error: { message: 'out of memory' } },
      '[DONE]',
    )
    const said = await ask(node, { ...asked, stream: true })
    expect(said).toMatchObject({ status: 200, whole: true, receipt: { used: 0 } })
  })
})

describe('the health', () => {
  const healthOf = async (url: string) => {
    const response = await fetch(`${url}/healthz`)
    return { ...((await response.json()) as { reason?: string }), status: response.status }
  }
  const until = async (url: string, status: number) => {
    for (;;) {
      const health = await healthOf(url)
      if (health.status === status) return health
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  it('follows the upstream', async () => {
    const other = await startScriptedUpstream()
    const watched = await startTestNode(other.url, { timeouts: { probe: 20 } })
    await until(watched.url, 200)
    other.models = 500
    expect((await until(watched.url, 503)).reason).toContain('500')
    other.models = 404
    await until(watched.url, 200)
    other.models = 401
    expect((await until(watched.url, 503)).reason).toContain('key')
    await other.close()
    const metrics = await (await fetch(`${watched.url}/metrics`)).text()
    expect(metrics).toContain('rialto_node_upstream_up 0')
    await watched.close()
  })
})

describe('a gateway that goes away', () => {
  it('ends the work of the upstream, before its answer and within it', async () => {
    for (const begun of [false, true]) {
      const reached = deferred()
      const ended = deferred()
      upstream.answer = (_, response) => {
        response.on('close', () => ended.resolve())
        if (begun) {
          beginStream(response)
          response.write(event(chunk({ content: 'a' })))
        }
        reached.resolve()
      }
      const { sealed } = await sealFor(await fetchKey(node.url), { ...asked, stream: true })
      const leaving = new AbortController()
      const gone = fetch(`${node.url}/ohttp`, {
        method: 'POST',
        body: Buffer.from(sealed),
        headers: { [headers.authorization]: authorize(sealed) },
        signal: leaving.signal,
      }).then((response) => response.arrayBuffer())
      await reached.promise
      leaving.abort()
      await expect(gone).rejects.toThrow()
      await ended.promise
    }
  })

  it('makes the upstream wait while it takes nothing, and is cut off in the end', async () => {
    const patient = await startTestNode(upstream.url, { timeouts: { stalled: 200 } })
    const ended = deferred<number>()
    upstream.answer = (_, response) => {
      beginStream(response)
      let sent = 0
      const text = event(chunk({ content: 'x'.repeat(10_000) }))
      const go = () => {
        while (!response.destroyed && sent < 200_000_000) {
          sent += text.length
          if (!response.write(text)) return
        }
      }
      response.on('drain', go).on('close', () => ended.resolve(sent))
      go()
    }
    const { sealed } = await sealFor(await fetchKey(patient.url), { ...asked, stream: true })
    const { request } = await import('node:http')
    const stalled = request(`${patient.url}/ohttp`, {
      method: 'POST',
      headers: { [headers.authorization]: authorize(sealed) },
    })
    stalled
      .on('response', (response) => response.pause().on('error', () => undefined))
      .on('error', () => undefined)
    stalled.end(sealed)
    // The buffers of the sockets take some megabytes; the rest stays where it is made.
    expect(await ended.promise).toBeLessThan(100_000_000)
    stalled.destroy()
    const metrics = await (await fetch(`${patient.url}/metrics`)).text()
    expect(metrics).toContain('rialto_node_requests_total{route="ohttp",outcome="stalled"} 1')
    await patient.close()
  })
})

it('asks again where a kept connection was closed under it', async () => {
  const other = await startScriptedUpstream()
  const own = await startTestNode(other.url)
  expect((await ask(own, asked)).status).toBe(200)
  let first = true
  other.answer = (_, response) => {
    // What a server does that gives up an idle connection at the moment at which it is used.
    if (first) response.socket?.resetAndDestroy()
    else json(response, 200, completion('fine'))
    first = false
  }
  expect((await ask(own, asked)).status).toBe(200)
  await own.close()
  await other.close()
})

it('answers many at once, each its own', async () => {
  upstream.answer = (question, response) => {
    const { messages } = JSON.parse(question.body.toString()) as typeof asked
    json(response, 200, completion(messages[0]?.content ?? ''))
  }
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      ask(node, { ...asked, messages: [{ role: 'user', content: `number ${index}` }] }),
    ),
  )
  for (const [index, answer] of answers.entries())
    expect(answer.json).toMatchObject({ choices: [{ message: { content: `number ${index}` } }] })
})
