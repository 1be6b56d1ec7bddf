import { describe, expect, it } from 'vitest'
import { context, intents, withPast } from './guardScene.fixture.ts'
import { inFlight } from './inFlight.ts'

describe('inFlight', () => {
  it('allows when nothing is on its way', () => {
    expect(inFlight(context, intents.deleverage, null).allowed).toBe(true)
  })

  it('denies while an outcome is open, a rescue too', () => {
    expect(inFlight(withPast({ inFlight: 1 }), intents.deleverage, null)).toMatchObject({
      code: 'ATTEMPT_IN_FLIGHT',
      observed: '1',
    })
  })
})
