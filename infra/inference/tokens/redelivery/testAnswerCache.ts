import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type AnswerCache, type AnswerLimits, ENTRY_BYTES, MOST_TTL_MS } from './answerCache.ts'

const code = (value: string) => expect.objectContaining({ code: value })
const MINUTE = 60_000

/**
 * What every cache of answers must do; the numbers are those of the musts in `answerCache.ts`.
 *
 * @param open opens an empty cache
 * @param pass lets that many milliseconds pass, by the clock that the cache goes by
 */
export function answerCacheSuite(parameters: {
  readonly name: string
  readonly open: (limits: AnswerLimits) => Promise<AnswerCache>
  readonly pass: (milliseconds: number) => Promise<void>
}): void {
  const { name, open, pass } = parameters
  describe(`cache of answers: ${name}`, () => {
    let cache: AnswerCache
    const limits = { answerBytes: 1_000, totalBytes: 5 * (1_000 + ENTRY_BYTES) }
    beforeEach(async () => {
      cache = await open(limits)
    })
    afterEach(() => cache.close())

    /** Which of the bindings are there, by their place. */
    async function present(bindings: readonly Uint8Array[]): Promise<readonly number[]> {
      const answers = await Promise.all(bindings.map((binding) => cache.get(binding)))
      return answers.flatMap((answer, at) => (answer === undefined ? [] : [at]))
    }
    const bindings = (count: number) => Array.from({ length: count }, () => randomBytes(32))

    it('1: gives back what was put, byte for byte, and nothing else', async () => {
      const all = bindings(4)
      const answers = [
        new Uint8Array(0),
        Uint8Array.of(0),
        Uint8Array.from(Array(256).keys()),
        randomBytes(999),
      ]
      for (const [at, binding] of all.entries())
        expect(await cache.put(binding, answers[at] ?? new Uint8Array(), MINUTE)).toBe(true)
      for (const [at, binding] of all.entries())
        expect(await cache.get(binding)).toEqual(Uint8Array.from(answers[at] ?? []))
      expect(await cache.get(randomBytes(32))).toBeUndefined()
    })

    it('1: gives back what was put last', async () => {
      const [binding = randomBytes(32)] = bindings(1)
      for (const text of ['one', 'two', 'three']) await cache.put(binding, Buffer.from(text), MINUTE)
      expect(Buffer.from((await cache.get(binding)) ?? []).toString()).toBe('three')
    })

    it('1: forgets an answer when its time is over, each in its own', async () => {
      const all = bindings(2)
      const [short = randomBytes(32), long = randomBytes(32)] = all
      await cache.put(short, randomBytes(10), 50)
      await cache.put(long, randomBytes(10), MINUTE)
      expect(await present(all)).toEqual([0, 1])
      await pass(51)
      expect(await present(all)).toEqual([1])
      await cache.put(short, randomBytes(10), MINUTE)
      expect(await present(all)).toEqual([0, 1])
    })

    it('1: takes no time that is none, or longer than an hour', async () => {
      for (const ttl of [0, -1, 0.5, Number.NaN, MOST_TTL_MS + 1])
        await expect(cache.put(randomBytes(32), randomBytes(1), ttl)).rejects.toThrow(code('INVARIANT'))
    })

    it('2: refuses what is too large, and keeps what was there', async () => {
      const [binding = randomBytes(32)] = bindings(1)
      expect(await cache.put(binding, randomBytes(1_001), MINUTE)).toBe(false)
      expect(await cache.get(binding)).toBeUndefined()
      const largest = randomBytes(1_000)
      expect(await cache.put(binding, largest, MINUTE)).toBe(true)
      expect(await cache.put(binding, randomBytes(1_001), MINUTE)).toBe(false)
      expect(await cache.get(binding)).toEqual(new Uint8Array(largest))
    })

    it('3: makes room by forgetting what was put first', async () => {
      const all = bindings(9)
      for (const binding of all) await cache.put(binding, randomBytes(1_000), MINUTE)
      expect(await present(all)).toEqual([4, 5, 6, 7, 8])
    })

    it('3: counts an answer that is put again once, as the youngest', async () => {
      const all = bindings(7)
      for (const binding of all.slice(0, 5)) await cache.put(binding, randomBytes(1_000), MINUTE)
      await cache.put(all[0] ?? randomBytes(32), randomBytes(1_000), MINUTE)
      expect(await present(all)).toEqual([0, 1, 2, 3, 4])
      for (const binding of all.slice(5)) await cache.put(binding, randomBytes(1_000), MINUTE)
      expect(await present(all)).toEqual([0, 3, 4, 5, 6])
    })

    it('3: counts the keeping of an answer, so that empty ones are not without end', async () => {
      const all = bindings(30)
      for (const binding of all) await cache.put(binding, new Uint8Array(0), MINUTE)
      const most = Math.floor(limits.totalBytes / ENTRY_BYTES)
      expect(await present(all)).toEqual([...all.keys()].slice(-most))
    })

    it('3: has all room again when what was kept is over', async () => {
      for (const binding of bindings(5)) await cache.put(binding, randomBytes(1_000), 50)
      await pass(51)
      const all = bindings(5)
      for (const binding of all) await cache.put(binding, randomBytes(1_000), MINUTE)
      expect(await present(all)).toEqual([0, 1, 2, 3, 4])
    })

    it('3: stays within its limits when much comes at once', async () => {
      const all = bindings(200)
      await Promise.all(all.map((binding) => cache.put(binding, randomBytes(1_000), MINUTE)))
      expect(await present(all)).toHaveLength(5)
    })

    it('4: keeps bytes of its own', async () => {
      const [binding = randomBytes(32)] = bindings(1)
      const given = { binding: Buffer.from(binding), answer: Buffer.from('answer') }
      const putting = cache.put(given.binding, given.answer, MINUTE)
      given.answer.fill(0)
      given.binding.fill(0)
      await putting
      const first = await cache.get(binding)
      expect(Buffer.from(first ?? []).toString()).toBe('answer')
      first?.fill(0)
      expect(Buffer.from((await cache.get(binding)) ?? []).toString()).toBe('answer')
    })

    it('refuses what is no binding', async () => {
      await expect(cache.put(randomBytes(31), randomBytes(1), MINUTE)).rejects.toThrow(code('TOKEN_FORMAT'))
      await expect(cache.get(randomBytes(33))).rejects.toThrow(code('TOKEN_FORMAT'))
    })
  })
}
