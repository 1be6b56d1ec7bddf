import { describe, expect, it } from 'vitest'
import type { Effects } from '../../core/lifecycle.ts'
import { bps, usd, wad } from '../../core/units.ts'
import { driftOf } from './drift.ts'

const account = `0x${'a1'.repeat(20)}` as const
const token = `0x${'b2'.repeat(20)}` as const
const spender = `0x${'c3'.repeat(20)}` as const

const position = (healthFactor: bigint) => ({
  totalCollateral: usd(0n),
  totalDebt: usd(0n),
  availableBorrows: usd(0n),
  liquidationThreshold: bps(0n),
  ltv: bps(0n),
  healthFactor: wad(healthFactor),
})

/** A plan that pays 100 of a token, costs 10 dollars of 10,000, and lifts a health factor of 1.1 to 1.3. */
const shown: Effects = {
  gasUsed: 500n,
  balances: [
    { account, token, before: 1_000n, after: 900n },
    { account, token: null, before: 50n, after: 50n },
  ],
  allowances: [{ token, owner: account, spender, before: 7n, after: 0n }],
  position: { before: position(11n * 10n ** 17n), after: position(13n * 10n ** 17n) },
  equity: { before: 10_000n, after: 9_990n },
  logCount: 3,
}
const limits = { maxDeviation: bps(100n) }
const drift = (changes: Partial<Effects>) =>
  driftOf(shown, { ...shown, ...changes }, { gasLimit: 650n }, limits)

describe('driftOf', () => {
  it('finds none where nothing changed, or all is better', () => {
    expect(drift({})).toBeNull()
    expect(
      drift({
        gasUsed: 400n,
        equity: { before: 10_000n, after: 10_001n },
        position: { ...shown.position, after: position(2n * 10n ** 18n) },
        balances: [{ account, token, before: 500n, after: 499n - 2n }],
      }),
    ).toBeNull()
  })

  it.each<[string, Partial<Effects>, RegExp]>([
    [
      'a balance goes the other way',
      { balances: [{ account, token, before: 1_000n, after: 1_100n }] },
      /^the balance of 0xa1.* changes by 100, and -100 was shown$/,
    ],
    ['a balance that was to move stays', { balances: [] }, /changes by 0, and -100 was shown/],
    [
      'a token moves that was not shown',
      { balances: [...shown.balances, { account, token: spender, before: 9n, after: 0n }] },
      /in 0xc3.* changes by -9, and 0 was shown/,
    ],
    [
      'the native coin moves',
      { balances: [...shown.balances.slice(0, 1), { account, token: null, before: 50n, after: 40n }] },
      /in 0x0{40} changes by -10/,
    ],
    [
      'somebody keeps an allowance',
      { allowances: [{ token, owner: account, spender, before: 0n, after: 7n }] },
      /^the allowance of 0xa1.* for 0xc3.* changes by 7, and -7 was shown$/,
    ],
    // 10 dollars were shown, and 1 % of 10,000 is 100.
    ['it loses more', { equity: { before: 10_000n, after: 10_000n - 111n } }, /loses .*, and .* was shown/],
    [
      'it helps less',
      { position: { ...shown.position, after: position(1_287n * 10n ** 15n - 1n) } },
      /health factor would be 1\.28/,
    ],
    ['it takes more gas than its limit', { gasUsed: 651n }, /takes 651 gas, and 650 were approved/],
  ])('finds that %s', (_what, changes, said) => {
    expect(drift(changes)).toMatch(said)
  })

  it('lets both stand at the bound itself', () => {
    expect(drift({ equity: { before: 10_000n, after: 10_000n - 110n } })).toBeNull()
    expect(drift({ position: { ...shown.position, after: position(1_287n * 10n ** 15n) } })).toBeNull()
    expect(drift({ gasUsed: 650n })).toBeNull()
  })

  it('takes what a growing balance is rounded by for no movement', () => {
    const grown = [...shown.balances, { account, token: spender, before: 100n, after: 102n }]
    expect(drift({ balances: grown })).toBeNull()
  })
})
