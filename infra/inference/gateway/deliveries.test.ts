import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AnswerBudget, Delivery, type DeliveryReader } from './deliveries.ts'

const budgetOf = (fields: Partial<AnswerBudget> = {}): AnswerBudget => ({
  keptPerAnswer: 1_000,
  kept: 10_000,
  backlog: 400,
  used: 0,
  ...fields,
})
const bytes = (length: number, from = 0): Uint8Array => Buffer.alloc(length, `${from} and so on, `)

/** All that a reader can take now. */
function drain(reader: DeliveryReader): { read: Buffer; last: boolean } {
  const parts: Uint8Array[] = []
  let last = false
  for (let next = reader.take(); next !== undefined; next = reader.take()) {
    parts.push(next.bytes)
    last = next.last
  }
  return { read: Buffer.concat(parts), last }
}

describe('an answer that is kept', () => {
  it('is read from the beginning, whenever one comes and however it was cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 10 }),
        fc.array(fc.nat(10), { maxLength: 5 }),
        (lengths, arrivals) => {
          const delivery = new Delivery(budgetOf({ keptPerAnswer: 1e6, kept: 1e6 }))
          const readers: { reader: DeliveryReader; read: Buffer[] }[] = []
          const whole = Buffer.concat(lengths.map((length, at) => bytes(length, at)))
          lengths.forEach((length, at) => {
            for (const arrival of arrivals) {
              const reader = arrival === at ? delivery.attach() : undefined
              if (reader !== undefined) readers.push({ reader, read: [] })
            }
            if (at === lengths.length - 1) delivery.end(bytes(length, at))
            else delivery.write(bytes(length, at))
            for (const each of readers) each.read.push(drain(each.reader).read)
          })
          const late = delivery.attach()
          const caughtUp = late && drain(late)
          expect(caughtUp?.last).toBe(true)
          expect(caughtUp?.read.equals(whole)).toBe(true)
          for (const { read } of readers) expect(Buffer.concat(read).equals(whole)).toBe(true)
          expect(Buffer.from(delivery.whole ?? []).equals(whole)).toBe(true)
        },
      ),
    )
  })

  it('gives its memory back when it is forgotten and the last reader has left', () => {
    const budget = budgetOf()
    const delivery = new Delivery(budget)
    delivery.write(bytes(300))
    const reader = delivery.attach()
    delivery.end(bytes(200))
    delivery.forget()
    expect(budget.used).toBe(500)
    expect(reader && drain(reader).read.length).toBe(500)
    reader?.leave()
    expect(budget.used).toBe(0)
  })

  it('never holds back what writes it', () => {
    const delivery = new Delivery(budgetOf())
    const holds: boolean[] = []
    delivery.onHold = (hold) => holds.push(hold)
    delivery.attach()
    delivery.write(bytes(1_000))
    expect(holds).toEqual([])
  })
})

describe('an answer that is too large to keep', () => {
  it('is there for those who read it, and for nobody who comes late', () => {
    const budget = budgetOf()
    const delivery = new Delivery(budget)
    const reader = delivery.attach()
    delivery.write(bytes(900))
    delivery.write(bytes(900))
    expect(delivery.attach()).toBeDefined()
    expect(reader && drain(reader).read.length).toBe(1_800)
    expect(delivery.attach()).toBeDefined()
    delivery.cutReaders()
    expect(budget.used).toBe(0)
    expect(delivery.attach()).toBeUndefined()
    delivery.end(bytes(10))
    expect(delivery.whole).toBeUndefined()
  })

  it('is held back while its slowest reader has much to take', () => {
    const delivery = new Delivery(budgetOf())
    const holds: boolean[] = []
    delivery.onHold = (hold) => holds.push(hold)
    const fast = delivery.attach()
    const slow = delivery.attach()
    for (let at = 0; at < 12; at++) delivery.write(bytes(100))
    expect(holds).toEqual([true])
    if (fast !== undefined) drain(fast)
    expect(holds).toEqual([true])
    if (slow !== undefined) drain(slow)
    expect(holds).toEqual([true, false])
    for (let at = 0; at < 5; at++) delivery.write(bytes(100))
    expect(holds).toEqual([true, false, true])
    fast?.leave()
    slow?.leave()
    expect(holds).toEqual([true, false, true, false])
  })

  it('counts with all others', () => {
    const budget = budgetOf({ kept: 1_500 })
    const one = new Delivery(budget)
    const other = new Delivery(budget)
    one.write(bytes(900))
    other.write(bytes(900))
    expect(budget.used).toBe(900)
    expect(one.attach()).toBeDefined()
    expect(other.attach()).toBeUndefined()
  })
})

describe('a reader', () => {
  it('is woken by what is written, by a break and by a cut', async () => {
    for (const wake of [
      (delivery: Delivery) => delivery.write(bytes(1)),
      (delivery: Delivery) => delivery.break(),
      (delivery: Delivery) => delivery.cutReaders(),
    ]) {
      const delivery = new Delivery(budgetOf())
      const reader = delivery.attach()
      const woken = reader?.more()
      wake(delivery)
      await woken
      expect(reader?.broken).toBe(reader?.take() === undefined)
    }
  })

  it('is told when it is cut off, and not when it leaves', () => {
    const delivery = new Delivery(budgetOf())
    const cuts: string[] = []
    delivery.attach(() => cuts.push('a'))
    const leaving = delivery.attach(() => cuts.push('b'))
    leaving?.leave()
    delivery.cutReaders()
    expect(cuts).toEqual(['a'])
  })
})

it('tells what became of the spend once', async () => {
  const delivery = new Delivery(budgetOf())
  delivery.settle({ kind: 'settled', change: 'x' })
  delivery.break()
  expect(await delivery.outcome).toEqual({ kind: 'settled', change: 'x' })
})
