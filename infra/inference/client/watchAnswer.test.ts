import { expect, it } from 'vitest'
import { EventGate, watchPlain } from './watchAnswer.ts'

/** More than a call takes as arguments. */
const many = 200_000

it('reads an answer that came byte by byte', () => {
  const watch = watchPlain()
  const text = Buffer.from(
    `${' '.repeat(many)}{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":2}}`,
  )
  for (let at = 0; at < text.length; at++) watch.push(text.subarray(at, at + 1))
  expect(watch.seen()).toEqual({ model: 'm', usage: { prompt: 1, completion: 2 } })
})

it('lets an event pass that came byte by byte', () => {
  const gate = new EventGate()
  const text = Buffer.from(`data: ${'x'.repeat(many)}\n\n`)
  let passed = 0
  for (let at = 0; at < text.length; at++) passed += gate.push(text.subarray(at, at + 1)).length
  expect(passed).toBe(text.length)
  expect(gate.end()).toHaveLength(0)
})
