import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { editMembers, membersOf } from './jsonMembers.ts'

const bytes = (text: string) => Buffer.from(text)
const edit = (text: string, edits: Record<string, string | undefined>) =>
  Buffer.from(
    editMembers(bytes(text), membersOf(bytes(text)) ?? [], new Map(Object.entries(edits))),
  ).toString()

describe('membersOf', () => {
  it('finds the members of an object as it is written', () => {
    const text = ' { "a" : [1,{"a":"]}"}] ,\n"b\\"\\u0041":"\\\\",  "c":-1e5}'
    const found = membersOf(bytes(text)) ?? []
    expect(found.map(({ name, valueStart, valueEnd }) => [name, text.slice(valueStart, valueEnd)])).toEqual([
      ['a', '[1,{"a":"]}"}]'],
      ['b"A', '"\\\\"'],
      ['c', '-1e5'],
    ])
  })

  it('agrees with JSON.parse on every object, however it is spaced', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()),
        fc.constantFrom(undefined, 1, '\t', '\r\n '),
        (object, space) => {
          const json = bytes(JSON.stringify(object, null, space))
          const found = membersOf(json) ?? []
          expect(found.map(({ name }) => name)).toEqual(Object.keys(JSON.parse(json.toString()) as object))
          for (const { name, valueStart, valueEnd } of found)
            expect(JSON.parse(json.toString('utf8', valueStart, valueEnd))).toEqual(
              (JSON.parse(json.toString()) as Record<string, unknown>)[name],
            )
        },
      ),
    )
  })

  it('ends for every input, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('{', '}', '[', ']', '"', '\\', ':', ',', ' ', 'a', '1', 'é'), {
          maxLength: 40,
        }),
        (parts) => {
          const json = bytes(parts.join(''))
          for (const member of membersOf(json) ?? []) expect(member.valueEnd).toBeLessThanOrEqual(json.length)
        },
      ),
      { numRuns: 2_000 },
    )
    expect(membersOf(bytes('{"a":'))).toBeUndefined()
    expect(membersOf(bytes('[]'))).toBeUndefined()
    expect(membersOf(bytes(''))).toBeUndefined()
  })

  it('does not mind how deep or how long a value is', () => {
    const deep = `{"a":${'['.repeat(500_000)}${']'.repeat(500_000)},"b":"${'x'.repeat(2_000_000)}\\\\"}`
    expect((membersOf(bytes(deep)) ?? []).map(({ name }) => name)).toEqual(['a', 'b'])
  })
})

describe('editMembers', () => {
  it('replaces in place, removes, and puts what is new last', () => {
    expect(edit('{"a":1, "b" : 2,"c":3}', { b: '"x"', c: undefined, d: '[4]' })).toBe(
      '{"a":1,"b" : "x","d":[4]}',
    )
    expect(edit('{"a":1}', { a: undefined })).toBe('{}')
    expect(edit('{ }', { a: '1' })).toBe('{"a":1}')
    expect(edit('{"a":1}', {})).toBe('{"a":1}')
  })

  it('leaves of two members of one name the last', () => {
    expect(edit('{"a":1,"b":2,"a":3}', { a: '4' })).toBe('{"b":2,"a":4}')
    expect(edit('{"a":1,"b":2,"a":3}', { a: undefined })).toBe('{"b":2}')
  })

  it('keeps the others byte for byte', () => {
    const kept = '"n":123456789012345678901234567890.10e400,"s":"\\u00e9\\/","d":1,"d":2'
    expect(edit(`{${kept},"model":"a"}`, { model: '"b"' })).toBe(`{${kept},"model":"b"}`)
  })
})
