import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Spend } from '../change/spend.ts'
import type { NullifierStore } from './nullifierStore.ts'

/** A spend of random tokens. */
export const randomSpend = (count = 4): Spend => ({
  nullifiers: Array.from({ length: count }, () => randomBytes(32)),
  binding: randomBytes(32),
})

const code = (value: string) => expect.objectContaining({ code: value })

/** What every nullifier store must do; the numbers are those of the musts in `nullifierStore.ts`. */
export function nullifierStoreSuite(name: string, open: () => Promise<NullifierStore>): void {
  describe(`nullifier store: ${name}`, () => {
    let store: NullifierStore
    beforeEach(async () => {
      store = await open()
    })
    afterEach(() => store.close())

    it('1, 5: reserves all nullifiers of a spend or none', async () => {
      const first = randomSpend(2)
      expect(await store.reserve(first)).toEqual({ kind: 'fresh' })
      const fresh = randomBytes(32)
      for (const nullifiers of [
        [fresh, ...first.nullifiers],
        [...first.nullifiers.slice(0, 1), fresh],
      ])
        await expect(store.reserve({ nullifiers, binding: first.binding })).rejects.toThrow(
          code('NULLIFIER_SPENT'),
        )
      expect(await store.reserve({ nullifiers: [fresh], binding: randomBytes(32) })).toEqual({
        kind: 'fresh',
      })
    })

    it('2: lets one of many spends of a token through, however many come at once', async () => {
      for (let round = 0; round < 20; round++) {
        const shared = randomBytes(32)
        const spends = Array.from({ length: 50 }, () => {
          const { nullifiers, binding } = randomSpend(3)
          return { nullifiers: [...nullifiers, shared], binding }
        })
        const results = await Promise.allSettled(spends.map((spend) => store.reserve(spend)))
        const fresh = results.filter(({ status }) => status === 'fulfilled')
        expect(fresh).toEqual([{ status: 'fulfilled', value: { kind: 'fresh' } }])
        for (const result of results)
          if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'NULLIFIER_SPENT' })
      }
    })

    it('2, 4: answers fresh once to the same spend sent many times at once', async () => {
      const spend = randomSpend()
      const results = await Promise.all(Array.from({ length: 50 }, () => store.reserve(spend)))
      expect(results.filter(({ kind }) => kind === 'fresh')).toHaveLength(1)
    })

    it('4: knows a spend again in any order, and its change', async () => {
      const spend = randomSpend()
      await store.reserve(spend)
      const again = { ...spend, nullifiers: spend.nullifiers.toReversed() }
      expect(await store.reserve(again)).toEqual({ kind: 'repeated', change: null })
      await store.settle(again, 3)
      expect(await store.reserve(spend)).toEqual({ kind: 'repeated', change: 3 })
    })

    it('5: refuses a token with another binding or with fewer others', async () => {
      const spend = randomSpend()
      await store.reserve(spend)
      for (const other of [
        { ...spend, binding: randomBytes(32) },
        { ...spend, nullifiers: spend.nullifiers.slice(1) },
      ])
        await expect(store.reserve(other)).rejects.toThrow(code('NULLIFIER_SPENT'))
    })

    it('5: is not moved by what its caller writes into the buffers later', async () => {
      const spend = randomSpend()
      const given = {
        nullifiers: spend.nullifiers.map((each) => Buffer.from(each)),
        binding: Buffer.from(spend.binding),
      }
      await store.reserve(given)
      given.binding.fill(0)
      for (const each of given.nullifiers) each.fill(0)
      expect(await store.reserve(spend)).toEqual({ kind: 'repeated', change: null })
    })

    it('6: refuses a spend of nothing, or of one token twice', async () => {
      const [one = randomBytes(32)] = randomSpend().nullifiers
      for (const nullifiers of [[], [one, one]])
        await expect(store.reserve({ nullifiers, binding: randomBytes(32) })).rejects.toThrow(
          code('NULLIFIER_TWICE'),
        )
      expect(await store.reserve({ nullifiers: [one], binding: randomBytes(32) })).toEqual({ kind: 'fresh' })
    })

    it('7: settles what is reserved, once', async () => {
      const spend = randomSpend()
      await expect(store.settle(spend, 1)).rejects.toThrow(code('SPEND_UNKNOWN'))
      await store.reserve(spend)
      await store.settle(spend, 1)
      await store.settle(spend, 1)
      await expect(store.settle(spend, 2)).rejects.toThrow(code('SPEND_SETTLED'))
      await expect(store.settle({ ...spend, binding: randomBytes(32) }, 1)).rejects.toThrow(
        code('NULLIFIER_SPENT'),
      )
      await expect(store.settle({ ...randomSpend(), binding: spend.binding }, 1)).rejects.toThrow(
        code('SPEND_UNKNOWN'),
      )
    })

    it('9: tells what is spent and reserves nothing by it', async () => {
      const spend = randomSpend(2)
      for (const nullifier of spend.nullifiers) expect(await store.isSpent(nullifier)).toBe(false)
      const reserved = store.reserve(spend)
      const asked = Promise.all(spend.nullifiers.map((each) => store.isSpent(each)))
      expect(await reserved).toEqual({ kind: 'fresh' })
      expect(await asked).toEqual([true, true])
      await expect(store.isSpent(randomBytes(31))).rejects.toThrow(code('TOKEN_FORMAT'))
    })

    it('7: settles no more than was spent', async () => {
      const spend = randomSpend(2)
      await store.reserve(spend)
      for (const change of [3, -1, 0.5])
        await expect(store.settle(spend, change)).rejects.toThrow(code('INVARIANT'))
      await store.settle(spend, 2)
    })
  })
}
