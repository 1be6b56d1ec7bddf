import type { Address } from 'viem'
import { describe, expect, it } from 'vitest'
import type { Agent } from '../../runtime/core/agent.ts'
import { tokenAmount } from '../../runtime/core/units.ts'
import { keptSchedules } from './keptSchedules.ts'
import type { Defect } from './runSchedule.ts'
import { describeTotals, runSchedules } from './runSchedules.ts'
import { WALLET } from './scenario.ts'

const SCHEDULES = Array.from({ length: 100 }, (_, seed) => seed)

describe('a hundred schedules of faults on real processes', () => {
  it('hold every invariant, end where the undisturbed run ends, and hit every fault', async () => {
    const kept = keptSchedules().map(({ seed }) => seed)
    const begin = performance.now()
    const totals = await runSchedules([...new Set([...kept, ...SCHEDULES])])
    process.stdout.write(describeTotals(totals, (performance.now() - begin) / 1_000))
    expect(totals.failed).toEqual([])
    expect(Object.keys(totals.hits).filter((fault) => totals.hits[fault] === 0)).toEqual([])
    expect(totals.mined).toBeGreaterThan(4 * SCHEDULES.length)
  }, 900_000)
})

/** Always sees the wallet that it had when it moved nothing yet. */
const greedy = (agent: Agent): Agent => {
  const [WETH, USDC] = agent.watch().assets
  const tokens = [
    { token: WETH as Address, balance: tokenAmount(WALLET.WETH) },
    { token: USDC as Address, balance: tokenAmount(WALLET.USDC) },
  ]
  return {
    ...agent,
    analyse: (snapshot, context) =>
      agent.analyse({ ...snapshot, wallet: { ...snapshot.wallet, tokens } }, context),
  }
}

const defects: readonly { readonly name: string; readonly defect: Defect; readonly breaks: string }[] = [
  {
    name: 'a journal that forgets what was settled',
    defect: {
      rest: 3,
      journal: (journal) => ({
        ...journal,
        settle: async (id) => {
          const found = (await journal.attempts()).find((attempt) => attempt.id === id)
          if (found === undefined) throw new TypeError('the attempt is there')
          return found
        },
      }),
    },
    breaks: 'what was reserved is released',
  },
  {
    name: 'an agent that moves its money twice',
    defect: { rest: 3, agent: greedy },
    breaks: 'the final state',
  },
]

describe('a defect is found', () => {
  it.each(defects)(
    '$name',
    async ({ defect, breaks }) => {
      const { failed } = await runSchedules([2], { defect })
      expect(failed.map(({ why }) => why).join()).toContain(breaks)
    },
    120_000,
  )
})
