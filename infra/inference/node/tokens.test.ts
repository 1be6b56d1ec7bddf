import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chargeOf, estimateAnswer, estimatePrompt, readUsage } from './tokens.ts'

const most = 1_000_000_000

describe('estimatePrompt', () => {
  it('takes three bytes of text for a token, in any script', () => {
    expect(estimatePrompt({ a: 'x'.repeat(299) }, most)).toBe(100)
    expect(estimatePrompt({ a: '語'.repeat(100) }, most)).toBe(101)
    expect(estimatePrompt({ abc: 'abc' }, most)).toBe(2)
  })

  it('takes a number for a token: embeddings are asked for in them', () => {
    expect(estimatePrompt({ inp: [[1, 2], [3]] }, most)).toBe(4)
  })

  it('counts media by piece and size, and only where media are', () => {
    const url = 'A'.repeat(10 * 1024)
    const part = { type: 'image_url', image_url: { url } }
    const messages = (...parts: object[]) => ({ messages: [{ content: parts }] })
    const one = estimatePrompt(messages(part), most)
    expect(one).toBeGreaterThanOrEqual(1_010)
    expect(one).toBeLessThan(1_040)
    expect(estimatePrompt(messages(part, part), most)).toBeGreaterThan(2_000)
    for (const text of [
      { type: 'text', text: url },
      { type: 'text', image_url: { url } },
      { image_url: { url } },
    ])
      expect(estimatePrompt(messages(text), most)).toBeGreaterThan(3_000)
    const sound = { type: 'input_audio', input_audio: { data: url, format: 'wav' } }
    expect(estimatePrompt(messages(sound), most)).toBeLessThan(1_040)
    expect(estimatePrompt(messages({ type: 'image_url', image_url: url }), most)).toBeGreaterThan(3_000)
    const file = { type: 'file', file: { file_data: url, filename: 'a.pdf' } }
    expect(estimatePrompt(messages(file), most)).toBeGreaterThan(1_160)
    expect(estimatePrompt(messages(file), most)).toBeLessThan(1_200)
  })

  it('is never more than the context, and takes any depth', () => {
    expect(estimatePrompt({ a: 'x'.repeat(1_000) }, 50)).toBe(50)
    let deep: unknown = 'abc'
    for (let depth = 0; depth < 200_000; depth++) deep = [deep]
    expect(estimatePrompt({ deep }, most)).toBe(3)
  })
})

it('estimates an answer by its text', () => {
  expect(estimateAnswer([{ message: { content: 'x'.repeat(400) } }])).toBeGreaterThanOrEqual(100)
  expect(estimateAnswer(undefined)).toBe(0)
})

it('reads a usage with and without a completion', () => {
  expect(readUsage({ prompt_tokens: 1, completion_tokens: 2 })).toEqual({ prompt: 1, completion: 2 })
  expect(readUsage({ prompt_tokens: 1, total_tokens: 1 })).toEqual({ prompt: 1, completion: 0 })
  expect(readUsage({ prompt_tokens: 1, completion_tokens: null })).toEqual({ prompt: 1, completion: 0 })
  expect(readUsage({ prompt_tokens: 1.5 })).toBeUndefined()
  expect(readUsage([])).toBeUndefined()
})

describe('chargeOf', () => {
  it('rounds up, as the price says', () => {
    expect(chargeOf({ prompt: 250, completion: 1_000 }, { prompt: 4_000, completion: 0 }, 16)).toBe(1)
    expect(chargeOf({ prompt: 250, completion: 1_000 }, { prompt: 4_001, completion: 0 }, 16)).toBe(2)
    expect(chargeOf({ prompt: 0, completion: 0 }, { prompt: 5, completion: 5 }, 16)).toBe(0)
  })

  it('is the cost up to the ceiling, whatever a server says was used', () => {
    const count = fc.oneof(fc.integer({ min: 0, max: 100_000 }), fc.maxSafeNat())
    const each = fc.oneof(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: most }))
    fc.assert(
      fc.property(
        each,
        each,
        count,
        count,
        fc.integer({ min: 0, max: 255 }),
        (a, b, prompt, completion, ceiling) => {
          const exact = BigInt(a) * BigInt(prompt) + BigInt(b) * BigInt(completion)
          const cost = (exact + 999_999n) / 1_000_000n
          expect(BigInt(chargeOf({ prompt: a, completion: b }, { prompt, completion }, ceiling))).toBe(
            cost < BigInt(ceiling) ? cost : BigInt(ceiling),
          )
        },
      ),
      { numRuns: 2_000 },
    )
  })
})
