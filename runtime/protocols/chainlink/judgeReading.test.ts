import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bps, usd } from '../../core/units.ts'
import { DEFAULT_GRACE_SECONDS, judgeReading, priceDistance } from './judgeReading.ts'

const NOW = 1_700_000_000n
const answer = (price: bigint, updatedAt: bigint) => ({
  asset: '0x0000000000000000000000000000000000000011' as const,
  feed: '0x0000000000000000000000000000000000000061' as const,
  heartbeat: 3_600,
  round: { roundId: 7n, answer: price, updatedAt },
})
const tolerance = { maxPoolDeviation: bps(500n) }
const PRICE = 2_000n * 10n ** 8n

describe('judgeReading', () => {
  it('trusts a price within its heartbeat and the grace after it, and not a second longer', () => {
    const oldest = NOW - 3_600n - DEFAULT_GRACE_SECONDS
    expect(judgeReading(answer(PRICE, NOW), NOW, null, tolerance)).toMatchObject({
      price: PRICE,
      stale: false,
    })
    expect(judgeReading(answer(PRICE, oldest), NOW, null, tolerance).stale).toBe(false)
    expect(judgeReading(answer(PRICE, oldest - 1n), NOW, null, tolerance).stale).toBe(true)
    const strict = { ...tolerance, graceSeconds: 0n }
    expect(judgeReading(answer(PRICE, oldest), NOW, null, strict).stale).toBe(true)
  })

  it('trusts no answer from the future, of an unfinished round, or that is no price', () => {
    expect(judgeReading(answer(PRICE, NOW + 1n), NOW, null, tolerance).stale).toBe(true)
    expect(judgeReading(answer(PRICE, 0n), 1_000n, null, tolerance).stale).toBe(true)
    for (const nonsense of [0n, -1n, -PRICE])
      expect(judgeReading(answer(nonsense, NOW), NOW, usd(PRICE), tolerance)).toMatchObject({
        price: 0n,
        stale: true,
        poolDeviation: null,
        deviating: false,
      })
  })

  it('marks a price that the pool contradicts, above as below', () => {
    const judged = (pool: bigint) => judgeReading(answer(PRICE, NOW), NOW, usd(pool), tolerance)
    expect(judged(PRICE)).toMatchObject({ poolDeviation: 0n, deviating: false })
    expect(judged((PRICE * 105n) / 100n)).toMatchObject({ poolDeviation: 500n, deviating: false })
    expect(judged((PRICE * 105n) / 100n + 1n)).toMatchObject({ poolDeviation: 501n, deviating: true })
    expect(judged((PRICE * 100n) / 106n).deviating).toBe(true)
    expect(judged(1n).deviating).toBe(true)
  })

  it('compares with nothing where there is no pool, or the pool has no price', () => {
    expect(judgeReading(answer(PRICE, NOW), NOW, null, tolerance).poolDeviation).toBeNull()
    expect(judgeReading(answer(PRICE, NOW), NOW, usd(0n), tolerance).poolDeviation).toBeNull()
  })
})

describe('priceDistance', () => {
  const anyPrice = fc.bigInt({ min: 1n, max: 10n ** 20n }).map(usd)

  it('is the same both ways, zero only for equal prices, and never understated', () => {
    fc.assert(
      fc.property(anyPrice, anyPrice, (a, b) => {
        const distance = priceDistance(a, b)
        expect(priceDistance(b, a)).toBe(distance)
        expect(distance === 0n).toBe(a === b)
        const [low, high] = a < b ? [a, b] : [b, a]
        expect(low * (10_000n + distance)).toBeGreaterThanOrEqual(high * 10_000n)
      }),
    )
  })
})
