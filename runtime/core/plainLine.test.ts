import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { plainLine } from './plainLine.ts'

describe('plainLine', () => {
  it('leaves plain text of any script as it is', () => {
    for (const text of [
      'Volatility is high: 40 % — “sell”',
      'नमस्ते',
      '健康係数は1.05未満です',
      'Привет',
      '😀',
    ])
      expect(plainLine(text)).toBe(text)
  })

  it.each([
    ['an escape sequence', 'a\u001b[2Jb', 'a [2Jb'],
    ['a C1 control sequence introducer', 'a\u009b31mb', 'a 31mb'],
    ['new lines of every kind', 'a\r\nb\u0085c\u2028d\u2029e', 'a b c d e'],
    ['a bidirectional override', 'a\u202eb\u2066c', 'a b c'],
    ['zero-width characters', 'a\u200bb\u2060c\ufeffd', 'a b c d'],
    ['tag characters', `a${String.fromCodePoint(0xe0041, 0xe0042)}b`, 'a b'],
    ['variation selectors that carry bytes', `a\ufe01${String.fromCodePoint(0xe0110)}b`, 'a b'],
    ['blanks that are no spaces', 'a\u3164b\u2800c\u00a0d', 'a b c d'],
    ['a lone surrogate', 'a\ud800b', 'a b'],
    ['piled marks', `a${'\u0301'.repeat(50)}b`, `a${'\u0301'.repeat(4)}b`],
  ])('takes out %s', (_, text, clean) => {
    expect(plainLine(text)).toBe(clean)
  })

  it('cuts between characters', () => {
    expect(plainLine('😀'.repeat(100), 3)).toBe('😀😀…')
    expect(plainLine('abc', 3)).toBe('abc')
  })

  it('is one bounded line of visible characters whatever it is given, and cleaning it again changes nothing', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 400 }),
        fc.integer({ min: 1, max: 300 }),
        (text, limit) => {
          const clean = plainLine(text, limit)
          expect(clean).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u)
          expect([...clean].length).toBeLessThanOrEqual(limit)
          expect(plainLine(clean, limit)).toBe(clean)
        },
      ),
      { numRuns: 1_000 },
    )
  })
})
