import { generateKeyPairSync } from 'node:crypto'
import { expect } from 'vitest'
import { AttestationError, type AttestationErrorCode } from './errors.ts'
import { reportDataFor } from './reportData.ts'
import type { Attestation, Collateral } from './schema.ts'
import {
  buildAttestation,
  buildCollateral,
  type TestCollateralOptions,
  type TestQuoteOptions,
  testMeasurements,
  testNow,
  testPki,
} from './testQuote.ts'
import { type AttestationParameters, verifyAttestation } from './verifyAttestation.ts'

/* What the tests of verification share: one node, what is trusted of it, and ways to build and to be refused. */

export const identity = new Uint8Array(32).fill(1)
export const keyConfigs = Uint8Array.from([0, 1, 2, 3])
export const reportData = reportDataFor({ identity, keyConfigs })
export const pki = testPki()
export const pinned = { roots: [pki.root.der], measurements: [testMeasurements] }
export const day = 86_400_000
/** Of nobody. */
export const otherKey = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey

/** An attestation of the node, with one thing changed before it is signed. */
export const build = (options: TestQuoteOptions & TestCollateralOptions = {}): Attestation =>
  buildAttestation(reportData, options)

/** A good quote with other collateral. */
export const withCollateral = (changes: Partial<Collateral>): Attestation => {
  const { quote, collateral } = build()
  return { quote, collateral: { ...collateral, ...changes } }
}

/** Good collateral with another quote. */
export const withQuote = (bytes: Uint8Array): Attestation => ({
  quote: Buffer.from(bytes).toString('base64'),
  collateral: buildCollateral(),
})

export const verify = (attestation: unknown, changes: Partial<AttestationParameters> = {}) =>
  verifyAttestation({ attestation, identity, keyConfigs, pinned, now: testNow, ...changes })

/** The refusal; that there is one line for a person, and what to do, is checked beside it. */
export function refused(
  attestation: unknown,
  changes: Partial<AttestationParameters> = {},
): AttestationError {
  try {
    verify(attestation, changes)
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error
    expect(error.message).toMatch(/^[A-Z][^\n]*\.$/)
    expect(error.fix).toMatch(/^[A-Z][^\n]*\.$/)
    return error
  }
  return expect.unreachable('The attestation was accepted.')
}

/** The code of the refusal. */
export const refusal = (...parameters: Parameters<typeof refused>): AttestationErrorCode =>
  refused(...parameters).code
