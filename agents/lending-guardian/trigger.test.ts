import { describe, expect, it } from 'vitest'
import { wad } from '../../runtime/core/units.ts'
import { thresholds } from './testSnapshot.ts'
import { raiseAlarm } from './trigger.ts'

const alarmAt = (healthFactor: number, fields: Partial<Parameters<typeof raiseAlarm>[0]> = {}) =>
  raiseAlarm({
    healthFactor: wad(BigInt(Math.round(healthFactor * 1e6)) * 10n ** 12n),
    thresholds,
    returnsBps: [],
    poolDeviationBps: null,
    horizonBlocks: 50,
    ...fields,
  })

describe('raiseAlarm', () => {
  it('fires under the trigger, and not at it', () => {
    expect(alarmAt(1.149999)).toBe('under-trigger')
    expect(alarmAt(1.15)).toBeNull()
    expect(alarmAt(0.5)).toBe('under-trigger')
  })

  it('fires when the pool says that the oracle will go there', () => {
    expect(alarmAt(1.2, { poolDeviationBps: -300 })).toBeNull()
    expect(alarmAt(1.2, { poolDeviationBps: -500 })).toBe('pool-leads')
    expect(alarmAt(1.2, { poolDeviationBps: 500 })).toBeNull()
  })

  it('fires in a rough market, from further away the rougher it is', () => {
    const moves = (bps: number) => Array.from({ length: 64 }, (_, index) => (index % 2 === 0 ? bps : -bps))
    // 3 · 100 bps · √50 = 21.2 %
    expect(alarmAt(1.21, { returnsBps: moves(100) })).toBe('rough-market')
    expect(alarmAt(1.22, { returnsBps: moves(100) })).toBeNull()
    expect(alarmAt(1.42, { returnsBps: moves(200) })).toBe('rough-market')
    // A pool that trades higher is no comfort.
    expect(alarmAt(1.21, { returnsBps: moves(100), poolDeviationBps: 500 })).toBe('rough-market')
    // An ordinary day, 5 bps a block, calls for nothing above the trigger.
    expect(alarmAt(1.16, { returnsBps: moves(5) })).toBeNull()
  })

  it('stays quiet without debt', () => {
    const none = wad(2n ** 256n - 1n)
    expect(
      raiseAlarm({
        healthFactor: none,
        thresholds,
        returnsBps: [-999],
        poolDeviationBps: -990,
        horizonBlocks: 50,
      }),
    ).toBeNull()
  })
})
