import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { canaryOf, createSearch, randomText } from './canaries.ts'

const text = randomText()
const search = createSearch([canaryOf('canary', text), canaryOf('other', randomText())])
const bytes = Buffer.from(text)

describe('the search finds a canary', () => {
  it.each([
    ['plain', text],
    ['in JSON', JSON.stringify({ a: [text] })],
    ['in JSON in JSON', JSON.stringify(JSON.stringify(text))],
    [
      'in JSON with escapes',
      [...text].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''),
    ],
    ['in a URL', encodeURIComponent(`"${text}"`)],
    ['in a URL, every byte', bytes.toString('hex').replaceAll(/../g, '%$&').toUpperCase()],
    ['in hex', bytes.toString('hex')],
    ['in upper case hex', bytes.toString('hex').toUpperCase()],
    ['in base64', bytes.toString('base64')],
    ['in base64, one byte on', Buffer.from(`x${text}y`).toString('base64')],
    ['in base64, two bytes on', Buffer.from(`xx${text}yy`).toString('base64')],
    ['in base64url', Buffer.from(`????${text}>>>>`).toString('base64url')],
    ['in a printed buffer', inspect(bytes)],
    ['in a buffer as JSON', JSON.stringify(bytes)],
    ['in an array', [...bytes].join(', ')],
    ['cut at its end', text.slice(0, 20)],
    ['cut at its beginning', text.slice(13)],
    ['split in two', `${text.slice(0, 14)}\n${text.slice(14)}`],
  ])('%s', (_, written) => {
    const found = search(Buffer.from(`before ${written} behind`))
    expect(found.map(({ canary }) => canary)).toContain('canary')
    expect(found.map(({ canary }) => canary)).not.toContain('other')
  })

  it.each(['utf16le', 'latin1'] as const)('in %s', (encoding) => {
    expect(search(Buffer.from(`before ${text} behind`, encoding))).not.toEqual([])
    expect(search(Buffer.concat([Buffer.of(0), Buffer.from(text, encoding)]))).not.toEqual([])
    expect(search(Buffer.from(text, 'utf16le').swap16())).not.toEqual([])
  })

  it('at the first and at the last byte', () => {
    expect(search(bytes)).not.toEqual([])
    expect(search(Buffer.concat([Buffer.alloc(3_000_000, 'a'), bytes]))).not.toEqual([])
  })

  it('and nothing where there is none', () => {
    for (const other of [randomText(), '', 'abc', text.slice(0, 11)])
      expect(search(Buffer.from(other))).toEqual([])
  })

  it('made of any bytes', () => {
    const key = Buffer.from(Array.from({ length: 32 }, (_, at) => (at * 37 + 251) % 256))
    const find = createSearch([canaryOf('key', key)])
    for (const encoding of ['base64', 'base64url', 'hex', 'latin1'] as const)
      expect(
        find(Buffer.from(key.toString(encoding), encoding === 'latin1' ? 'latin1' : 'utf8')),
      ).not.toEqual([])
  })
})
