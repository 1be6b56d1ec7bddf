import { describe, expect, it } from 'vitest'
import { checkEnd } from './checkRest.ts'
import { blockFaults, drawSchedule, requestFaults } from './drawSchedule.ts'
import { stepsDone, WALLET } from './scenario.ts'

describe('a schedule', () => {
  it('is the same whenever it is drawn, and another one for another seed', () => {
    const plain = (seed: number) => JSON.stringify({ ...drawSchedule(seed), random: null })
    expect(plain(7)).toBe(plain(7))
    expect(plain(7)).not.toBe(plain(8))
  })

  it('leaves no fault out of the first hundred', () => {
    const schedules = Array.from({ length: 100 }, (_, seed) => drawSchedule(seed))
    for (const fault of requestFaults)
      expect(schedules.some(({ requests }) => requests.includes(fault))).toBe(true)
    for (const fault of blockFaults)
      expect(schedules.some(({ blocks }) => blocks.some((block) => block.includes(fault)))).toBe(true)
  })
})

describe('the end of a schedule', () => {
  const held = { ...WALLET, collateral: 40n * 10n ** 18n, debt: 50_000n * 10n ** 6n }
  const undisturbed = { steps: [0, 1], holdings: held }

  it('tells which steps a wallet shows, and that one was done twice', () => {
    expect(stepsDone(WALLET)).toEqual([])
    expect(stepsDone({ ...WALLET, USDC: WALLET.USDC - 101_000_000n })).toEqual([0])
    expect(stepsDone({ ...WALLET, USDC: WALLET.USDC - 202_000_000n })).toBeNull()
  })

  it('is that of the undisturbed run but for the interest of some blocks', () => {
    const later = { ...held, debt: held.debt + 10_000n }
    expect(checkEnd({ steps: [0, 1], holdings: later }, undisturbed, false)).toEqual([])
    for (const name of ['USDC', 'WETH'] as const) {
      const other = { ...held, [name]: held[name] - 1n }
      expect(checkEnd({ steps: [0, 1], holdings: other }, undisturbed, false)).toHaveLength(1)
    }
    const more = { ...held, collateral: held.collateral + 10n ** 16n }
    expect(checkEnd({ steps: [0, 1], holdings: more }, undisturbed, false)).toHaveLength(1)
  })

  it('may lack steps under a tight cap alone, and never have one twice', () => {
    const fewer = { steps: [1], holdings: held }
    expect(checkEnd(fewer, undisturbed, true)).toEqual([])
    expect(checkEnd(fewer, undisturbed, false)).toHaveLength(1)
    expect(checkEnd({ steps: null, holdings: held }, undisturbed, true)).toHaveLength(1)
  })
})
