import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { secretLines } from './askSecret.ts'

/** Types something, as a terminal in raw mode sends it. */
function type(text: string | Buffer, count = 1) {
  const lines = secretLines(count)
  const state = lines.push(Buffer.from(text))
  return { state, answers: lines.answers().map(String), lines }
}

describe('what is typed', () => {
  test.each([
    ['secret\r', 'secret'],
    ['secret\n', 'secret'],
    [' two words \r', ' two words '],
    ['secrex\u007ft\r', 'secret'],
    ['secrex\bt\r', 'secret'],
    ['schlß🔑\u007f\u007füssel 🔑\r', 'schlüssel 🔑'],
    ['\u007f\u007fsecret\r', 'secret'],
    ['wrong\u0015secret\r', 'secret'],
    ['se\u001b[Acr\u001b[1;5Cet\u001bOP\r', 'secret'],
    ['se\tcr\u0000et\r', 'secret'],
    ['\r', ''],
  ])('%j is %j', (keys, secret) => {
    expect(type(keys)).toMatchObject({ state: 'complete', answers: [secret] })
  })

  test('is two answers when it is asked for twice', () => {
    expect(type('one\rtwo\rmore', 2)).toMatchObject({ state: 'complete', answers: ['one', 'two'] })
    expect(type('one\rtw', 2)).toMatchObject({ state: 'more', answers: ['one', 'tw'] })
  })

  test.each(['\u0003', 'sec\u0003ret\r', '\u0004', 'one\r\u0003'])('is given up on %j', (keys) => {
    const { state, lines } = type(keys, 2)
    expect(state).toBe('interrupted')
    const [answer] = lines.answers()
    lines.forget()
    expect(answer?.every((byte) => byte === 0)).toBe(true)
  })

  test('is the same however it arrives', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 5 }), (text, step) => {
        const bytes = Buffer.from(`${text}\r`)
        const lines = secretLines(1)
        for (let at = 0; at < bytes.length; at += step) lines.push(bytes.subarray(at, at + step))
        expect(lines.answers()).toEqual(type(bytes).lines.answers())
      }),
    )
  })

  test('leaves nothing of what was taken back', () => {
    const { lines } = type('wrong and long\u0015ok\r')
    const [answer] = lines.answers()
    expect(Buffer.from(answer?.buffer ?? new ArrayBuffer(0)).includes('long')).toBe(false)
  })
})
