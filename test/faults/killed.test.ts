import { describe, expect, it } from 'vitest'
import { type Kill, type Played, PRICES, playKilled } from './killScenario.ts'

const SIMULATE = 'eth_simulateV1'
const SEND = 'eth_sendRawTransaction'
const RECEIPT = 'eth_getTransactionReceipt'
const NONCE = 'eth_getTransactionCount'

const at = (
  block: number,
  method: string,
  nth: number,
  when: Kill['when'],
  finds: Kill['finds'] = null,
): Kill => ({ block, method, nth, when, finds })

/** What a start says when nothing was under way. */
const NOTHING = /^ {2}clean$/m
const left = (before: string, now: string): RegExp =>
  new RegExp(
    `^ {2}found and did:\\n {4}[0-9a-f]+\\.1 on nonce \\d+ of 0x[0-9a-fA-F]{40}: ${before} when it was left, now ${now}$`,
    'm',
  )

/**
 * Twenty points in two runs. A start asks `eth_simulateV1` once to see that it is there, so the first that counts is the
 * second one then. The prices call for rescues in the blocks 2, 5 and 10, which are settled one block later.
 */
const RUNS: readonly (readonly Kill[])[] = [
  [
    at(2, SIMULATE, 1, 'before'),
    at(2, SIMULATE, 2, 'after'),
    at(2, SIMULATE, 3, 'before'),
    at(2, SEND, 1, 'before'),
    at(2, SEND, 1, 'after', left('signed', 'broadcast')),
    at(3, RECEIPT, 1, 'before'),
    at(3, RECEIPT, 1, 'after', left('broadcast', 'confirmed')),
    at(4, 'eth_call', 1, 'before', NOTHING),
    at(5, NONCE, 1, 'after', NOTHING),
    at(5, SEND, 1, 'after', left('signed', 'broadcast')),
  ],
  [
    at(5, SIMULATE, 2, 'after'),
    at(5, SEND, 1, 'before'),
    at(5, SEND, 1, 'before'),
    at(5, SEND, 1, 'after', left('signed', 'broadcast')),
    at(6, 'eth_call', 1, 'before'),
    at(6, 'eth_call', 6, 'after'),
    at(6, RECEIPT, 1, 'after', left('mined', 'confirmed')),
    at(10, 'eth_getCode', 2, 'after'),
    at(10, SEND, 1, 'after', left('signed', 'broadcast')),
    at(11, NONCE, 1, 'before', left('broadcast', 'confirmed')),
  ],
]

describe('a runtime that is killed with SIGKILL in a scenario of sixteen blocks', {
  timeout: 900_000,
}, () => {
  let first: Promise<Played> | null = null
  /** Played by the first test that needs it. */
  const undisturbed = (): Promise<Played> => {
    first ??= playKilled([])
    return first
  }

  it('has three rescues to carry out when nobody disturbs it', async () => {
    const { intents, mined } = await undisturbed()
    expect(PRICES).toHaveLength(16)
    expect(intents).toEqual([
      'deleverage of block 2: done',
      'repay of block 5: done',
      'deleverage of block 10: done',
    ])
    expect(mined).toHaveLength(3)
  })

  it.each(RUNS.map((kills, index) => [index + 1, kills] as const))(
    'ends where the undisturbed one ends, ten kills later, and says what each start found: run %i',
    async (_, kills) => {
      const expected = await undisturbed()
      const { kills: survived, ...end } = await playKilled(kills)
      expect(survived.map(({ kill }) => kill)).toEqual(kills)
      // To the last unit: the chain waits for the runtime, so no kill takes any of its time.
      expect({ ...end, kills: [] }).toEqual({ ...expected, kills: [] })
      for (const { kill, said } of survived)
        if (kill.finds !== null) expect(said, `after ${kill.when} ${kill.method}`).toMatch(kill.finds)
    },
  )
})
