import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RialtoError } from '../../../../runtime/core/errors.ts'
import { CHANGE_DIGEST_LENGTH } from '../change/changeDigest.ts'
import type { Spend } from '../change/spend.ts'
import { memoryNullifiers } from './memoryNullifiers.ts'
import type { NullifierStore } from './nullifierStore.ts'

/** A spend of random tokens. */
export const randomSpend = (count = 4): Spend => ({
  nullifiers: Array.from({ length: count }, () => randomBytes(32)),
  binding: randomBytes(32),
})

/** The digests of that many blinded messages. */
export const randomDigests = (count: number): readonly Uint8Array[] =>
  Array.from({ length: count }, () => randomBytes(CHANGE_DIGEST_LENGTH))

/** What a store answers to a spend that is reserved and not settled. */
export const unsettledBy = (owner: string) => ({
  kind: 'repeated',
  change: null,
  owner,
  age: expect.toSatisfy((age: unknown) => typeof age === 'number' && age >= 0),
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
      expect(await store.reserve(again)).toEqual(unsettledBy(store.owner))
      await store.settle(again, 3, randomDigests(3))
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
      expect(await store.reserve(spend)).toEqual(unsettledBy(store.owner))
    })

    it('6: refuses a spend of nothing, or of one token twice', async () => {
      const [one = randomBytes(32)] = randomSpend().nullifiers
      for (const nullifiers of [[], [one, one]])
        await expect(store.reserve({ nullifiers, binding: randomBytes(32) })).rejects.toThrow(
          code('NULLIFIER_TWICE'),
        )
      expect(await store.reserve({ nullifiers: [one], binding: randomBytes(32) })).toEqual({ kind: 'fresh' })
    })

    it('4: gives many who repeat a spend at once one answer', async () => {
      const spend = randomSpend()
      await store.reserve(spend)
      await store.settle(spend, 1, randomDigests(1))
      const results = await Promise.all(Array.from({ length: 50 }, () => store.reserve(spend)))
      expect(results).toEqual(results.map(() => ({ kind: 'repeated', change: 1 })))
    })

    it('2, 5: judges spends that overlap in a chain one by one', async () => {
      for (let round = 0; round < 20; round++) {
        const tokens = Array.from({ length: 9 }, () => randomBytes(32))
        const spends = tokens.slice(1).map((token, at) => ({
          nullifiers: [token, ...tokens.slice(at, at + 1)],
          binding: randomBytes(32),
        }))
        const results = await Promise.allSettled(spends.map((spend) => store.reserve(spend)))
        const isFresh = results.map(({ status }) => status === 'fulfilled')
        // Whoever is refused has a neighbour that is not, and no two neighbours are both fresh.
        for (const [at, fresh] of isFresh.entries()) {
          const neighbours = [isFresh[at - 1] ?? false, isFresh[at + 1] ?? false]
          expect(neighbours.includes(true)).toBe(!fresh)
        }
        const spent = await Promise.all(tokens.map((token) => store.isSpent(token)))
        expect(spent).toEqual(tokens.map((_, at) => Boolean(isFresh[at - 1] || isFresh[at])))
      }
    })

    it('7: settles what is reserved, once', async () => {
      const spend = randomSpend()
      const [one, two] = [randomDigests(1), randomDigests(2)]
      await expect(store.settle(spend, 1, one)).rejects.toThrow(code('SPEND_UNKNOWN'))
      await store.reserve(spend)
      await store.settle(spend, 1, one)
      await store.settle(spend, 1, one)
      await expect(store.settle(spend, 2, two)).rejects.toThrow(code('SPEND_SETTLED'))
      await expect(store.settle(spend, 1, randomDigests(1))).rejects.toThrow(code('SPEND_SETTLED'))
      await expect(store.settle({ ...spend, binding: randomBytes(32) }, 1, one)).rejects.toThrow(
        code('NULLIFIER_SPENT'),
      )
      const stranger = { ...randomSpend(), binding: spend.binding }
      await expect(store.settle(stranger, 1, one)).rejects.toThrow(code('SPEND_UNKNOWN'))
      const mixed = { nullifiers: [...spend.nullifiers, randomBytes(32)], binding: spend.binding }
      await expect(store.settle(mixed, 1, one)).rejects.toThrow(code('SPEND_UNKNOWN'))
      expect(await store.reserve(spend)).toEqual({ kind: 'repeated', change: 1 })
    })

    it('7: records one of many settlements of a spend that come at once', async () => {
      const spend = randomSpend()
      await store.reserve(spend)
      const results = await Promise.allSettled(
        [0, 1, 2, 3, 4].map((change) => store.settle(spend, change, randomDigests(change))),
      )
      const recorded = results.flatMap(({ status }, change) => (status === 'fulfilled' ? [change] : []))
      expect(recorded).toHaveLength(1)
      expect(await store.reserve(spend)).toEqual({ kind: 'repeated', change: recorded[0] })
    })

    it('7: settles no more than was spent, and no digest too many, too few or twice', async () => {
      const spend = randomSpend(2)
      await store.reserve(spend)
      const [digest] = randomDigests(1) as [Uint8Array]
      for (const change of [3, -1, 0.5])
        await expect(store.settle(spend, change, randomDigests(3))).rejects.toThrow(code('INVARIANT'))
      for (const digests of [[], [digest], [digest, Buffer.from(digest)], randomDigests(3)])
        await expect(store.settle(spend, 2, digests)).rejects.toThrow(code('INVARIANT'))
      await expect(store.settle(spend, 1, [randomBytes(15)])).rejects.toThrow(code('TOKEN_FORMAT'))
      expect(await store.reserve(spend)).toEqual(unsettledBy(store.owner))
      await store.settle(spend, 2, randomDigests(2))
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

    it('10: tells who reserved what is not settled, and how long ago', async () => {
      const spend = randomSpend()
      await store.reserve(spend)
      const again = async () => {
        const reservation = await store.reserve(spend)
        if (reservation.kind === 'fresh' || reservation.change !== null) return expect.unreachable()
        expect(reservation.owner).toBe(store.owner)
        return reservation.age
      }
      const ages = [await again(), await again(), await again()]
      expect(ages).toEqual(ages.toSorted((a, b) => a - b))
      expect(ages[0]).toBeGreaterThanOrEqual(0)
    })

    it('11: tells what was signed as change, and nothing else', async () => {
      const [spend, other] = [randomSpend(), randomSpend()]
      const [signed, alien] = [randomDigests(3), randomDigests(3)]
      await Promise.all([store.reserve(spend), store.reserve(other)])
      for (const digest of signed) expect(await store.wasSigned(digest)).toBe(false)
      await store.settle(spend, 3, signed)
      await store.settle(other, 0, [])
      await expect(store.settle(spend, 2, alien.slice(0, 2))).rejects.toThrow(code('SPEND_SETTLED'))
      await expect(store.settle(randomSpend(), 3, alien)).rejects.toThrow(code('SPEND_UNKNOWN'))
      expect(await Promise.all(signed.map((digest) => store.wasSigned(digest)))).toEqual([true, true, true])
      expect(await Promise.all(alien.map((digest) => store.wasSigned(digest)))).toEqual([false, false, false])
      await expect(store.wasSigned(randomBytes(32))).rejects.toThrow(code('TOKEN_FORMAT'))
    })

    it('11: settles two spends of which both ask for change on one message', async () => {
      const [spend, other] = [randomSpend(), randomSpend()]
      const digests = randomDigests(2)
      await Promise.all([store.reserve(spend), store.reserve(other)])
      await Promise.all([store.settle(spend, 2, digests), store.settle(other, 2, digests.toReversed())])
      for (const each of [spend, other])
        expect(await store.reserve(each)).toEqual({ kind: 'repeated', change: 2 })
      expect(await Promise.all(digests.map((digest) => store.wasSigned(digest)))).toEqual([true, true])
    })

    it('agrees with the twin in memory on whatever happens one after the other', async () => {
      const place = fc.nat(5)
      const spend = fc.record({ tokens: fc.uniqueArray(place, { maxLength: 3 }), binding: fc.nat(1) })
      const step = fc.oneof(
        fc.record({ kind: fc.constant('reserve' as const), spend }),
        fc.record({
          kind: fc.constant('settle' as const),
          spend,
          change: fc.nat(3),
          digests: fc.uniqueArray(place, { maxLength: 3 }),
        }),
        fc.record({ kind: fc.constant('isSpent' as const), place }),
        fc.record({ kind: fc.constant('wasSigned' as const), place }),
      )
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
          // A universe of its own for every run, since nothing is ever forgotten.
          const tokens = Array.from({ length: 6 }, () => randomBytes(32))
          const bindings = [randomBytes(32), randomBytes(32)]
          const digests = randomDigests(6)
          const pick = (all: readonly Uint8Array[], at: number) => all[at] ?? randomBytes(32)
          const toSpend = (given: { tokens: readonly number[]; binding: number }): Spend => ({
            nullifiers: given.tokens.map((at) => pick(tokens, at)),
            binding: pick(bindings, given.binding),
          })
          const twin = memoryNullifiers({ owner: store.owner })
          for (const each of steps) {
            const [answer, expected] = await Promise.all(
              [store, twin].map(async (judge) => {
                try {
                  if (each.kind === 'isSpent') return await judge.isSpent(pick(tokens, each.place))
                  if (each.kind === 'wasSigned') return await judge.wasSigned(pick(digests, each.place))
                  if (each.kind === 'reserve') {
                    const reservation = await judge.reserve(toSpend(each.spend))
                    return 'age' in reservation ? { ...reservation, age: null } : reservation
                  }
                  const signed = each.digests.map((at) => pick(digests, at))
                  return (await judge.settle(toSpend(each.spend), each.change, signed)) ?? 'settled'
                } catch (error) {
                  return error instanceof RialtoError ? error.code : expect.unreachable(String(error))
                }
              }),
            )
            expect(answer).toEqual(expected)
          }
        }),
        { numRuns: 60 },
      )
    })
  })
}
