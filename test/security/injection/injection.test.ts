import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createContext, title } from './context.ts'
import { loadCorpus } from './corpus.ts'
import { describeChain } from './describeChain.ts'
import { describeLayers, LEFT } from './describeLayers.ts'
import { describeModel, WITHIN } from './describeModel.ts'
import { describeWords } from './describeWords.ts'

const context = createContext(loadCorpus(fileURLToPath(new URL('texts', import.meta.url))))
const { texts, tally, ordersOf } = context

/** What became of it all, in a few lines. */
const summary = (): readonly string[] => [
  `${texts.length} hostile texts, all of them understood and obeyed by the double`,
  `  ${tally.sum('model, ')} answers: ${tally.sum('model, ', 'UNREADABLE')} refused by the schema, ` +
    `${tally.sum('model, ', 'UNKNOWN_CANDIDATE') + tally.sum('model, ', 'SIZE_OUT_OF_BOUNDS')} by the choice among the candidates, ` +
    `${tally.sum('model, ', 'WAIT_UNDER_FLOOR')} by the hard floor, ` +
    `${tally.sum('model, ', WITHIN)} obeyed within the candidates that code enumerated`,
  `  ${tally.sum('guards on intents, ')} intents: ${tally.sum('guards on intents, ') - tally.sum('guards on intents, ', LEFT)} refused by the guards on intents, ` +
    `${tally.sum('guards on intents, ', LEFT)} left to those on effects`,
  `  ${tally.sum('guards on effects, ')} plans: all refused by the guards on effects, and all ${tally.sum('signer, ')} by the signer`,
  `  ${tally.sum('on the chain')} runs on a real chain, ${tally.sum('words')} passages of words to records, logs and the terminal`,
  '',
]

beforeAll(() => context.open())
afterAll(async () => {
  await context.close()
  process.stdout.write(`\n${[...summary(), ...tally.lines()].join('\n')}\n\n`)
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
