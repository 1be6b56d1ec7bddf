import type { BinaryRequest } from '../protocol/bhttp/message.ts'
import { measurementsSchema } from '../protocol/network/directory.ts'
import { mediaTypes } from '../protocol/network/routes.ts'
import { changeDigest } from '../tokens/change/changeDigest.ts'
import { TokenError, type TokenErrorCode } from '../tokens/errors.ts'
import type { NullifierStore } from '../tokens/nullifiers/nullifierStore.ts'
import { decodeTokenRequest, encodeTokenResponse, requireIssuable } from '../tokens/privacyPass/issuance.ts'
import type { ChangeSigner } from './change/changeSigner.ts'
import type { DirectoryKeeper } from './directory.ts'
import type { NodeMeasurements } from './measurements.ts'
import { encodeRefusal, encodeWhole, refusals } from './problems.ts'

const NULLIFIER_LENGTH = 32

/**
 * `POST /token-status`: whether a token was spent, for a client that recovers its wallet. Each is asked for on its
 * own: asked for together, they would be known to be of one wallet.
 */
export async function tokenStatus(
  { content }: BinaryRequest,
  nullifiers: NullifierStore,
): Promise<Uint8Array> {
  if (content.length !== NULLIFIER_LENGTH) return encodeRefusal(refusals.malformed)
  try {
    const isSpent = await nullifiers.isSpent(content)
    return encodeWhole({
      status: 200,
      headers: [['content-type', 'application/octet-stream']],
      content: Uint8Array.of(isSpent ? 1 : 0),
    })
  } catch (error) {
    return unlessStore(error)
  }
}

/** `POST /reissue`: signs again what was signed as change before, and nothing else. */
export async function reissue(
  { content }: BinaryRequest,
  parts: {
    readonly nullifiers: NullifierStore
    readonly signer: ChangeSigner
    readonly directory: DirectoryKeeper
  },
): Promise<Uint8Array> {
  const { nullifiers, signer, directory } = parts
  try {
    const request = decodeTokenRequest(content)
    if (!(await nullifiers.wasSigned(changeDigest(request.blindedMessage))))
      return encodeRefusal(refusals.neverSigned)
    const { changePairs } = directory
    requireIssuable(changePairs, request)
    const [signature] = await signer.sign({
      keys: changePairs,
      requests: [request],
      paid: 1,
      due: 1,
    })
    if (signature === undefined) return encodeRefusal(refusals.neverSigned)
    return encodeWhole({
      status: 200,
      headers: [['content-type', mediaTypes.tokenResponse]],
      content: encodeTokenResponse(signature),
    })
  } catch (error) {
    if (error instanceof TokenError && error.code === 'TOKEN_FORMAT') return encodeRefusal(refusals.malformed)
    // What was signed with a key that has ended is worth nothing any more.
    if (error instanceof TokenError && unsignable.has(error.code)) return encodeRefusal(refusals.neverSigned)
    return unlessStore(error)
  }
}

const unsignable: ReadonlySet<string> = new Set<TokenErrorCode>(['TOKEN_KEY_UNKNOWN', 'BLINDED_MESSAGE'])

/** `GET /measurements`. */
export const measurementsOf = (measurements: NodeMeasurements, directory: DirectoryKeeper): Uint8Array =>
  encodeWhole({
    status: 200,
    headers: [['content-type', 'application/json']],
    content: Buffer.from(
      JSON.stringify(measurementsSchema.parse(measurements.snapshot(directory.nodes.values()))),
    ),
  })

function unlessStore(error: unknown): Uint8Array {
  if (error instanceof TokenError) return encodeRefusal(refusals.storeUnavailable)
  throw error
}
