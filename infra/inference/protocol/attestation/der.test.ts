import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MalformedMessageError } from '../errors.ts'
import { isSignedBy, isSignedRawBy, readElements, readSequence, readSigned, readTime } from './der.ts'
import { integer, octets, oid, sequence, signDer, time, tlv } from './testPki.ts'

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'))
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })

describe('DER', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 70_000 }), { maxLength: 4 }), (bodies) => {
        const read = readElements(Buffer.concat(bodies.map((body) => octets(body))))
        expect(read.map(({ tag }) => tag)).toEqual(bodies.map(() => 0x04))
        expect(read.map(({ body }) => Buffer.from(body))).toEqual(bodies.map((body) => Buffer.from(body)))
      }),
      { numRuns: 25 },
    )
  })

  it.each([
    ['a tag alone', '04'],
    ['a length without its bytes', '0482'],
    ['a length beyond the end', '040201'],
    ['a length of a size that is not known yet', '0480'],
    ['a length of four bytes', '048400000001aa'],
    ['a length that fits into fewer bytes', '048101aa'],
    ['a length with a zero in front', `048200ff${'aa'.repeat(255)}`],
    ['a tag of several bytes', '1f8101'],
  ])('is not %s', (_name, hex) => {
    expect(() => readElements(bytes(hex))).toThrow(MalformedMessageError)
  })

  it('never gives anything but its parts or a refusal', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (input) => {
        try {
          expect(Buffer.concat(readElements(input).map(({ whole }) => whole))).toEqual(Buffer.from(input))
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedMessageError)
        }
      }),
    )
  })

  it('holds one sequence where one is due', () => {
    expect(readSequence(sequence(integer(1)))).toHaveLength(1)
    for (const other of ['', '0400', '30003000'])
      expect(() => readSequence(bytes(other))).toThrow(MalformedMessageError)
  })
})

describe('a time', () => {
  const read = (der: Uint8Array) => readElements(der).map(readTime)[0]
  const text = (tag: number, value: string) => () => read(tlv(tag, Buffer.from(value)))

  it('is read to the second, from 1950 to 9999', () => {
    const seconds = fc.integer({ min: Date.UTC(1950, 0) / 1_000, max: Date.UTC(9999, 11) / 1_000 })
    fc.assert(fc.property(seconds, (at) => read(time(at * 1_000)) === at * 1_000))
    expect(text(0x17, '491231235959Z')()).toBe(Date.UTC(2049, 11, 31, 23, 59, 59))
    expect(text(0x17, '500101000000Z')()).toBe(Date.UTC(1950, 0))
  })

  it.each([
    [0x17, '260230000000Z'],
    [0x17, '260101000060Z'],
    [0x17, '2601010000Z'],
    [0x17, '260101000000+0000'],
    [0x18, '20260101000000.5Z'],
    [0x18, '260101000000Z'],
    [0x04, '20260101000000Z'],
  ])('is not that of tag %i with %s', (tag, value) => {
    expect(text(tag, value)).toThrow(MalformedMessageError)
  })
})

describe('what is signed', () => {
  const algorithm = sequence(oid('1.2.840.10045.4.3.2'))
  const content = sequence(integer(1))
  const signature = (...numbers: readonly Uint8Array[]) => tlv(0x03, Uint8Array.of(0), sequence(...numbers))
  const good = signature(integer(1), integer(1))

  it('is taken apart', () => {
    const signed = readSigned(signDer(content, privateKey))
    expect(Buffer.from(signed.toBeSigned)).toEqual(content)
    expect(isSignedBy(signed, publicKey)).toBe(true)
    expect(isSignedBy({ ...signed, toBeSigned: sequence(integer(2)) }, publicKey)).toBe(false)
    expect(readSigned(sequence(content, algorithm, good)).fields).toHaveLength(1)
  })

  it.each([
    ['nothing behind it', [content, algorithm, good, integer(1)]],
    ['an algorithm', [content]],
    ['an algorithm that is known', [content, sequence(oid('1.2.840.10045.4.3.3')), good]],
    ['an algorithm without parameters', [content, sequence(oid('1.2.840.10045.4.3.2'), bytes('0500')), good]],
    ['a signature', [content, algorithm]],
    ['a signature in bits', [content, algorithm, octets(Uint8Array.of(0), sequence(integer(1), integer(1)))]],
    ['a signature of whole bytes', [content, algorithm, tlv(0x03, Uint8Array.of(1), sequence(integer(1)))]],
    ['numbers without a sign', [content, algorithm, signature(integer(0x80), integer(1))]],
    ['numbers without a zero too many', [content, algorithm, signature(bytes('02020001'), integer(1))]],
    ['numbers that are some', [content, algorithm, signature(bytes('0200'), integer(1))]],
    ['content that is a sequence', [integer(1), algorithm, good]],
  ])('has %s', (_name, parts) => {
    expect(() => readSigned(sequence(...parts))).toThrow(MalformedMessageError)
  })

  it.each<[string, { publicKey: KeyObject; privateKey: KeyObject }]>([
    ['P-384', generateKeyPairSync('ec', { namedCurve: 'secp384r1' })],
    ['secp256k1', generateKeyPairSync('ec', { namedCurve: 'secp256k1' })],
    ['RSA', generateKeyPairSync('rsa', { modulusLength: 2_048 })],
  ])('is not signed with %s', (_name, pair) => {
    const signed = readSigned(signDer(content, privateKey))
    expect(isSignedBy(signed, pair.publicKey)).toBe(false)
    expect(isSignedRawBy(content, new Uint8Array(64), pair.publicKey)).toBe(false)
    if (pair.privateKey.asymmetricKeyType === 'ec')
      expect(isSignedBy(readSigned(signDer(content, pair.privateKey)), pair.publicKey)).toBe(false)
  })
})
