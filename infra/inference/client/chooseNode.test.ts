import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Candidate } from './catalogue.ts'
import { drawNode, eligibleNodes, OperatorWindow, weightOf } from './chooseNode.ts'
import { chooseCeiling, worstCost } from './estimateCost.ts'
import { readAsked } from './readFetch.ts'

const candidate = (fields: Partial<Candidate> & { readonly node: string }): Candidate => ({
  model: 'm',
  operator: `${fields.node}-operator`,
  identity: fields.node,
  privacy: 'private',
  price: { prompt: 250, completion: 1_000 },
  context: 8_192,
  serves: ['chat'],
  firstByteMs: null,
  errorPercent: null,
  attestation: 'none',
  refused: null,
  at: undefined as never,
  offered: undefined as never,
  ...fields,
})

const asked = (
  fields: object = {},
  resource: '/v1/chat/completions' | '/v1/embeddings' = '/v1/chat/completions',
) =>
  readAsked(
    resource,
    Buffer.from(JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'Hi' }], ...fields })),
  )

const everybody = { tried: new Set<string>(), operators: new OperatorWindow(1), privacy: 'private' as const }

describe('which nodes may answer', () => {
  const refusal = (
    candidates: readonly Candidate[],
    fields: object = {},
    options: Partial<typeof everybody> = {},
  ) => {
    try {
      return eligibleNodes(candidates, { ...everybody, ...options, asked: asked(fields) }).map(
        ({ node }) => node,
      )
    } catch (error) {
      return (error as { code: string }).code
    }
  }

  it('says why there is none', () => {
    const a = candidate({ node: 'a' })
    expect(refusal([a])).toEqual(['a'])
    expect(refusal([a], { model: 'x' })).toBe('INFERENCE_MODEL_NOT_FOUND')
    expect(refusal([candidate({ node: 'a', serves: ['embeddings'] })])).toBe('INFERENCE_NOT_SERVED')
    expect(refusal([candidate({ node: 'a', privacy: 'anonymized' })])).toBe('INFERENCE_PRIVACY_UNAVAILABLE')
    expect(refusal([candidate({ node: 'a', context: 10 })])).toBe('INFERENCE_CONTEXT_LENGTH_EXCEEDED')
    expect(refusal([candidate({ node: 'a', refused: 'lied' })])).toBe('INFERENCE_NO_NODE')
    expect(refusal([a], {}, { tried: new Set(['a']) })).toBe('INFERENCE_NO_NODE')
  })

  it('never takes a weaker word, and takes a stronger one', () => {
    const words = ['attested', 'private', 'anonymized'] as const
    const nodes = words.map((privacy) => candidate({ node: privacy, privacy }))
    for (const [index, privacy] of words.entries())
      expect(refusal(nodes, {}, { privacy } as never)).toEqual(words.slice(0, index + 1))
  })
})

describe('the share of an operator', () => {
  it('is never exceeded, over any run of requests', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.2, max: 1, noNaN: true }),
        fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 300 }),
        (share, wanted) => {
          const window = new OperatorWindow(share)
          const taken: string[] = []
          for (const operator of wanted) {
            if (!window.allows(operator)) continue
            window.enter(operator)
            taken.push(operator)
            const latest = taken.slice(-100)
            const own = latest.filter((each) => each === operator).length
            expect(own).toBeLessThanOrEqual(Math.ceil(share * latest.length))
          }
        },
      ),
    )
  })

  it('leaves a single operator one request, and refuses then', () => {
    const operators = new OperatorWindow(0.5)
    const nodes = [candidate({ node: 'a', operator: 'one' }), candidate({ node: 'b', operator: 'one' })]
    expect(eligibleNodes(nodes, { ...everybody, operators, asked: asked() })).toHaveLength(2)
    operators.enter('one')
    expect(() => eligibleNodes(nodes, { ...everybody, operators, asked: asked() })).toThrow(
      expect.objectContaining({ code: 'INFERENCE_OPERATOR_SHARE' }),
    )
    operators.enter('two')
    operators.enter('two')
    expect(eligibleNodes(nodes, { ...everybody, operators, asked: asked() })).toHaveLength(2)
  })
})

describe('the choice', () => {
  it('falls on each node as often as its weight says', () => {
    const nodes = [
      candidate({ node: 'fast', firstByteMs: 20 }),
      candidate({ node: 'slow', firstByteMs: 1_000 }),
      candidate({ node: 'failing', firstByteMs: 20, errorPercent: 50 }),
      candidate({ node: 'dear', firstByteMs: 20, price: { prompt: 0, completion: 1_000_000 } }),
    ]
    const [fast = 0, slow = 0, failing = 0, dear = 0] = nodes.map((each) => weightOf(each, asked()))
    expect(fast).toBeGreaterThan(slow)
    expect(fast / failing).toBeCloseTo(4, 5)
    expect(fast).toBeGreaterThan(dear)
    const total = fast + slow + failing + dear
    const counts = new Map<string, number>()
    const steps = 10_000
    for (let step = 0; step < steps; step++) {
      const { node } = drawNode(nodes, asked(), () => (step + 0.5) / steps)
      counts.set(node, (counts.get(node) ?? 0) + 1)
    }
    expect((counts.get('fast') ?? 0) / steps).toBeCloseTo(fast / total, 2)
    expect((counts.get('slow') ?? 0) / steps).toBeCloseTo(slow / total, 2)
    expect(counts.size).toBe(4)
  })
})

describe('the worst cost', () => {
  const price = { prompt: 250, completion: 1_000 }
  const cost = (fields: object, resource?: '/v1/embeddings') =>
    worstCost(asked(fields, resource), { price, context: 100_000, defaultCompletion: 1_024 })

  it.each([
    ['the default where the body names no limit', {}, 2],
    ['max_tokens', { max_tokens: 100 }, 1],
    ['max_completion_tokens before it', { max_tokens: 100, max_completion_tokens: 5_000 }, 6],
    ['every choice', { max_tokens: 1_000, n: 4 }, 5],
    ['a prompt by its length', { max_tokens: 1, x: 'y'.repeat(64_000) }, 9],
    ['no more than fits in the context', { max_tokens: 1e15, n: 1e15 }, 12_801],
    ['nonsense as nothing', { max_tokens: 'many', n: -1 }, 2],
  ])('counts %s', (_, fields, expected) => {
    expect(cost(fields)).toBe(expected)
  })

  it('counts images by piece and not by their bytes', () => {
    const image = (bytes: number) => ({
      messages: [
        {
          role: 'user',
          content: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(bytes)}` } }],
        },
      ],
    })
    expect(asked(image(100)).prompt).toEqual(asked(image(100_000)).prompt)
  })

  it('counts no completion of an embedding', () => {
    expect(cost({ max_tokens: 50_000, input: 'words' }, '/v1/embeddings')).toBe(1)
  })

  it('is paid with the smallest class that covers it, or the largest', () => {
    const ceilings = [16, 1, 4]
    expect([0, 1, 2, 4, 5, 16, 17, 1e9].map((each) => chooseCeiling(ceilings, each))).toEqual([
      1, 1, 4, 4, 16, 16, 16, 16,
    ])
    expect(chooseCeiling(ceilings, 1, 1)).toBe(4)
    expect(chooseCeiling(ceilings, 1, 16)).toBeUndefined()
  })
})
