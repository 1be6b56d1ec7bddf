import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AttestationError, attestationErrorCodes } from './errors.ts'
import type { Collateral } from './schema.ts'
import { pemChain } from './testPki.ts'
import { buildQuote } from './testQuote.ts'
import { build, pki, reportData, verify, withQuote } from './testVerify.ts'

/** Neither accepted nor anything but a refusal of ours. */
function expectRefusal(attestation: unknown): void {
  let thrown: unknown
  try {
    verify(attestation)
  } catch (error) {
    thrown = error
  }
  expect(thrown).toBeInstanceOf(AttestationError)
  expect(attestationErrorCodes).toContain((thrown as AttestationError).code)
}

const flip = (bytes: Uint8Array, bit: number): Uint8Array => {
  const at = Math.floor(bit / 8)
  return bytes.with(at, (bytes[at] ?? 0) ^ (1 << (bit % 8)))
}

describe('a quote with one bit changed', () => {
  it.each([
    ['version 4', {}],
    ['version 5 with a TD report 1.0', { version: 5, bodyType: 2 }],
    ['version 5 with a TD report 1.5', { version: 5, bodyType: 3 }],
  ] as const)('is refused, in %s', (_name, options) => {
    const quote = buildQuote(reportData, options)
    expect(verify(withQuote(quote)).tcbStatus).toBe('UpToDate')
    fc.assert(
      fc.property(fc.nat(quote.length * 8 - 1), (bit) => expectRefusal(withQuote(flip(quote, bit)))),
      { numRuns: 400 },
    )
  })

  it('is refused in each bit of its header, and of what holds its parts together', () => {
    const quote = buildQuote(reportData)
    const bits = (from: number, length: number) =>
      Array.from({ length: length * 8 }, (_, bit) => from * 8 + bit)
    const auth = 48 + 584
    const qe = auth + 4 + 128 + 6
    const places = [
      ...bits(0, 48),
      ...bits(auth, 4),
      ...bits(auth + 4 + 128, 6),
      ...bits(qe + 384 + 64, 2),
      ...bits(qe + 384 + 64 + 2 + 32, 6),
      ...bits(quote.length - 4, 4),
    ]
    for (const bit of places) expectRefusal(withQuote(flip(quote, bit)))
  })

  it('is refused in each bit of what wraps a certificate, which no signature covers', () => {
    const { der } = pki.pck
    const chainOf = (changed: Uint8Array) => pemChain({ ...pki.pck, der: changed }, pki.ca, pki.root)
    // The first bytes: tag and length of the whole. From the end: algorithm, and the signature with its lengths.
    const places = [
      ...Array(4 * 8).keys(),
      ...Array.from({ length: 90 * 8 }, (_, bit) => der.length * 8 - 1 - bit),
    ]
    for (const bit of places) expectRefusal(build({ certificates: chainOf(flip(der, bit)) }))
  })
})

describe('collateral with one bit changed', () => {
  const attestation = build()
  // With the chain that is optional, so that it is changed too.
  const collateral = { ...attestation.collateral, pck_certificate_chain: pemChain(pki.pck, pki.ca, pki.root) }
  it('is what was accepted without', () => {
    expect(verify({ ...attestation, collateral }).tcbStatus).toBe('UpToDate')
  })

  it.each(Object.keys(collateral) as (keyof Collateral)[])('is refused, in %s', (field) => {
    const bytes = new Uint8Array(Buffer.from(collateral[field] ?? '', 'latin1'))
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const changed = Buffer.from(flip(bytes, bit)).toString('latin1')
        expectRefusal({ ...attestation, collateral: { ...collateral, [field]: changed } })
      }),
      { numRuns: 150 },
    )
  })
})

describe('what is no attestation at all', () => {
  const quote = buildQuote(reportData)
  it('is refused: cut, stretched and made up quotes', () => {
    fc.assert(
      fc.property(fc.nat(quote.length - 1), (length) => expectRefusal(withQuote(quote.subarray(0, length)))),
    )
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), (tail) => {
        fc.pre(tail.some((byte) => byte !== 0))
        expectRefusal(withQuote(Uint8Array.from([...quote, ...tail])))
      }),
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), (body) =>
        // With a header that promises a TDX quote, so that the rest is read.
        expectRefusal(withQuote(Uint8Array.from([...quote.subarray(0, 48), ...body]))),
      ),
    )
  })

  it('is refused: any other JSON, in whole and for any part', () => {
    const { collateral } = build()
    fc.assert(fc.property(fc.jsonValue(), (value) => expectRefusal(value)))
    fc.assert(
      fc.property(
        fc.constantFrom(...(Object.keys(collateral) as (keyof Collateral)[])),
        fc.oneof(
          fc.jsonValue(),
          fc.string(),
          fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('hex')),
        ),
        (field, value) => expectRefusal({ ...build(), collateral: { ...collateral, [field]: value } }),
      ),
    )
  })
})
