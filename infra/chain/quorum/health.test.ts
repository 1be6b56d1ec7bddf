import { describe, expect, test } from 'vitest'
import { manualClock } from '../../../runtime/core/clock.ts'
import { RpcAnswer, RpcSilence } from '../rpc.ts'
import { createHealth } from './health.ts'

const silence = () => new RpcSilence('eth_call', 'host', 'reset', true)
const limited = (retryAfter: number | null) =>
  new RpcSilence('eth_call', 'host', 'HTTP status 429', true, { retryAfter })

/** A node that has failed so often that it rests, since time 0. */
function resting() {
  const clock = manualClock(0)
  const health = createHealth(clock)
  for (let failure = 0; failure < 3; failure++) health.failed(silence())
  return { clock, health }
}

describe('health', () => {
  test('bears two failures in a row, and as many as come between successes', () => {
    const health = createHealth(manualClock(0))
    for (let round = 0; round < 10; round++) {
      health.failed(silence())
      health.failed(silence())
      expect(health.sound()).toBe(true)
      health.succeeded(5)
    }
    expect(health.counts).toMatchObject({ requests: 30, failures: 20, lastFailure: 'no answer (reset)' })
  })

  test('rests after three, and then allows one trial at a time', () => {
    const { clock, health } = resting()
    expect(health.admit()).toBe(false)
    clock.advance(999)
    expect(health.admit()).toBe(false)
    clock.advance(1)
    expect([health.admit(), health.admit(), health.admit()]).toEqual([true, false, false])
    expect(health.sound()).toBe(false)
  })

  test('a trial that goes well ends the rest', () => {
    const { clock, health } = resting()
    clock.advance(1_000)
    health.admit()
    health.succeeded(5)
    expect([health.sound(), health.admit(), health.admit()]).toEqual([true, true, true])
  })

  test('rests get longer with every trial that fails, up to half a minute', () => {
    const { clock, health } = resting()
    const rests: number[] = []
    for (let trial = 0; trial < 8; trial++) {
      let waited = 0
      while (!health.admit()) {
        clock.advance(500)
        waited += 500
      }
      rests.push(waited)
      health.failed(silence())
    }
    expect(rests).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
  })

  test('what was under way when a rest began does not make it longer', () => {
    const { clock, health } = resting()
    for (let late = 0; late < 20; late++) health.failed(silence())
    clock.advance(1_000)
    expect(health.admit()).toBe(true)
  })

  test('leaves a node alone for as long as it asks for, within reason', () => {
    for (const [asked, rest] of [
      [7_000, 7_000],
      [null, 1_000],
      [10 ** 12, 600_000],
    ] as const) {
      const clock = manualClock(0)
      const health = createHealth(clock)
      health.failed(limited(asked))
      expect(health.counts).toMatchObject({ failures: 0, limited: 1 })
      clock.advance(rest - 1)
      expect(health.admit()).toBe(false)
      clock.advance(1)
      expect(health.admit()).toBe(true)
    }
  })

  test.each([
    [-32005, 'limit exceeded'],
    [-32007, '50/second request limit reached'],
    [-32000, 'Your app has exceeded its compute units per second capacity'],
    [429, 'Too Many Requests'],
  ])('knows a limit by what nodes say (%i %s)', (code, said) => {
    const health = createHealth(manualClock(0))
    health.failed(new RpcAnswer('eth_call', 'host', code, said, undefined))
    expect(health.counts.limited).toBe(1)
    expect(health.admit()).toBe(false)
  })
})
