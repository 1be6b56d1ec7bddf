import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { headers } from '../protocol/network/routes.ts'
import {
  ask,
  authorize,
  deferred,
  eventsOf,
  fetchKey,
  openAnswer,
  post,
  sealFor,
  startTestNode,
} from './node.fixture.ts'
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
let upstream: ScriptedUpstream
let node: RunningNode
beforeAll(async () => {
  upstream = await startScriptedUpstream()
  node = await startTestNode(upstream.url)
})
beforeEach(() => {
  upstream.answer = (_, response) => json(response, 200, completion('fine'))
})
afterAll(async () => {
  await node.close()
  await upstream.close()
})

const tokens = Array.from({ length: 400 }, (_, index) => `token ${index} `)
const streamed: ScriptedUpstream['answer'] = (_, response) => {
  beginStream(response)
  for (const token of tokens) response.write(event(chunk({ content: token })))
  response.end(
    event(chunk({}, { choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } })) + event('[DONE]'),
  )
}
const textOf = (body: Buffer) =>
  eventsOf(body)
    .filter((data) => data !== '[DONE]')
    .map(
      (data) => (JSON.parse(data) as { choices: { delta: { content: string } }[] }).choices[0]?.delta.content,
    )
    .join('')

describe('an answer without cells', () => {
  it('holds many tokens in a chunk, where many come at once', async () => {
    upstream.answer = streamed
    const answer = await ask(node, { ...asked, stream: true })
    expect(textOf(answer.body)).toBe(tokens.join(''))
    expect(answer.whole).toBe(true)
    expect(answer.chunks.length).toBeLessThan(tokens.length / 4)
  })

  it('never has a chunk beyond 16 KiB, and keeps a large body whole', async () => {
    upstream.answer = (_, response) => json(response, 200, completion('é'.repeat(2_000_000)))
    const answer = await ask(node, asked)
    expect(answer.json).toMatchObject({ choices: [{ message: { content: 'é'.repeat(2_000_000) } }] })
    expect(Math.max(...answer.chunks.map(({ length }) => length))).toBeLessThanOrEqual(16_384)
  })

  it('passes each token on as it comes, and waits for none', async () => {
    const arrivals = tokens.slice(0, 5).map(() => deferred())
    upstream.answer = async (_, response) => {
      beginStream(response)
      for (const { promise } of arrivals) {
        response.write(event(chunk({ content: 'x' })))
        await promise
      }
      response.end(event('[DONE]'))
    }
    const { sealed, exchange } = await sealFor(await fetchKey(node.url), { ...asked, stream: true })
    // Each piece that arrives lets the upstream go on: it would wait for ever for one that is held back.
    let pieces = 0
    const raw = await post(`${node.url}/ohttp`, sealed, { [headers.authorization]: authorize(sealed) }, () =>
      arrivals[pieces++]?.resolve(),
    )
    expect(eventsOf((await openAnswer(raw, { sealed, exchange })).body)).toHaveLength(6)
  })
})

describe('an answer in cells', () => {
  it.each([
    [64, undefined],
    [1_000, 'off'],
    [1_024, 5],
    [16_384, 5],
  ] as const)(
    'of %i bytes with cadence %s is the same answer, in chunks of whole cells and an empty last one',
    async (cells, cadence) => {
      upstream.answer = streamed
      const answer = await ask(
        node,
        { ...asked, stream: true },
        { cells, ...(cadence === undefined ? {} : { cadence }) },
      )
      expect(textOf(answer.body)).toBe(tokens.join(''))
      expect(answer.whole).toBe(true)
      expect(answer.receipt?.used).toBe(1)
      expect(answer.chunks.at(-1)).toHaveLength(0)
      expect(answer.chunks.every(({ length }) => length % cells === 0)).toBe(true)
    },
  )

  it('is cells for refusals, too', async () => {
    const answer = await ask(node, { ...asked, model: 'other' }, { cells: 512, cadence: 5 })
    expect(answer).toMatchObject({ status: 404, whole: true, receipt: { used: 0 } })
    expect(answer.chunks.every(({ length }) => length % 512 === 0)).toBe(true)
  })

  it('hides when the model begins: cells come before it, all of one size', async () => {
    const release = deferred()
    upstream.answer = async (_, response) => {
      await release.promise
      json(response, 200, completion('late'))
    }
    const { sealed, exchange } = await sealFor(await fetchKey(node.url), asked, {
      fields: [
        [headers.cells, '256'],
        [headers.cadence, '5'],
      ],
    })
    let pieces = 0
    const raw = await post(
      `${node.url}/ohttp`,
      sealed,
      { [headers.authorization]: authorize(sealed) },
      () => {
        // Nothing has come of the model when these have.
        if (++pieces === 4) release.resolve()
      },
    )
    expect(raw.complete).toBe(true)
    expect(pieces).toBeGreaterThanOrEqual(4)
    const answer = await openAnswer(raw, { sealed, exchange, cells: 256 })
    expect(answer.json).toMatchObject({ choices: [{ message: { content: 'late' } }] })
    const [first, second, third] = answer.chunks
    for (const empty of [first, second, third]) expect(empty).toEqual(new Uint8Array(256))
    expect(answer.chunks.every(({ length }) => length % 256 === 0)).toBe(true)
  })

  it('keeps up with what comes: a tick takes as many cells as it needs', async () => {
    upstream.answer = (_, response) => json(response, 200, completion('x'.repeat(300_000)))
    const answer = await ask(node, asked, { cells: 64, cadence: 50 })
    expect(answer.json).toMatchObject({ choices: [{ message: { content: 'x'.repeat(300_000) } }] })
    expect(answer.whole).toBe(true)
  })

  it('ends without its final chunk where the upstream breaks off', async () => {
    upstream.answer = (_, response) => {
      beginStream(response)
      response.write(event(chunk({ content: 'a' })), () => response.destroy())
    }
    for (const cadence of ['off', 5] as const) {
      const answer = await ask(node, { ...asked, stream: true }, { cells: 128, cadence })
      expect(answer).toMatchObject({ whole: false, receipt: undefined })
      expect(textOf(answer.body)).toBe('a')
    }
  })
})
