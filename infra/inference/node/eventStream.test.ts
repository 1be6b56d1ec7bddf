import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { UpstreamError } from './errors.ts'
import { EventStream } from './eventStream.ts'
import { chunk } from './upstream.fixture.ts'

type Options = ConstructorParameters<typeof EventStream>[0]
const asIs: Options = { model: undefined, dropUsage: false }

/** Passes text through, in pieces of these lengths (repeated). */
function run(text: string | Buffer, options: Options = asIs, cuts: readonly number[] = [1_000_000]) {
  const bytes = Buffer.from(text)
  const events = new EventStream(options)
  const out: Buffer[] = []
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const end = at + (cuts[index % cuts.length] ?? 1)
    out.push(...events.push(Buffer.from(bytes.subarray(at, end))))
    at = end
  }
  out.push(...events.end())
  return { text: Buffer.concat(out).toString('utf8'), bytes: Buffer.concat(out), events }
}

const usage = { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 }
const usageChunk = chunk({}, { choices: [], usage })

/** What events mean (WHATWG HTML, section 9.2.6), read in the simplest way. */
const dataOf = (text: string): string[] =>
  text
    .split(/(?:\r\n|\n|\r){2}/)
    .map((event) =>
      event
        .split(/\r\n|\n|\r/)
        .filter((line) => line.startsWith('data'))
        .map((line) => line.replace(/^data:? ?/, ''))
        .join('\n'),
    )
    .filter((data) => data !== '')

describe('a stream that needs no change', () => {
  it('is passed on byte for byte, however it is cut and whatever it is', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.constantFrom(
              'data: ',
              'data:',
              '\n',
              '\r',
              '\r\n',
              '\n\n',
              '[DONE]',
              '{"usage":{',
              '"usage"',
              ': hi',
            ),
            fc.string({ unit: 'binary', maxLength: 8 }),
          ),
          { maxLength: 40 },
        ),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
        (parts, cuts) => {
          const text = parts.join('')
          expect(run(text, asIs, cuts).bytes.equals(Buffer.from(text))).toBe(true)
        },
      ),
      { numRuns: 1_000 },
    )
  })

  it('is passed on as it came where it is no text at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 50 }), (bytes, cut) => {
        for (const options of [asIs, { model: 'm', dropUsage: true }])
          expect(run(Buffer.from(bytes), options, [cut]).bytes.equals(bytes)).toBe(true)
      }),
    )
  })

  it('comes out in few pieces: what arrives together leaves together', () => {
    const text = `data: ${JSON.stringify(chunk({ content: 'a' }))}\n\n`.repeat(100)
    expect(new EventStream(asIs).push(Buffer.from(text))).toHaveLength(1)
  })
})

describe('names and usage', () => {
  const options: Options = { model: 'public "é"', dropUsage: true }
  const end = fc.constantFrom('\n', '\r\n', '\r')

  it('are as the client should see them, however the stream is written and cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ content: fc.string({ unit: 'grapheme' }) }), { maxLength: 8 }),
        fc.constantFrom(null, undefined),
        end,
        fc.constantFrom('data: ', 'data:'),
        fc.boolean(),
        fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 5 }),
        (deltas, none, eol, field, spaced, cuts) => {
          const said = deltas.map((delta) =>
            chunk(delta, { ...(none === null ? { usage: null } : {}), nested: { model: 'own', usage } }),
          )
          const write = (value: unknown) => JSON.stringify(value, null, spaced ? 1 : undefined)
          const event = (value: unknown) =>
            write(value)
              .split('\n')
              .map((line) => field + line + eol)
              .join('') + eol
          const text = `${[...said, usageChunk].map(event).join('')}${field}[DONE]${eol}${eol}`
          const { text: out, events } = run(text, options, cuts)
          const data = dataOf(out)
          expect(data.pop()).toBe('[DONE]')
          expect(data.map((each) => JSON.parse(each) as unknown)).toEqual(
            said.map((each) => ({ ...JSON.parse(JSON.stringify(each)), model: 'public "é"' })),
          )
          expect(events.usage).toEqual({ prompt: 5, completion: 7 })
          expect(events.done).toBe(true)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('change nothing else: comments, other fields and numbers stay as they were written', () => {
    const text =
      ': keep-alive\n\nevent: x\nid: 7\ndata: {"model":"own","n":1.10,"s":"\\"model\\":\\"own\\""}\n\n' +
      'data: {"s":"model","model" : "own","n":1e999}\n\nretry: 5\n\n'
    expect(run(text, options).text).toBe(
      ': keep-alive\n\nevent: x\nid: 7\ndata: {"model":"public \\"é\\"","n":1.10,"s":"\\"model\\":\\"own\\""}\n\n' +
        'data: {"s":"model","model" : "public \\"é\\"","n":1e999}\n\nretry: 5\n\n',
    )
  })

  it('are found again when events begin otherwise than the one before', () => {
    const events = [
      { id: 'a', model: 'own' },
      { id: 'a', model: 'own2', x: 1 },
      { id: 'b', model: 'own' },
      { model: 1 },
      {},
      [1],
    ]
    const text = events.map((each) => `data: ${JSON.stringify(each)}\n\n`).join('')
    const out = dataOf(run(text, { model: 'p', dropUsage: false }).text).map(
      (each) => JSON.parse(each) as unknown,
    )
    expect(out).toEqual([
      { id: 'a', model: 'p' },
      { id: 'a', model: 'p', x: 1 },
      { id: 'b', model: 'p' },
      { model: 1 },
      {},
      [1],
    ])
  })

  it('stay where the client asked for them', () => {
    const text = `data: ${JSON.stringify(usageChunk)}\n\ndata: [DONE]\n\n`
    const { text: out, events } = run(text)
    expect(out).toBe(text)
    expect(events.usage).toEqual({ prompt: 5, completion: 7 })
  })

  it('keep a chunk that says more than the usage, and count the last that is said', () => {
    const first = chunk({ content: 'a' }, { usage: { prompt_tokens: 5, completion_tokens: 1 } })
    const last = chunk({ content: 'b' }, { usage })
    const text = [first, last].map((each) => `data: ${JSON.stringify(each)}\n\n`).join('')
    const { text: out, events } = run(text, { model: undefined, dropUsage: true })
    expect(out).toBe(text)
    expect(events.usage).toEqual({ prompt: 5, completion: 7 })
  })

  it('are not taken from what is only text', () => {
    const text = `data: ${JSON.stringify(chunk({ content: `"usage":${JSON.stringify(usage)}`, usage }))}\n\n`
    expect(run(text, { model: undefined, dropUsage: true }).text).toBe(text)
    expect(run(text).events.usage).toBeUndefined()
  })

  it.each([
    { prompt_tokens: -1 },
    { prompt_tokens: '5' },
    { prompt_tokens: 1e300 },
    {},
    'x',
    null,
    { completion_tokens: 3 },
  ])('are no usage when they are %j', (nonsense) => {
    expect(run(`data: ${JSON.stringify({ choices: [], usage: nonsense })}\n\n`).events.usage).toBeUndefined()
  })
})

describe('the end of a stream', () => {
  it('may lack its empty line', () => {
    const { text, events } = run(`data: ${JSON.stringify({ model: 'own', choices: [], usage })}`, {
      model: 'p',
      dropUsage: false,
    })
    expect(JSON.parse(text.slice(6))).toMatchObject({ model: 'p' })
    expect(events.usage).toEqual({ prompt: 5, completion: 7 })
    expect(run('data: [DONE]').events.done).toBe(true)
    expect(run('data: [DONE]\r').events.done).toBe(true)
  })

  it('tells an error that was the last thing said', () => {
    expect(run('data: {"error":{"message":"x"}}\n\ndata: [DONE]\n\n').events.failed).toBe(true)
    expect(run('data: {"error":null,"choices":[]}\n\n').events.failed).toBe(false)
    expect(run('').events.failed).toBe(false)
  })
})

it('estimates a completion by the lengths of its events, where no usage is said', () => {
  const text = (each: string) => `data: ${JSON.stringify(chunk({ content: each }))}\n\n`
  expect(run(text('a').repeat(40)).events.estimate).toBe(40)
  expect(run(text('') + text('x'.repeat(400))).events.estimate).toBe(100)
  expect(run('data: [DONE]\n\n').events.estimate).toBe(0)
})

it('works in proportion to the bytes, however they are cut, and gives up on an event without an end', () => {
  const events = new EventStream({ model: 'p', dropUsage: true })
  const piece = Buffer.alloc(65_536, 'x')
  const feed = () => {
    for (let fed = 0; fed < 32 * 1024 * 1024; fed += piece.length) events.push(piece)
  }
  expect(feed).toThrow(UpstreamError)
  const text = `data: {"model":"own","text":"${'y'.repeat(300_000)}"}\n\n`
  expect(run(text, { model: 'p', dropUsage: true }, [1]).text).toBe(text.replace('own', 'p'))
})
