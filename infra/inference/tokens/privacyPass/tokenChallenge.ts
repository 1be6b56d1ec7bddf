import { concat, malformed, readBytes, sha256, uint } from '../bytes.ts'
import { TOKEN_TYPE } from './token.ts'

/** What a token is for. RFC 9577 section 2.1.1. */
export type TokenChallenge = {
  /** 16 bits. Ours is always {@link TOKEN_TYPE}. */
  readonly tokenType: number
  /** ASCII, the name of who signs. */
  readonly issuerName: string
  /** 32 bytes, or none: then tokens can be got in advance, as a wallet's are. */
  readonly redemptionContext: Uint8Array
  /** The names of those it may be spent at; with none it may be spent anywhere. */
  readonly originInfo: readonly string[]
}

const MAXIMUM = 0xffff
const ASCII = /^[\x21-\x7e]*$/

/**
 * The challenge on the wire. RFC 9577 section 2.1.1:
 *
 *     struct {
 *         uint16_t token_type;
 *         opaque issuer_name<1..2^16-1>;
 *         opaque redemption_context<0..32>;
 *         opaque origin_info<0..2^16-1>;
 *     } TokenChallenge;
 *
 * `redemption_context` has 0 or 32 bytes and nothing between; `origin_info` is the names with commas between.
 *
 * @throws {TokenError} `TOKEN_FORMAT`
 */
export function encodeTokenChallenge(challenge: TokenChallenge): Uint8Array {
  const { tokenType, issuerName, redemptionContext, originInfo } = challenge
  requireNames(issuerName, originInfo)
  if (!Number.isInteger(tokenType) || tokenType < 0 || tokenType > MAXIMUM)
    throw malformed(NAME, 'has a token type beyond 16 bits')
  requireContext(redemptionContext.length)
  const origins = originInfo.join(',')
  if (issuerName.length > MAXIMUM || origins.length > MAXIMUM)
    throw malformed(NAME, 'has a name that is too long')
  return concat(
    uint(tokenType, 2),
    uint(issuerName.length, 2),
    Buffer.from(issuerName, 'latin1'),
    uint(redemptionContext.length, 1),
    redemptionContext,
    uint(origins.length, 2),
    Buffer.from(origins, 'latin1'),
  )
}

/** Reads what {@link encodeTokenChallenge} writes. @throws {TokenError} `TOKEN_FORMAT` */
export function decodeTokenChallenge(bytes: Uint8Array): TokenChallenge {
  const reader = readBytes(NAME, bytes)
  const tokenType = reader.uint(2)
  const issuerName = text(reader.take(reader.uint(2)))
  const redemptionContext = reader.take(reader.uint(1))
  requireContext(redemptionContext.length)
  const origins = text(reader.take(reader.uint(2)))
  reader.end()
  const originInfo = origins === '' ? [] : origins.split(',')
  requireNames(issuerName, originInfo)
  return { tokenType, issuerName, redemptionContext, originInfo }
}

/**
 * `challenge_digest = SHA256(challenge)`, RFC 9578 section 6.1: what binds a token to its challenge. 32 bytes.
 *
 * @throws {TokenError} `TOKEN_FORMAT`
 */
export const challengeDigest = (challenge: TokenChallenge): Uint8Array =>
  sha256(encodeTokenChallenge(challenge))

/**
 * The challenge of tokens that one gateway alone takes, whoever signed them: its name in `origin_info` makes their
 * digest differ from that of any other gateway's. The context is empty, so that they can be bought in advance and
 * look alike.
 *
 * @param issuer the mint's name; for change the gateway's own
 * @example gatewayChallenge({ issuer: 'mint.example', gateway: 'gateway.example' })
 */
export function gatewayChallenge({ issuer, gateway }: { readonly issuer: string; readonly gateway: string }) {
  const challenge: TokenChallenge = {
    tokenType: TOKEN_TYPE,
    issuerName: issuer,
    redemptionContext: new Uint8Array(0),
    originInfo: [gateway],
  }
  requireNames(issuer, challenge.originInfo)
  return challenge
}

/**
 * Whether a challenge may be answered to an origin. RFC 9577 section 2.1.3: a list of names has to hold the one that
 * asks, in whatever case.
 */
export const isForOrigin = ({ originInfo }: TokenChallenge, origin: string): boolean =>
  originInfo.length === 0 || originInfo.some((name) => name.toLowerCase() === origin.toLowerCase())

const NAME = 'TokenChallenge'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

function requireNames(issuer: string, origins: readonly string[]): void {
  if (issuer === '') throw malformed(NAME, 'names no issuer')
  if (origins.some((name) => name === '' || name.includes(',')))
    throw malformed(NAME, 'has an empty origin name')
  if (![issuer, ...origins].every((name) => ASCII.test(name)))
    throw malformed(NAME, 'has a name that is not ASCII')
}

function requireContext(length: number): void {
  if (length !== 0 && length !== 32) throw malformed(NAME, `has a redemption context of ${length} bytes`)
}
