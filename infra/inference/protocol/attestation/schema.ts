import { z } from 'zod'
import { AttestationError } from './errors.ts'

/** The most that is read of each part, in characters of its JSON form. What Intel delivers is about a tenth of it. */
export const attestationLimits = {
  /** Base64 of a quote; one of TDX has about 5,000 bytes. */
  quote: 22_000,
  /** PEM of up to three certificates. */
  chain: 16_384,
  /** Hex of a revocation list, which grows by about 50 bytes for each platform that is revoked. */
  crl: 262_144,
  tcbInfo: 65_536,
  qeIdentity: 16_384,
  /** The whole. */
  json: 524_288,
} as const

// One spelling for each value, so that nobody can mark an attestation without changing what it says.
const hex = z.string().regex(/^(?:[0-9a-f]{2})+$/, 'expected lower-case hex')
const pem = z.string().min(1).max(attestationLimits.chain)
const signature = hex.length(128)
const canonicalBase64 = z
  .base64()
  .min(1)
  .max(attestationLimits.quote)
  .refine((text) => Buffer.from(text, 'base64').toString('base64') === text, 'expected canonical base64')

/**
 * What is needed to judge a quote, as the maker of the platform signs it and `dcap-qvl` writes it down. The node
 * delivers it, so that no client tells the maker's servers whom it is about to talk to.
 */
export const collateralSchema = z.strictObject({
  /** PEM: the CA that issued the platform's certificate and signs `pck_crl`, then the root. */
  pck_crl_issuer_chain: pem,
  /** DER in hex, signed by the root. */
  root_ca_crl: hex.max(attestationLimits.crl),
  /** DER in hex, signed by the platform's CA. */
  pck_crl: hex.max(attestationLimits.crl),
  /** PEM: what signs `tcb_info`, then the root. */
  tcb_info_issuer_chain: pem,
  /** JSON as it was signed, byte for byte. */
  tcb_info: z.string().min(1).max(attestationLimits.tcbInfo),
  tcb_info_signature: signature,
  /** PEM: what signs `qe_identity`, then the root. */
  qe_identity_issuer_chain: pem,
  /** JSON as it was signed, byte for byte. */
  qe_identity: z.string().min(1).max(attestationLimits.qeIdentity),
  qe_identity_signature: signature,
  /** PEM: the chain that the quote carries too. Some tools add it; it must be the same. */
  pck_certificate_chain: pem.optional(),
})

/** The JSON form of an attestation. */
export const attestationSchema = z.strictObject({
  /** A TDX quote of version 4 or 5, in base64. */
  quote: canonicalBase64,
  collateral: collateralSchema,
})

export type Collateral = z.infer<typeof collateralSchema>
export type Attestation = z.infer<typeof attestationSchema>

const register = z
  .string()
  .regex(/^[0-9a-fA-F]{96}$/, 'expected 48 bytes in hex')
  .transform((text) => text.toLowerCase())

/**
 * What runs in a trust domain, each as SHA-384 in hex (Intel TDX Module Base Architecture Specification, "Measurement
 * and Attestation"): `mrTd` its initial memory, usually the firmware, `rtMr0` to `rtMr3` what was extended at run
 * time, by convention the firmware's configuration, boot loader and kernel, its command line and initial file system,
 * and the application.
 */
export const measurementsSchema = z.strictObject({
  mrTd: register,
  rtMr0: register,
  rtMr1: register,
  rtMr2: register,
  rtMr3: register,
})

export type Measurements = z.infer<typeof measurementsSchema>

/**
 * The security level of a platform, as its maker judges it (Intel PCS API v4, "Get TDX TCB Info"). `Revoked` is not
 * among them: it is never accepted.
 */
export const acceptableTcbStatuses = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'OutOfDate',
  'OutOfDateConfigurationNeeded',
] as const
export type AcceptableTcbStatus = (typeof acceptableTcbStatuses)[number]

/**
 * Reads the JSON form. Nothing is verified yet.
 *
 * @param value what `JSON.parse` gave
 * @throws AttestationError `ATTESTATION_COLLATERAL_MISSING` when a part of the collateral is not there, otherwise
 *   `ATTESTATION_FORMAT`
 * @example parseAttestation(JSON.parse(readFileSync('attestation.json', 'utf8')))
 */
export function parseAttestation(value: unknown): Attestation {
  const parsed = attestationSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const path = issue?.path ?? []
  const where = path.join('.') || 'The value'
  if (path[0] === 'collateral' && isAbsent(value, path))
    throw new AttestationError('ATTESTATION_COLLATERAL_MISSING', `The attestation has no ${where}.`, {
      details: { path: where },
    })
  throw new AttestationError('ATTESTATION_FORMAT', `The attestation is malformed at ${where}.`, {
    details: { path: where, problem: issue?.message },
  })
}

function isAbsent(value: unknown, path: readonly PropertyKey[]): boolean {
  let at = value
  for (const key of path) at = (at as Readonly<Record<PropertyKey, unknown>> | null | undefined)?.[key]
  return at === undefined || at === null || at === ''
}
