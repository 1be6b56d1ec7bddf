import fc from 'fast-check'
import { expect, it } from 'vitest'
import { EventGate, isSameModel, watchEvents, watchPlain } from './watchAnswer.ts'

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

it.each(['\n', '\r\n'])('holds back what has begun, however it is cut, with %j', (end) => {
  const events = [
    'data: one',
    `event: x${end}data: {"model":"m"}`,
    ': comment',
    'data: {"usage":{"prompt_tokens":3}}',
  ]
  const text = Buffer.from(`${events.map((each) => each + end + end).join('')}data: cut`)
  const whole = text.length - 'data: cut'.length
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1 }), (sizes) => {
      const gate = new EventGate()
      const watch = watchEvents()
      let passed = ''
      for (let at = 0, index = 0; at < text.length; index++) {
        const piece = text.subarray(at, at + (sizes[index % sizes.length] ?? 1))
        at += piece.length
        watch.push(piece)
        passed += Buffer.from(gate.push(piece)).toString()
        expect(text.toString().startsWith(passed)).toBe(true)
        expect(passed === '' || passed.endsWith(end + end)).toBe(true)
      }
      expect(passed).toHaveLength(whole)
      expect(Buffer.from(gate.end()).toString()).toBe('data: cut')
      expect(watch.seen()).toEqual({ model: 'm', usage: { prompt: 3, completion: 0 } })
    }),
  )
})

it('does not hold an event for ever', () => {
  const gate = new EventGate()
  expect(gate.push(Buffer.alloc(200_000, 'x'))).toHaveLength(0)
  expect(gate.push(Buffer.alloc(200_000, 'x'))).toHaveLength(400_000)
})

it.each([
  ['llama3', 'llama3', true],
  ['llama3', 'llama3:latest', true],
  ['gpt-4o', 'gpt-4o-2024-08-06', true],
  ['llama3', 'llama3.1', false],
  ['llama3', 'tiny', false],
  ['llama3:70b', 'llama3', false],
])('takes for %s the name %s: %s', (asked, said, same) => {
  expect(isSameModel(asked, said)).toBe(same)
})
