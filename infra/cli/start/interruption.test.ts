import { EventEmitter } from 'node:events'
import { expect, it } from 'vitest'
import { interruption } from './interruption.ts'

/** A process that can be signalled without being ended. */
function host() {
  const emitter = new EventEmitter()
  const exits: (number | string | null | undefined)[] = []
  const exit = ((code) => {
    exits.push(code)
  }) as NodeJS.Process['exit']
  const stub = Object.assign(emitter, { exit }) as unknown as Pick<NodeJS.Process, 'on' | 'off' | 'exit'>
  return { stub, exits, signal: (name: string) => emitter.emit(name), emitter }
}

it.each(['SIGINT', 'SIGTERM', 'SIGHUP'])('takes %s for a request to end in order', async (name) => {
  const { stub, exits, signal } = host()
  const stop = interruption(stub)
  const aborted = stop.untilAborted()
  expect(stop.signal.aborted).toBe(false)
  signal(name)
  await aborted
  await stop.untilAborted()
  expect(stop.signal.aborted).toBe(true)
  expect(exits).toEqual([])
})

it('ends at once when it is asked again, but not by the echo of one key', () => {
  let time = 1_000
  const { stub, exits, signal } = host()
  interruption(stub, () => time)
  signal('SIGINT')
  time += 20
  signal('SIGINT')
  expect(exits).toEqual([])
  time += 1_000
  signal('SIGINT')
  expect(exits).toEqual([130])
})

it('does not take the first signal for a second one when it was ending by itself', () => {
  const { stub, exits, signal } = host()
  const stop = interruption(stub)
  stop.abort()
  signal('SIGINT')
  expect(exits).toEqual([])
})

it('listens no more when it is disposed of', () => {
  const { stub, emitter } = host()
  interruption(stub).dispose()
  expect(emitter.eventNames()).toEqual([])
})
