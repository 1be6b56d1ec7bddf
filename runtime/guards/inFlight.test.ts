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

  it('lets a rescue, and nothing else, pass what can change nothing any more', () => {
    const stuck = withPast({ inFlight: 1, inert: 1 })
    expect(inFlight(stuck, intents.deleverage, null).allowed).toBe(true)
    expect(inFlight(stuck, intents.swap, null)).toMatchObject({ code: 'ATTEMPT_IN_FLIGHT', observed: '1' })
    const another = withPast({ inFlight: 2, inert: 1 })
    expect(inFlight(another, intents.deleverage, null)).toMatchObject({
      code: 'ATTEMPT_IN_FLIGHT',
      observed: '1',
    })
  })
})
