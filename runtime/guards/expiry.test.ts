import { describe, expect, it } from 'vitest'
import { expiry } from './expiry.ts'
import { planOf } from './guardPlans.fixture.ts'
import { BLOCK, context, intents } from './guardScene.fixture.ts'

const until = (expiresAtBlock: bigint) => ({ ...intents.swap, expiresAtBlock })

describe('expiry', () => {
  it('allows an intent whose last block is the next one, and denies one whose last block is now', () => {
    expect(expiry(context, until(BLOCK + 1n), null).allowed).toBe(true)
    expect(expiry(context, until(BLOCK), null)).toMatchObject({
      code: 'INTENT_EXPIRED',
      limit: '1001',
      observed: '1000',
    })
  })

  it('allows an intent up to the bound of the policy and not a block further', () => {
    expect(expiry(context, until(BLOCK + 10n), null).allowed).toBe(true)
    expect(expiry(context, until(BLOCK + 11n), null)).toMatchObject({ code: 'EXPIRY_TOO_FAR', limit: '1010' })
  })

  it('holds the plan to its own bound', () => {
    const plan = (lastValidBlock: bigint) => planOf(intents.swap, { plan: { lastValidBlock } })
    expect(expiry(context, intents.swap, plan(BLOCK + 3n)).allowed).toBe(true)
    expect(expiry(context, intents.swap, plan(BLOCK + 4n))).toMatchObject({
      code: 'EXPIRY_TOO_FAR',
      limit: '1003',
    })
    expect(expiry(context, intents.swap, plan(BLOCK + 1n)).allowed).toBe(true)
    expect(expiry(context, intents.swap, plan(BLOCK))).toMatchObject({ code: 'INTENT_EXPIRED' })
  })
})
