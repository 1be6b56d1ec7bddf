import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TokenBook, type TokenPhase, type WalletToken } from './tokenBook.ts'

const phases: readonly TokenPhase[] = ['requested', 'ready', 'spending']
const token = (issuer: number, counter: number, state: TokenPhase): WalletToken => ({
  issuer,
  counter,
  state,
  authenticator: null,
  spend: null,
})

/** A book with so many ready tokens of issuer 0. */
function bookOf(count: number): TokenBook {
  const book = new TokenBook()
  for (let counter = 0; counter < count; counter++) book.add(token(0, counter, 'ready'))
  return book
}

describe("a wallet's tokens", () => {
  it('are counted and drawn as if each were looked at, after any steps', () => {
    const step = fc.record({
      kind: fc.constantFrom('add', 'change', 'delete', 'draw'),
      issuer: fc.nat(1),
      counter: fc.nat(9),
      state: fc.constantFrom(...phases),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const book = new TokenBook()
        const model = new Map<string, WalletToken>()
        for (const { kind, issuer, counter, state } of steps) {
          const key = `${issuer}/${counter}`
          if (kind === 'add') {
            model.delete(key)
            model.set(key, token(issuer, counter, state))
            book.add(token(issuer, counter, state))
          } else if (kind === 'change') {
            const known = model.get(key)
            if (known === undefined)
              expect(() => book.change(issuer, counter, { state })).toThrow(/cannot change/)
            else {
              known.state = state
              book.change(issuer, counter, { state })
            }
          } else if (kind === 'delete') {
            model.delete(key)
            book.delete(issuer, counter)
          } else {
            const ready = [...model.values()].filter(
              (each) => each.issuer === issuer && each.state === 'ready',
            )
            const drawn = book.draw(issuer, counter)
            expect(drawn).toHaveLength(Math.min(counter, ready.length))
            expect(new Set(drawn).size).toBe(drawn.length)
            for (const each of drawn) expect(ready.map((one) => one.counter)).toContain(each)
          }
          expect([...book.all()]).toEqual([...model.values()])
          expect(book.get(issuer, counter)).toEqual(model.get(key))
          for (const of of [0, 1])
            for (const phase of phases)
              expect(book.count(of)[phase]).toBe(
                [...model.values()].filter((each) => each.issuer === of && each.state === phase).length,
              )
        }
      }),
    )
  })

  it('are drawn with the same chance each, whatever was drawn and put back before', () => {
    const book = bookOf(10)
    const times = new Array<number>(10).fill(0)
    const rounds = 10_000
    for (let round = 0; round < rounds; round++)
      for (const counter of book.draw(0, 3)) {
        times[counter] = (times[counter] ?? 0) + 1
        book.change(0, counter, { state: 'spending' })
        book.change(0, counter, { state: 'ready' })
      }
    // 3,000 times each; eight standard deviations of 46 are crossed once in 10^15 runs.
    for (const each of times) expect(Math.abs(each - 0.3 * rounds)).toBeLessThan(8 * 46)
  })

  it('are drawn in any order', () => {
    const book = bookOf(3)
    const orders = new Map<string, number>()
    const rounds = 6_000
    for (let round = 0; round < rounds; round++) {
      const order = book.draw(0, 3).join()
      orders.set(order, (orders.get(order) ?? 0) + 1)
    }
    expect(orders.size).toBe(6)
    // 1,000 times each, and a standard deviation of 29.
    for (const each of orders.values()) expect(Math.abs(each - rounds / 6)).toBeLessThan(8 * 29)
  })
})
