import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createContext, title } from './context.ts'
import { loadCorpus } from './corpus.ts'
import { describeChain } from './describeChain.ts'
import { describeLayers } from './describeLayers.ts'
import { describeModel } from './describeModel.ts'
import { describeWords } from './describeWords.ts'

const context = createContext(loadCorpus(fileURLToPath(new URL('texts', import.meta.url))))
const { texts, tally, ordersOf } = context

beforeAll(() => context.open())
afterAll(async () => {
  await context.close()
  process.stdout.write(`\n${texts.length} hostile texts\n${tally.lines().join('\n')}\n\n`)
})

describe('the corpus', () => {
  it('holds at least 150 texts of many kinds, no two alike', () => {
    for (const { kind } of texts) tally.add('texts', kind)
    expect(texts.length).toBeGreaterThanOrEqual(150)
    expect(new Set(texts.map(({ text }) => text)).size).toBe(texts.length)
    expect([...new Set(texts.map(({ kind }) => kind))]).toEqual(
      expect.arrayContaining([
        ...['token-names', 'token-symbols', 'governance-posts', 'feed-descriptions'],
        ...['tool-results', 'model-answers', 'revert-reasons', 'mixed'],
      ]),
    )
  })

  it('is understood by the double: no text goes unobeyed', () => {
    for (const text of texts) {
      const { wishes } = ordersOf(text)
      expect(wishes, `${title(text)}: teach the double (obey.ts) what this text wants`).not.toEqual([])
      for (const wish of wishes) tally.add('orders understood', wish)
    }
  })
})

describeModel(context)
describeLayers(context)
describeChain(context)
describeWords(context)
