import { describe, expect, it } from 'vitest'
import { cooldown } from './cooldown.ts'
import { movingHealthFactor, planOf } from './guardPlans.fixture.ts'
import { context, intents, snapshot, withPast } from './guardScene.fixture.ts'

const ago = (seconds: bigint) => withPast({ lastActionAt: snapshot.block.timestamp - seconds })

describe('cooldown', () => {
  it('allows the first action, and one exactly as late as the policy asks', () => {
    expect(cooldown(context, intents.swap, null).allowed).toBe(true)
    expect(cooldown(ago(300n), intents.swap, null).allowed).toBe(true)
    expect(cooldown(ago(299n), intents.swap, null)).toMatchObject({
      code: 'COOLDOWN',
      limit: '300',
      observed: '299',
    })
  })

  it('does not make a rescue wait', () => {
    for (const intent of [intents.repay, intents.supply, intents.deleverage]) {
      expect(cooldown(ago(0n), intent, null).allowed).toBe(true)
      expect(cooldown(ago(0n), intent, planOf(intent)).allowed).toBe(true)
    }
  })

  it('makes wait what only calls itself a rescue', () => {
    const useless = planOf(intents.repay, { effects: movingHealthFactor('1.1', '1.1') })
    const needless = planOf(intents.repay, { effects: movingHealthFactor('1.35', '1.4') })
    const justified = planOf(intents.repay, { effects: movingHealthFactor('1.349', '1.4') })
    expect(cooldown(ago(0n), intents.repay, useless)).toMatchObject({ code: 'COOLDOWN' })
    expect(cooldown(ago(0n), intents.repay, needless)).toMatchObject({ code: 'COOLDOWN' })
    expect(cooldown(ago(0n), intents.repay, justified).allowed).toBe(true)
  })

  it('makes wait after an action that claims to be from the future', () => {
    expect(cooldown(ago(-1n), intents.swap, null)).toMatchObject({ code: 'COOLDOWN' })
  })
})
