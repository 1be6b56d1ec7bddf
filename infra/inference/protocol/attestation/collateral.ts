import { z } from 'zod'
import { equalBytes } from '../binary/bytes.ts'
import {
  type Certificate,
  type ChainRequirements,
  readingAs,
  readPlatform,
  requireValidity,
  verifyChain,
} from './certificates.ts'
import { isSignedRawBy } from './der.ts'
import { AttestationError } from './errors.ts'
import { requireUnrevoked, verifyRevocationList } from './revocation.ts'
import type { Collateral } from './schema.ts'

const hexBytes = (length: number) =>
  z
    .string()
    .regex(new RegExp(`^[0-9a-fA-F]{${2 * length}}$`))
    .transform((text) => new Uint8Array(Buffer.from(text, 'hex')))
const instant = z.iso.datetime().transform((text) => Date.parse(text))
const validity = { issueDate: instant, nextUpdate: instant }

/** Of a TDX module: who signed it, and with which attributes it must run. */
const moduleSchema = z.looseObject({
  mrsigner: hexBytes(48),
  attributes: hexBytes(8),
  attributesMask: hexBytes(8),
})

/** The part of TCB info that is read here (Intel PCS API v4, "Get TDX TCB Info", TcbInfo V3); the library reads the rest. */
const tcbInfoSchema = z.looseObject({
  id: z.string(),
  version: z.number(),
  ...validity,
  fmspc: z.string(),
  pceId: z.string(),
  tdxModule: moduleSchema.optional(),
  tdxModuleIdentities: z
    .array(
      moduleSchema.extend({
        id: z.string(),
        tcbLevels: z.array(
          z.looseObject({
            tcb: z.looseObject({ isvsvn: z.int() }),
            tcbStatus: z.string(),
            advisoryIDs: z.array(z.string()).optional(),
          }),
        ),
      }),
    )
    .optional(),
})
export type TcbInfo = z.infer<typeof tcbInfoSchema>

/** The part of the quoting enclave's identity that is read here. */
const qeIdentitySchema = z.looseObject(validity)

/** Collateral whose every part was signed by whom it must be, is current, and is of the quote's platform. */
export type VerifiedCollateral = {
  readonly tcbInfo: TcbInfo
  /** The first moment at which a part of it, or a certificate, expires, in milliseconds since 1970. */
  readonly validUntil: number
}

/**
 * Verifies everything that comes beside a quote, against one pinned root. Afterwards nothing that the node could
 * have made up is left but the quote itself.
 *
 * @param parameters.certificates PEM: the platform's chain, as the quote carries it
 * @param parameters.now milliseconds since 1970
 * @throws AttestationError
 */
export function verifyCollateral({
  collateral,
  certificates,
  root,
  now,
}: {
  readonly collateral: Collateral
  readonly certificates: string
  readonly root: Certificate
  readonly now: number
}): VerifiedCollateral {
  const chainOf = (pem: string, requirements: Omit<ChainRequirements, 'root' | 'now'>) =>
    verifyChain(pem, { ...requirements, root, now })

  const platform = chainOf(certificates, { what: 'the platform', length: 3 })
  const [pck, ca] = platform as [Certificate, Certificate]
  const crlChain = chainOf(collateral.pck_crl_issuer_chain, {
    what: "the platform's CA",
    length: 2,
    leafIsCa: true,
  })
  if (!isSameChain(crlChain, platform.slice(1)))
    throw new AttestationError(
      'ATTESTATION_PLATFORM',
      'The revocation list is of another CA than the platform.',
    )
  if (
    collateral.pck_certificate_chain !== undefined &&
    !isSameChain(chainOf(collateral.pck_certificate_chain, { what: 'the platform', length: 3 }), platform)
  )
    throw new AttestationError('ATTESTATION_PLATFORM', 'Quote and collateral carry different certificates.')
  const tcbChain = chainOf(collateral.tcb_info_issuer_chain, { what: 'the TCB info', length: 2 })
  const qeChain = chainOf(collateral.qe_identity_issuer_chain, { what: 'the QE identity', length: 2 })
  const [tcbSigner, qeSigner] = [tcbChain[0], qeChain[0]] as [Certificate, Certificate]

  const rootCrl = verifyRevocationList({ what: 'the root', hex: collateral.root_ca_crl, issuer: root, now })
  const pckCrl = verifyRevocationList({ what: "the platform's CA", hex: collateral.pck_crl, issuer: ca, now })
  requireUnrevoked("the platform's CA", ca, rootCrl)
  requireUnrevoked('the TCB info', tcbSigner, rootCrl)
  requireUnrevoked('the QE identity', qeSigner, rootCrl)
  requireUnrevoked('the platform', pck, pckCrl)

  const tcbInfo = verifyDocument({
    what: 'the TCB info',
    text: collateral.tcb_info,
    signature: collateral.tcb_info_signature,
    signer: tcbSigner,
    schema: tcbInfoSchema,
    now,
  })
  const qeIdentity = verifyDocument({
    what: 'the QE identity',
    text: collateral.qe_identity,
    signature: collateral.qe_identity_signature,
    signer: qeSigner,
    schema: qeIdentitySchema,
    now,
  })
  requirePlatform(tcbInfo, pck)
  const ends = [...platform, ...tcbChain, ...qeChain, rootCrl, pckCrl].map(({ notAfter }) => notAfter)
  return { tcbInfo, validUntil: Math.min(...ends, tcbInfo.nextUpdate, qeIdentity.nextUpdate) }
}

const isSameChain = (left: readonly Certificate[], right: readonly Certificate[]): boolean =>
  left.length === right.length &&
  left.every(({ der }, index) => equalBytes(der, right[index]?.der ?? new Uint8Array(0)))

function verifyDocument<Schema extends z.ZodType<{ issueDate: number; nextUpdate: number }>>({
  what,
  text,
  signature,
  signer,
  schema,
  now,
}: {
  readonly what: string
  readonly text: string
  readonly signature: string
  readonly signer: Certificate
  readonly schema: Schema
  readonly now: number
}): z.infer<Schema> {
  if (!isSignedRawBy(Buffer.from(text, 'utf8'), Buffer.from(signature, 'hex'), signer.publicKey))
    throw new AttestationError('ATTESTATION_COLLATERAL_SIGNATURE', `The signature of ${what} does not hold.`)
  const parsed = schema.safeParse(parseJson(text))
  if (!parsed.success)
    throw new AttestationError('ATTESTATION_COLLATERAL_SIGNATURE', `What is signed is not ${what}.`)
  requireValidity(what, { notBefore: parsed.data.issueDate, notAfter: parsed.data.nextUpdate }, now)
  return parsed.data
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    // Whatever it is, no schema takes it for a document.
    return undefined
  }
}

function requirePlatform(tcbInfo: TcbInfo, pck: Certificate): void {
  if (tcbInfo.id !== 'TDX' || tcbInfo.version !== 3)
    throw new AttestationError('ATTESTATION_PLATFORM', 'The TCB info is none of version 3 for TDX.', {
      details: { id: tcbInfo.id, version: tcbInfo.version },
    })
  const { fmspc, pceId } = readingAs('ATTESTATION_PLATFORM', 'The certificate of the platform', () =>
    readPlatform(pck),
  )
  if (tcbInfo.fmspc.toLowerCase() !== fmspc || tcbInfo.pceId.toLowerCase() !== pceId)
    throw new AttestationError(
      'ATTESTATION_PLATFORM',
      'The TCB info is of another platform than the quote.',
      {
        details: { platform: { fmspc, pceId }, tcbInfo: { fmspc: tcbInfo.fmspc, pceId: tcbInfo.pceId } },
      },
    )
}
