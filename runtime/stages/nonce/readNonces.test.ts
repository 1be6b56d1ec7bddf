import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { gapsBetween } from './readNonces.ts'

const attempt = fc.record({
  nonce: fc.bigInt(0n, 20n),
  noncesUsed: fc.constantFrom<1 | 2>(1, 2),
})

describe('gapsBetween', () => {
  it.each([
    { it: 'nothing is in flight', mined: 3n, next: 3n, open: [], gaps: [] },
    { it: 'one is in flight', mined: 3n, next: 4n, open: [{ nonce: 3n, noncesUsed: 1 }], gaps: [] },
    {
      it: 'an authorisation is still to come',
      mined: 3n,
      next: 5n,
      open: [{ nonce: 3n, noncesUsed: 2 }],
      gaps: [],
    },
    {
      it: 'an authorisation never came',
      mined: 4n,
      next: 5n,
      open: [{ nonce: 3n, noncesUsed: 2 }],
      gaps: [4n],
    },
    {
      it: 'one is missing before the last',
      mined: 3n,
      next: 5n,
      open: [{ nonce: 4n, noncesUsed: 1 }],
      gaps: [3n],
    },
  ] as const)('when $it', ({ mined, next, open, gaps }) => {
    expect(gapsBetween(mined, next, open)).toEqual(gaps)
  })

  it('is all that nothing will use, each nonce once, in order', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 20n), fc.bigInt(0n, 25n), fc.array(attempt), (mined, next, open) => {
        const gaps = gapsBetween(mined, next, open)
        for (let nonce = 0n; nonce < 25n; nonce += 1n) {
          const isUsed = open.some(
            (one) =>
              one.nonce >= mined &&
              (one.nonce === nonce || (one.noncesUsed === 2 && one.nonce + 1n === nonce)),
          )
          expect(gaps.includes(nonce)).toBe(nonce >= mined && nonce < next && !isUsed)
        }
        expect(gaps).toEqual([...new Set(gaps)].toSorted((a, b) => Number(a - b)))
      }),
    )
  })
})
