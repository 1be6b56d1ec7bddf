import { describe, expect, it } from 'vitest'
import { usd } from '../core/units.ts'
import { drawdown } from './drawdown.ts'
import { context, dollars, intents, reading, seeing, snapshot, usdc, withPast } from './guardScene.fixture.ts'

// Wallet: 5 ETH and 10 WETH at 1,800 and 20,000 USDC; position: 72,000 less 51,000.
const EQUITY = dollars('68000')

describe('drawdown', () => {
  it('allows at the peak, above it, and without one', () => {
    expect(drawdown(context, intents.swap, null).allowed).toBe(true)
    expect(drawdown(withPast({ peakEquity: EQUITY }), intents.swap, null)).toMatchObject({ allowed: true })
    expect(drawdown(withPast({ peakEquity: dollars('1') }), intents.swap, null).allowed).toBe(true)
  })

  it('stops when equity has fallen by exactly the limit, and not before', () => {
    // 68,000 is 20 % under 85,000.
    expect(drawdown(withPast({ peakEquity: dollars('85000') }), intents.swap, null)).toMatchObject({
      code: 'DRAWDOWN',
      limit: '2000',
      observed: '2000',
    })
    const lower = usd(dollars('85000') - 1n)
    expect(drawdown(withPast({ peakEquity: lower }), intents.swap, null).allowed).toBe(true)
  })

  it('does not stop a rescue', () => {
    expect(drawdown(withPast({ peakEquity: dollars('1000000') }), intents.deleverage, null).allowed).toBe(
      true,
    )
  })

  it('denies when it cannot tell the equity', () => {
    const unpriced = seeing({ reserves: [], oracles: [reading(usdc, '1')] }, withPast({ peakEquity: EQUITY }))
    expect(drawdown(unpriced, intents.swap, null)).toMatchObject({ code: 'NOT_JUDGEABLE' })
    const unseen = seeing({ positions: [] }, withPast({ peakEquity: EQUITY }))
    expect(drawdown(unseen, intents.swap, null)).toMatchObject({ code: 'NOT_JUDGEABLE' })
  })

  it('does not need the price of a token that the account does not hold', () => {
    const [eth] = snapshot.wallet.tokens
    const tokens = [
      eth as NonNullable<typeof eth>,
      { token: usdc, balance: 0n as (typeof snapshot.wallet.tokens)[0]['balance'] },
    ]
    const oracles = snapshot.oracles.filter(({ asset }) => asset !== usdc)
    const reserves = snapshot.reserves.filter(({ asset }) => asset !== usdc)
    const seen = seeing({ wallet: { ...snapshot.wallet, tokens }, oracles, reserves })
    expect(drawdown(seen, intents.swap, null).allowed).toBe(true)
  })
})
