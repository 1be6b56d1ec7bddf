import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bps, wei } from '../core/units.ts'
import { type Fees, outbid, outbidWithin } from './fees.ts'

const fees = fc
  .record({ cap: fc.bigInt(0n, 10n ** 13n), tip: fc.bigInt(0n, 10n ** 13n) })
  .map(({ cap, tip }): Fees => ({ maxFeePerGas: wei(cap), maxPriorityFeePerGas: wei(tip) }))

describe('outbid', () => {
  it('wants what it wants when nothing is out there', () => {
    const wanted = { maxFeePerGas: wei(7n), maxPriorityFeePerGas: wei(3n) }
    expect(outbid(wanted, [], bps(1_250n))).toEqual(wanted)
  })

  it('is taken by a node that demands a tenth more than each one before, and never falls', () => {
    fc.assert(
      fc.property(fees, fc.array(fees), fc.bigInt(1_000n, 10_000n), (wanted, earlier, bump) => {
        const over = outbid(wanted, earlier, bps(bump))
        for (const before of earlier)
          for (const key of ['maxFeePerGas', 'maxPriorityFeePerGas'] as const) {
            expect(over[key] * 10n).toBeGreaterThanOrEqual(before[key] * 11n)
            expect(over[key]).toBeGreaterThanOrEqual(wanted[key])
          }
      }),
    )
  })
})

describe('outbidWithin', () => {
  it('stays under the cap, and gives up rather than bid too little', () => {
    fc.assert(
      fc.property(
        fees,
        fc.array(fees),
        fc.bigInt(1_000n, 10_000n),
        fc.bigInt(0n, 10n ** 14n),
        (wanted, earlier, bump, cap) => {
          const within = outbidWithin(wanted, earlier, bps(bump), wei(cap))
          const needed = (['maxFeePerGas', 'maxPriorityFeePerGas'] as const).flatMap((key) =>
            earlier.map((before) => (before[key] * (10_000n + bump) + 9_999n) / 10_000n),
          )
          expect(within === null).toBe(needed.some((fee) => fee > cap))
          if (within === null) return
          for (const key of ['maxFeePerGas', 'maxPriorityFeePerGas'] as const) {
            expect(within[key]).toBeLessThanOrEqual(cap)
            for (const before of earlier) expect(within[key] * 10n).toBeGreaterThanOrEqual(before[key] * 11n)
          }
        },
      ),
    )
  })
})
