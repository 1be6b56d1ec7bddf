import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RefusedError } from './errors.ts'
import { model } from './node.fixture.ts'
import type { NodeModelOptions } from './options.ts'
import { type Kind, planRequest } from './planRequest.ts'

const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
const plan = (
  body: unknown,
  {
    kind = 'chat',
    ceiling = 255,
    ...fields
  }: Partial<NodeModelOptions> & { kind?: Kind; ceiling?: number } = {},
) => {
  const offered = model(fields)
  const made = planRequest(body instanceof Buffer ? body : bytes(body), {
    kind,
    models: new Map([[offered.id, offered]]),
    ceiling,
  })
  const text = Buffer.from(made.body).toString()
  return { ...made, text, json: JSON.parse(text) as Record<string, unknown> }
}
const refusalOf = (body: unknown, fields: Parameters<typeof plan>[1] = {}) => {
  try {
    plan(body, fields)
  } catch (error) {
    if (error instanceof RefusedError) return error
    throw error
  }
  return expect.unreachable('it was not refused')
}

const asked = { model: 'public/model-1', messages: [{ role: 'user', content: 'hello' }] }

describe('what goes to the upstream', () => {
  it('is the very same bytes where nothing has to change', () => {
    const text = ` { "model":"public/model-1", "seed":12345678901234567890,\n "messages":[{"content":"\\u0041"}] }`
    expect(plan(text).text).toBe(text)
  })

  it('has the name that the upstream knows', () => {
    expect(plan(asked, { upstreamModel: 'own-"name"' }).json).toEqual({ ...asked, model: 'own-"name"' })
  })

  const named = new Set(['model', 'n', 'stream', 'stream_options', 'max_tokens', 'max_completion_tokens'])
  const identifying = ['user', 'metadata', 'store', 'safety_identifier', 'prompt_cache_key']
  const other = fc
    .dictionary(fc.string({ minLength: 1 }), fc.jsonValue())
    .filter((object) =>
      Object.keys(object).every((name) => ![...named, ...identifying].includes(name.toLowerCase())),
    )

  it.each(['private', 'anonymized'] as const)('is all that came but for the named fields (%s)', (privacy) => {
    fc.assert(
      fc.property(
        other,
        fc.record(
          {
            stream: fc.boolean(),
            n: fc.integer({ min: 1, max: 3 }),
            max_tokens: fc.integer({ min: 1, max: 100_000 }),
            max_completion_tokens: fc.integer({ min: 1, max: 100_000 }),
            stream_options: fc.record(
              { include_usage: fc.boolean(), other: fc.jsonValue() },
              { requiredKeys: [] },
            ),
          },
          { requiredKeys: [] },
        ),
        fc.dictionary(fc.constantFrom(...identifying), fc.jsonValue()),
        fc.constantFrom(undefined, ' ', '\n\t'),
        (rest, fields, marks, space) => {
          const body = { ...rest, ...fields, ...marks, model: 'public/model-1' }
          const { json } = plan(bytes(JSON.stringify(body, null, space)), {
            privacy,
            upstreamModel: 'own',
            context: 1_000_000,
            price: { prompt: 1, completion: 100_000 },
          })
          const without = (object: object, names: readonly string[]) =>
            Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)))
          const own = [...named, ...identifying]
          const parsed = JSON.parse(JSON.stringify(body)) as Record<string, unknown>
          expect(without(json, own)).toEqual(without(parsed, own))
          expect(json.model).toBe('own')
          expect([json.n, json.stream]).toEqual([parsed.n, parsed.stream])
          const options = (parsed.stream_options ?? {}) as object
          if (body.stream === true) expect(json.stream_options).toEqual({ ...options, include_usage: true })
          else expect(json.stream_options).toEqual(parsed.stream_options)
          for (const name of identifying)
            expect(json[name]).toEqual(
              privacy === 'anonymized' && !(name === 'store' && parsed.store === false)
                ? undefined
                : parsed[name],
            )
          const affordable = Math.floor(2_550 / (body.n ?? 1))
          for (const name of ['max_tokens', 'max_completion_tokens'] as const) {
            const before = body[name]
            if (before !== undefined) expect(json[name]).toBeLessThanOrEqual(Math.min(before, affordable))
          }
        },
      ),
    )
  })

  it('counts an image by piece and size, and not as text', () => {
    const url = `data:image/png;base64,${'A'.repeat(3_000_000)}`
    const messages = [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }]
    const made = plan({ model: 'public/model-1', messages }, { upstreamModel: 'own', context: 100_000 })
    expect(made.json).toEqual({ model: 'own', messages })
    expect(made.prompt).toBeLessThan(5_000)
  })
})

describe('the limit of a completion', () => {
  // One token of payment pays for a thousand tokens of completion.
  const price = { prompt: 0, completion: 1_000 }
  const limits = (fields: object, options: Parameters<typeof plan>[1] = {}) => {
    const { json } = plan({ ...asked, ...fields }, { ceiling: 1, context: 100_000, price, ...options })
    return [json.max_tokens, json.max_completion_tokens]
  }

  it('is set to what is paid for, where there is none', () => {
    expect(limits({})).toEqual([1_000, undefined])
    expect(limits({ max_tokens: null })).toEqual([1_000, undefined])
    expect(limits({}, { limitField: 'max_completion_tokens' })).toEqual([undefined, 1_000])
  })

  it('is lowered, in the field that the client used or the one that the upstream knows', () => {
    expect(limits({ max_tokens: 5_000 })).toEqual([1_000, undefined])
    expect(limits({ max_completion_tokens: 5_000 })).toEqual([undefined, 1_000])
    expect(limits({ max_tokens: 5_000, max_completion_tokens: 400 })).toEqual([400, 400])
    expect(limits({ max_completion_tokens: 5_000 }, { limitField: 'max_tokens' })).toEqual([1_000, undefined])
    expect(limits({ max_tokens: -1 })).toEqual([1_000, undefined])
    expect(limits({ max_tokens: '100' })).toEqual([1_000, undefined])
  })

  it('is let be where it is lower already, or where the context is', () => {
    expect(limits({ max_tokens: 1_000 })).toEqual([1_000, undefined])
    expect(limits({ max_completion_tokens: 5 })).toEqual([undefined, 5])
    expect(limits({}, { context: 900 })).toEqual([undefined, undefined])
    expect(limits({}, { maxCompletion: 1_000 })).toEqual([undefined, undefined])
    expect(limits({ max_tokens: 5_000 }, { price: { prompt: 1, completion: 0 } })).toEqual([5_000, undefined])
  })

  it('is a part of it for each of several answers', () => {
    expect(limits({ n: 4, max_tokens: 5_000 })).toEqual([250, undefined])
  })

  it('leaves room for the prompt, and something to say beside one that was overestimated', () => {
    const content = 'word '.repeat(4_800)
    const prompt = plan({ ...asked, messages: [{ role: 'user', content }] }, { context: 10_000 }).prompt
    expect(prompt).toBeGreaterThan(8_000)
    const messages = [{ role: 'user', content }]
    expect(limits({ messages }, { ceiling: 5, context: 10_000 })).toEqual([10_000 - prompt, undefined])
    expect(limits({ messages }, { ceiling: 3, context: 8_000 })).toEqual([1_000, undefined])
  })

  it('decides once for a member that is there twice', () => {
    const text =
      '{"max_tokens":1,"model":"x","max_tokens":9000,"model":"public/model-1","n":3,"n":1,"x":1,"x":2}'
    expect(plan(text, { ceiling: 1, context: 100_000, price }).text).toBe(
      '{"max_tokens":1000,"model":"public/model-1","n":1,"x":1,"x":2}',
    )
  })
})

describe('what is refused', () => {
  it.each([
    ['no JSON', '{"model":'],
    ['no object', '[]'],
    ['nothing', ''],
    ['no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['a byte order mark', `\ufeff${JSON.stringify(asked)}`],
    ['another case', { ...asked, MAX_TOKENS: 5 }],
    ['a letter that folds to another', { ...asked, 'max_to\u212aens': 5 }],
    ['a part of an answer', { ...asked, n: 1.5 }],
    ['a number that is none', { ...asked, n: '2' }],
    ['no answer', { ...asked, n: 0 }],
    ['a stream that is none', { ...asked, stream: 1 }],
  ])('%s', (_, body) => {
    const { refusal } = refusalOf(body)
    expect(refusal).toMatchObject({ status: 400, code: 'malformed', role: 'node' })
  })

  it('a model that is not there, or not in that way', () => {
    const unknown = { status: 404, code: 'model_unknown' }
    expect(refusalOf({ ...asked, model: 'other' })).toMatchObject({ refusal: unknown, model: 'other' })
    expect(refusalOf({ messages: [] })).toMatchObject({ refusal: unknown, model: '' })
    expect(refusalOf({ ...asked, model: 7 })).toMatchObject({ refusal: unknown, model: '' })
    expect(
      refusalOf({ model: 'public/model-1', input: 'a' }, { kind: 'embeddings', serves: ['chat'] }).refusal,
    ).toMatchObject(unknown)
  })

  it('a prompt that costs more than was paid, saying what it takes', () => {
    const long = { ...asked, messages: [{ role: 'user', content: 'x'.repeat(30_000) }] }
    const fields = { ceiling: 2, context: 100_000, price: { prompt: 250, completion: 1_000 } }
    const { refusal } = refusalOf(long, fields)
    expect(refusal).toMatchObject({ status: 402, code: 'ceiling_too_low', limit: { ceiling: 2, needed: 3 } })
    expect(plan(long, { ...fields, ceiling: 3 }).json.max_tokens).toBeGreaterThan(100)
    const input = { model: 'public/model-1', input: 'x'.repeat(30_000) }
    expect(refusalOf(input, { ...fields, kind: 'embeddings' }).refusal.code).toBe('ceiling_too_low')
    expect(plan(input, { ...fields, kind: 'embeddings', ceiling: 3 }).json).toEqual(input)
  })

  it('never in words that quote what was sent', () => {
    const secret = 'CANARY'
    for (const body of [
      `{"${secret}`,
      { ...asked, model: secret },
      { ...asked, n: secret },
      { ...asked, N: secret },
    ]) {
      const error = refusalOf(body)
      expect(JSON.stringify([error.refusal, error.message, error.stack, error.details])).not.toContain(secret)
    }
  })
})
