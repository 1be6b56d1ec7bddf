import { expect, test } from 'vitest'
import { deferLogger } from './deferLogger.ts'

test('what is said before there is a log comes first, in order, and once', () => {
  const lines: string[] = []
  const line = (level: string) => (fields: object, message: string) =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields)}`)
  const log = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
  const early = deferLogger()
  early.warn({ host: 'a' }, 'one')
  early.debug({}, 'two')
  expect(lines).toEqual([])
  early.to(log)
  early.error({}, 'three')
  expect(lines).toEqual(['warn one {"host":"a"}', 'debug two {}', 'error three {}'])
})

test('what nobody ever reads is not kept without end', () => {
  const early = deferLogger()
  for (let index = 0; index < 5_000; index++) early.info({}, String(index))
  const lines: string[] = []
  const line = (_fields: object, message: string) => void lines.push(message)
  early.to({ debug: line, info: line, warn: line, error: line })
  expect(lines).toHaveLength(1_000)
  expect(lines[0]).toBe('0')
})
