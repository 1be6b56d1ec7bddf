import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createBodyBudget } from './bodyBudget.ts'

const never = () => expect.unreachable()

describe('a budget of bodies', () => {
  it('counts what each body takes now, until it is released', () => {
    const budget = createBodyBudget(100)
    const [one, other] = [{}, {}]
    expect(budget.take(one, 40, 0, never)).toBe(true)
    expect(budget.take(other, 20, 0, never)).toBe(true)
    expect(budget.take(one, 80, 0, never)).toBe(true)
    expect(budget.held).toBe(100)
    budget.release(one)
    budget.release(one)
    expect(budget.held).toBe(20)
    budget.release({})
    expect(budget.held).toBe(20)
  })

  it('makes room by giving up the body that has come at the lowest rate', () => {
    let time = 0
    const budget = createBodyBudget(100, () => time)
    const given: string[] = []
    const giveUp = (name: string) => (fault: 'crowded') => {
      given.push(`${name} ${fault}`)
    }
    // A large one that has stopped, and a small one that goes on.
    expect(budget.take({}, 60, 0, giveUp('stopped'))).toBe(true)
    time = 900
    expect(budget.take({}, 40, 800, giveUp('fast'))).toBe(true)
    time = 1_000
    expect(budget.take({}, 30, 990, giveUp('new'))).toBe(true)
    expect(given).toEqual(['stopped crowded'])
    expect(budget.held).toBe(70)
  })

  it('refuses the body that asks where that one is the slowest', () => {
    let time = 0
    const budget = createBodyBudget(100, () => time)
    const asking = {}
    expect(budget.take(asking, 20, 0, never)).toBe(true)
    time = 1_000
    expect(budget.take({}, 80, 990, never)).toBe(true)
    expect(budget.take(asking, 40, 0, never)).toBe(false)
    expect(budget.held).toBe(80)
  })

  it('gives up none that is whole, and refuses one that never fits', () => {
    let time = 0
    const budget = createBodyBudget(100, () => time)
    const whole = {}
    expect(budget.take(whole, 90, 0, never)).toBe(true)
    budget.keep(whole)
    time = 1_000
    expect(budget.take({}, 20, 999, never)).toBe(false)
    expect(budget.held).toBe(90)
    budget.release(whole)
    expect(budget.take({}, 101, 999, never)).toBe(false)
    expect(budget.held).toBe(0)
  })

  it('never counts more than its limit, and exactly what is not yet released', () => {
    const step = fc.record({
      owner: fc.nat(7),
      bytes: fc.nat(60),
      what: fc.constantFrom('take', 'keep', 'end'),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let time = 0
        const budget = createBodyBudget(100, () => time)
        const owners = Array.from({ length: 8 }, () => ({}))
        const model = new Map<object, number>()
        for (const { owner: at, bytes, what } of steps) {
          const owner = owners[at] ?? {}
          time += 1
          if (what === 'end') {
            model.delete(owner)
            budget.release(owner)
          } else if (what === 'keep') budget.keep(owner)
          else if (budget.take(owner, bytes, at, () => model.delete(owner))) model.set(owner, bytes)
          else model.delete(owner)
          expect(budget.held).toBe([...model.values()].reduce((sum, each) => sum + each, 0))
          expect(budget.held).toBeLessThanOrEqual(100)
        }
      }),
    )
  })
})
