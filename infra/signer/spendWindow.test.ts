import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createSpendWindow, type Moving } from './spendWindow.ts'

const tokens = ['WETH', 'USDC', 'native']
const movings = fc.array(
  fc.record({
    nonce: fc.bigInt(0n, 5n),
    wait: fc.bigInt(0n, 40n),
    moved: fc.array(fc.record({ token: fc.constantFrom(...tokens), amount: fc.bigInt(0n, 1_000n) }), {
      maxLength: 2,
    }),
  }),
  { maxLength: 30 },
)

/** The same by its definition: of every nonce that has a signature within the window, the highest ever. */
function totalOf(all: readonly Moving[], now: bigint, seconds: bigint, token: string): bigint {
  let total = 0n
  for (const nonce of new Set(all.map((one) => one.nonce))) {
    const group = all.filter((one) => one.nonce === nonce)
    // Once all of a nonce's signatures have left the window, a later one begins anew.
    const since = group.findLastIndex(
      (one, index) => index > 0 && one.signedAt - (group[index - 1]?.signedAt ?? 0n) >= seconds,
    )
    const held = group.slice(Math.max(0, since))
    if ((held.at(-1)?.signedAt ?? 0n) <= now - seconds) continue
    const amounts = held.map(({ moved }) =>
      moved
        .filter((one) => one.token === token)
        .reduce((most, { amount }) => (amount > most ? amount : most), 0n),
    )
    total += amounts.reduce((most, amount) => (amount > most ? amount : most), 0n)
  }
  return total
}

describe('createSpendWindow', () => {
  test('is what its definition says, whatever is signed and when', () => {
    fc.assert(
      fc.property(movings, fc.bigInt(0n, 120n), (list, later) => {
        const seconds = 100
        const window = createSpendWindow(seconds)
        const all: Moving[] = []
        let now = 1_000n
        for (const { nonce, wait, moved } of list) {
          now += wait
          const distinct = moved.filter(
            ({ token }, index) => moved.findIndex((one) => one.token === token) === index,
          )
          const moving = { nonce, signedAt: now, moved: distinct }
          window.add(moving)
          all.push(moving)
        }
        now += later
        for (const token of tokens)
          expect(window.totalWith({ nonce: 99n, signedAt: now, moved: [] }, token)).toBe(
            totalOf(all, now, BigInt(seconds), token),
          )
      }),
      { numRuns: 1_000 },
    )
  })

  test('counts what is asked on top, but on its own nonce only what is more', () => {
    const window = createSpendWindow(100)
    const moving = (nonce: bigint, amount: bigint): Moving => ({
      nonce,
      signedAt: 10n,
      moved: [{ token: 'USDC', amount }],
    })
    window.add(moving(1n, 50n))
    expect(window.totalWith(moving(2n, 30n), 'USDC')).toBe(80n)
    expect(window.totalWith(moving(1n, 30n), 'USDC')).toBe(50n)
    expect(window.totalWith(moving(1n, 70n), 'USDC')).toBe(70n)
    // Asking changes nothing.
    expect(window.totalWith(moving(3n, 0n), 'USDC')).toBe(50n)
    expect(window.totalWith({ ...moving(3n, 0n), signedAt: 109n }, 'USDC')).toBe(50n)
    expect(window.totalWith({ ...moving(3n, 0n), signedAt: 110n }, 'USDC')).toBe(0n)
  })
})
