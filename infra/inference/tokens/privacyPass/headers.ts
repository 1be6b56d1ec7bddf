import { malformed } from '../bytes.ts'
import { TokenError } from '../errors.ts'
import { decodeToken, encodeToken, TOKEN_TYPE, type Token } from './token.ts'
import { decodeTokenChallenge, encodeTokenChallenge, type TokenChallenge } from './tokenChallenge.ts'

/** The authentication scheme of RFC 9577. */
const SCHEME = 'PrivateToken'
/** Longer headers are refused unread; sixteen challenges with keys fit. */
const MAXIMUM_LENGTH = 16_384

/** One challenge of a `WWW-Authenticate` header. */
export type PrivateTokenChallenge = {
  readonly challenge: TokenChallenge
  /** The issuer's key; left out where clients get it another way. */
  readonly tokenKey?: Uint8Array
  /** Seconds for which the challenge is accepted. */
  readonly maxAge?: number
}

/**
 * The value of `WWW-Authenticate`, RFC 9577 section 2.1.2:
 *
 *     WWW-Authenticate:
 *       PrivateToken challenge="abc...", token-key="123...",
 *       PrivateToken challenge="def...", token-key="234..."
 *
 * Values are base64url with padding, hence quoted.
 *
 * @throws {TokenError} `TOKEN_FORMAT`
 */
export function formatChallenges(challenges: readonly PrivateTokenChallenge[]): string {
  return challenges
    .map(({ challenge, tokenKey, maxAge }) => {
      const parameters = [`challenge="${toBase64Url(encodeTokenChallenge(challenge))}"`]
      if (tokenKey !== undefined) parameters.push(`token-key="${toBase64Url(tokenKey)}"`)
      if (maxAge !== undefined) parameters.push(`max-age="${maxAge}"`)
      return `${SCHEME} ${parameters.join(', ')}`
    })
    .join(', ')
}

/**
 * The challenges of a `WWW-Authenticate` header that can be answered with a token of type 0x0002. Other schemes, other
 * token types, parameters and challenges that do not read are passed over, as RFC 9577 sections 2.1.2 and 2.1.3 ask
 * ("clients MUST ignore …"): origins send such on purpose.
 *
 * @throws {TokenError} `TOKEN_FORMAT` when the header as a whole is none.
 */
export function parseChallenges(header: string): readonly PrivateTokenChallenge[] {
  return parseAuthentication(header)
    .filter(({ scheme }) => scheme.toLowerCase() === SCHEME.toLowerCase())
    .flatMap(({ parameters }) => {
      const read = readChallenge(parameters)
      return read === null || read.challenge.tokenType !== TOKEN_TYPE ? [] : [read]
    })
}

function readChallenge(parameters: ReadonlyMap<string, string>): PrivateTokenChallenge | null {
  const maxAge = parameters.get('max-age')
  if (maxAge !== undefined && !/^\d{1,10}$/.test(maxAge)) return null
  try {
    const tokenKey = parameters.get('token-key')
    return {
      challenge: decodeTokenChallenge(fromBase64Url(parameters.get('challenge') ?? '')),
      ...(tokenKey === undefined ? {} : { tokenKey: fromBase64Url(tokenKey) }),
      ...(maxAge === undefined ? {} : { maxAge: Number(maxAge) }),
    }
  } catch (error) {
    if (error instanceof TokenError && error.code === 'TOKEN_FORMAT') return null
    throw error
  }
}

/**
 * The value of `Authorization`, RFC 9577 section 2.2.2: `PrivateToken token="abc..."`.
 *
 * @throws {TokenError} `TOKEN_FORMAT`
 */
export const formatAuthorization = (token: Token): string =>
  `${SCHEME} token="${toBase64Url(encodeToken(token))}"`

/** Reads what {@link formatAuthorization} writes. @throws {TokenError} `TOKEN_FORMAT` */
export function parseAuthorization(header: string): Token {
  const [credentials, ...more] = parseAuthentication(header)
  const token = credentials?.parameters.get('token')
  if (credentials?.scheme.toLowerCase() !== SCHEME.toLowerCase() || token === undefined || more.length > 0)
    throw malformed('Authorization header', 'holds no PrivateToken')
  return decodeToken(fromBase64Url(token))
}

/** `#challenge` of RFC 9110 section 11.6.1, or the one of an `Authorization`. */
type Authentication = { readonly scheme: string; readonly parameters: Map<string, string> }

const SEPARATOR = /[ \t,]*/y
const NAME = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y
const EQUALS = /[ \t]*=[ \t]*/y
// A token may not hold "=", but base64url with padding is sent unquoted all the same.
const VALUE = /"((?:[^"\\]|\\.)*)"|([!#$%&'*+./^_`|~0-9A-Za-z-]+=*)/y
const TOKEN68 = / +[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y

/**
 * Takes authentication headers apart. RFC 9110 section 11.3:
 *
 *     challenge   = auth-scheme [ 1*SP ( token68 / #auth-param ) ]
 *     auth-param  = token BWS "=" BWS ( token / quoted-string )
 *
 * A name with "=" after it is a parameter of the scheme before, any other name is a scheme.
 */
function parseAuthentication(header: string): readonly Authentication[] {
  if (header.length > MAXIMUM_LENGTH) throw malformed('authentication header', 'is too long')
  const found: Authentication[] = []
  let at = 0
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const result = pattern.exec(header)
    if (result !== null) at = pattern.lastIndex
    return result
  }
  for (;;) {
    match(SEPARATOR)
    if (at === header.length) return found
    const name = match(NAME)?.[0]
    if (name === undefined) throw malformed('authentication header', `cannot be read at character ${at}`)
    if (found.length > 0 && match(EQUALS) !== null) {
      const value = match(VALUE)
      const parameters = found.at(-1)?.parameters
      const key = name.toLowerCase()
      if (value === null || parameters === undefined || parameters.has(key))
        throw malformed('authentication header', `has a bad parameter before character ${at}`)
      parameters.set(key, value[2] ?? (value[1] ?? '').replace(/\\(.)/g, '$1'))
    } else {
      found.push({ scheme: name, parameters: new Map() })
      match(TOKEN68)
    }
  }
}

/** RFC 4648 section 5, with padding, as RFC 9577 asks for. */
const toBase64Url = (bytes: Uint8Array): string =>
  Buffer.from(bytes).toString('base64').replaceAll('+', '-').replaceAll('/', '_')

function fromBase64Url(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64url')
  // Node's decoder takes anything; what does not come back as it was sent is not base64url.
  if (toBase64Url(bytes) !== text) throw malformed('base64url value', 'is malformed')
  return bytes
}
