import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JsonSyntaxError, readJson } from './readJson.ts'

const where = (text: string) => {
  try {
    readJson(text)
  } catch (error) {
    if (error instanceof JsonSyntaxError) return [error.line, error.column, error.reason]
    throw error
  }
  return null
}

describe('readJson', () => {
  it('reads what JSON.parse reads, as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(0, 2, '\t'), (text, indent) => {
        const pretty = JSON.stringify(JSON.parse(text), null, indent)
        expect(readJson(text).value).toEqual(JSON.parse(text))
        expect(readJson(` \r\n${pretty}\t`).value).toEqual(JSON.parse(text))
      }),
    )
  })

  it('refuses what JSON.parse refuses', () => {
    const broken = fc
      .tuple(
        fc.json(),
        fc.nat(),
        fc.constantFrom('', '"', '{', '}', '[', ']', ',', ':', 'x', '\\', '1', '\n', '.'),
      )
      .map(([text, at, put]) => {
        const index = at % (text.length + 1)
        return text.slice(0, index) + put + text.slice(index + 1)
      })
    fc.assert(
      fc.property(broken, (text) => {
        let expected: unknown
        try {
          expected = JSON.parse(text)
        } catch {
          expect(() => readJson(text)).toThrow(JsonSyntaxError)
          return
        }
        // A key that is there twice is the one thing that JSON.parse takes and this does not.
        const said = where(text)
        if (said === null) expect(readJson(text).value).toEqual(expected)
        else expect(said[2]).toMatch(/is there twice$/)
      }),
      { numRuns: 2_000 },
    )
  })

  it('knows the line of everything, and of the nearest thing for what is missing', () => {
    const json = readJson('{\n  "a": {\n    "b": [\n      1,\n      {"c": 2}\n    ]\n  },\n  "d": null\n}')
    expect(json.lineOf([])).toBe(1)
    expect(json.lineOf(['a'])).toBe(2)
    expect(json.lineOf(['a', 'b'])).toBe(3)
    expect(json.lineOf(['a', 'b', 0])).toBe(4)
    expect(json.lineOf(['a', 'b', 1, 'c'])).toBe(5)
    expect(json.lineOf(['d'])).toBe(8)
    expect(json.lineOf(['a', 'missing', 'deep'])).toBe(2)
  })

  it.each([
    ['', 1, 1, 'a value was expected, not the end of the file'],
    ['{\n  "a": 1,\n}', 3, 1, 'a key in double quotes was expected, not "}"'],
    ['{\n  "a": 1\n  "b": 2\n}', 3, 3, '"," or "}" was expected, not "\\""'],
    ['[1, 2', 1, 6, '"," or "]" was expected, not the end of the file'],
    ['{ "a" 1 }', 1, 7, '":" was expected, not "1"'],
    ["{ 'a': 1 }", 1, 3, 'a key in double quotes was expected, not "\'"'],
    ['{\n  "a": 1,\n  "a": 2\n}', 3, 3, 'the key "a" is there twice'],
    ['{"a": 1} x', 1, 10, 'the end of the file was expected, not "x"'],
    ['{"a": "b}', 1, 7, 'a string is not closed'],
    ['{"a": "\\x"}', 1, 7, 'a string holds a line break, a control character or a bad escape'],
    ['// no\n{}', 1, 1, 'a value was expected, not "/"'],
    ['[01]', 1, 3, '"," or "]" was expected, not "1"'],
    ['🦊', 1, 1, 'a value was expected, not "🦊"'],
  ])('says where %j goes wrong', (text, line, column, reason) => {
    expect(where(text)).toEqual([line, column, reason])
  })

  it('does not let a key reach beyond the object', () => {
    const { value } = readJson('{"__proto__": {"polluted": true}}')
    expect(Object.hasOwn(value as object, '__proto__')).toBe(true)
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })

  it('refuses what is nested too deep instead of running out of stack', () => {
    expect(where('['.repeat(100_000))?.[2]).toBe('it is nested more than 64 deep')
  })
})
