import { expect, it } from 'vitest'
import type { Logger } from '../core/ports.ts'
import { eachInTurn } from './eachInTurn.ts'
import { sayOnce, wasTold } from './say.ts'

function memoryLogger(): Logger & { readonly lines: readonly string[] } {
  const lines: string[] = []
  const log = (_: object, message: string) => void lines.push(message)
  return { lines, debug: log, info: log, warn: log, error: log }
}

it('does everything, one after the other, and throws what failed first', async () => {
  const logger = memoryLogger()
  const done: number[] = []
  const step = (index: number, fails: boolean) => async () => {
    await Promise.resolve()
    done.push(index)
    if (fails) throw new TypeError(`step ${index}`)
  }
  await expect(
    eachInTurn(logger, [step(1, false), step(2, true), step(3, true), step(4, false)]),
  ).rejects.toThrow('step 2')
  expect(done).toEqual([1, 2, 3, 4])
  expect(logger.lines).toEqual(['failed beside another'])
  await expect(eachInTurn(logger, [])).resolves.toBeUndefined()
})

it('says a thing once to each log, and forgets the oldest before its memory grows without end', () => {
  const [one, other] = [memoryLogger(), memoryLogger()]
  const say = (logger: Logger, key: string) => sayOnce(logger, key, 'warn', {}, key)
  for (const logger of [one, other, one]) say(logger, 'a')
  expect([one.lines, other.lines]).toEqual([['a'], ['a']])
  for (let index = 0; index < 1_000; index += 1) say(one, `b${index}`)
  expect(wasTold(one, 'b999')).toBe(true)
  expect(wasTold(one, 'a')).toBe(false)
})
