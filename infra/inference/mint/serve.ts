import { createHash } from 'node:crypto'
import type { IncomingMessage, OutgoingHttpHeaders, RequestListener, ServerResponse } from 'node:http'
import { BodyError } from '../../http/errors.ts'
import { type ServerMetrics, serveOperations } from '../../http/operations.ts'
import { readBody } from '../../http/readBody.ts'
import { respond } from '../../http/respond.ts'
import { mediaTypes, routes } from '../protocol/network/routes.ts'
import { toBase64Url } from '../protocol/network/text.ts'
import { TokenError } from '../tokens/errors.ts'
import { TOKEN_TYPE } from '../tokens/privacyPass/token.ts'
import { type Issuer, TOKEN_REQUEST_LENGTH } from './createIssuer.ts'
import type { KeyRing } from './keyRing.ts'
import type { MintLimits } from './limits.ts'
import { type MintRefusal, refuse } from './refusals.ts'
import type { Witness } from './witness.ts'

/** What is answered with 200; undefined when nobody is there to be answered. */
type Answer = { readonly headers: OutgoingHttpHeaders; readonly body: string | Uint8Array } | undefined

/** A resource. The route's word is what is counted. */
type Resource = {
  readonly route:
    | 'issuer-directory'
    | 'token-request'
    | 'token-requests'
    | 'token-reissue'
    | 'account'
    | 'directories'
  readonly method: 'GET' | 'POST'
  answer(request: IncomingMessage, response: ServerResponse): Promise<Answer | MintRefusal>
}

const json = { 'content-type': 'application/json' }
const bodyFaults = {
  'too-large': 'too_large',
  stalled: 'body_stalled',
  aborted: 'body_aborted',
  crowded: 'busy',
} as const

/** Seconds for which an issuer directory may be kept. */
const DIRECTORY_AGE = 60

/** Makes what answers a mint's requests. */
export function createMintHandler(parameters: {
  readonly issuer: Issuer
  readonly ring: KeyRing
  readonly isRecording: () => boolean
  readonly witnesses: ReadonlyMap<string, Witness>
  readonly limits: MintLimits
  readonly metrics: ServerMetrics
  readonly isClosing: () => boolean
  readonly onFailure: (error: unknown) => void
}): RequestListener {
  const { issuer, ring, isRecording, witnesses, limits, metrics, isClosing, onFailure } = parameters
  const ofAccount = new Map<string, number>()
  let inFlight = 0

  /** Runs something that one account may have running so many times. */
  async function once(
    account: string,
    run: () => Promise<Answer | MintRefusal>,
  ): ReturnType<Resource['answer']> {
    const running = ofAccount.get(account) ?? 0
    if (running >= limits.requestsOfAccount)
      return { code: 'busy', limit: { requests: limits.requestsOfAccount } }
    ofAccount.set(account, running + 1)
    try {
      return await run()
    } finally {
      const left = (ofAccount.get(account) ?? 1) - 1
      if (left === 0) ofAccount.delete(account)
      else ofAccount.set(account, left)
    }
  }

  const issue = (route: 'token-request' | 'token-requests' | 'token-reissue', most: number): Resource => ({
    route,
    method: 'POST',
    async answer(request, response) {
      const account = accountOf(request)
      if (account === undefined) return { code: 'account_unknown' }
      // Who has no account is told before anything is read.
      const has = issuer.balance(account)
      if ('code' in has) return has
      if (mediaTypeOf(request) !== mediaTypes.tokenRequest) return { code: 'media_type' }
      return once(account, async () => {
        const body = await readBody(request, { most: most * TOKEN_REQUEST_LENGTH, stall: limits.uploadStall })
        const issued = await issuer.issue(account, body, () => !response.destroyed, route === 'token-reissue')
        if (issued === undefined) return undefined
        if (!(issued instanceof Uint8Array)) return issued
        return { headers: { 'content-type': mediaTypes.tokenResponse }, body: issued }
      })
    },
  })

  const issuerDirectory: Resource = {
    route: 'issuer-directory',
    method: 'GET',
    async answer() {
      await ring.refresh()
      // RFC 9578, section 4, and when a key's tokens end.
      const body = JSON.stringify({
        'issuer-request-uri': routes.mint.tokenRequest,
        'token-keys': ring.listed().map(({ pair, notBefore, notAfter }) => ({
          'token-type': TOKEN_TYPE,
          'token-key': toBase64Url(pair.publicKey.spki),
          'not-before': notBefore,
          'not-after': notAfter,
        })),
      })
      const headers = {
        'content-type': mediaTypes.issuerDirectory,
        'cache-control': `public, max-age=${DIRECTORY_AGE}`,
      }
      return { headers, body }
    },
  }

  const account: Resource = {
    route: 'account',
    method: 'GET',
    async answer(request) {
      const id = accountOf(request)
      const has = id === undefined ? ({ code: 'account_unknown' } as const) : issuer.balance(id)
      return 'code' in has ? has : { headers: json, body: JSON.stringify({ tokens: has.tokens }) }
    },
  }

  const resources = new Map<string, Resource>([
    [routes.mint.issuerDirectory, issuerDirectory],
    [routes.mint.tokenRequest, issue('token-request', 1)],
    [routes.mint.tokenRequests, issue('token-requests', limits.tokens)],
    [routes.mint.tokenReissue, issue('token-reissue', 1)],
    [routes.mint.account, account],
  ])

  /** `/directories/<gateway>/<epoch>`, and `latest` in the place of an epoch. */
  function directoryAt(path: string): Resource | undefined {
    const [, first, gateway = '', epoch = '', more] = path.split('/')
    if (first !== 'directories' || more !== undefined) return undefined
    return {
      route: 'directories',
      method: 'GET',
      async answer() {
        const witness = witnesses.get(gateway)
        if (witness === undefined) return { code: 'gateway_unknown' }
        const number = /^[1-9]\d{0,15}$/.test(epoch) ? Number(epoch) : Number.NaN
        if (epoch !== 'latest' && !Number.isSafeInteger(number)) return { code: 'epoch_unknown' }
        const document = await (epoch === 'latest' ? witness.latest() : witness.document(number))
        return typeof document === 'string'
          ? { headers: { 'content-type': mediaTypes.directory }, body: document }
          : document
      },
    }
  }

  async function answerTo(
    resource: Resource,
    request: IncomingMessage,
    response: ServerResponse,
  ): ReturnType<Resource['answer']> {
    if (request.method !== resource.method) return { code: 'method_not_allowed', allow: resource.method }
    if (isClosing()) return { code: 'closing' }
    if (inFlight >= limits.requests) return { code: 'busy', limit: { requests: limits.requests } }
    inFlight += 1
    try {
      return await resource.answer(request, response)
    } catch (error) {
      if (error instanceof BodyError)
        return {
          code: bodyFaults[error.fault],
          ...(error.fault === 'too-large' ? { limit: { tokens: limits.tokens } } : {}),
        }
      onFailure(error)
      return { code: error instanceof TokenError ? 'state_unavailable' : 'failed' }
    } finally {
      inFlight -= 1
    }
  }

  const health = () => {
    if (isClosing()) return { ok: false, reason: 'The mint is shutting down.' } as const
    return isRecording()
      ? ({ ok: true } as const)
      : ({ ok: false, reason: 'What is sold cannot be recorded.' } as const)
  }

  return (request, response) => {
    const path = request.url ?? ''
    const resource = resources.get(path) ?? directoryAt(path)
    if (resource === undefined) {
      metrics.inFlight.set(inFlight)
      if (serveOperations(request, response, { registry: metrics.registry, health })) return
      metrics.requests.inc({ route: 'other', outcome: 'not_found' })
      refuse(response, { code: 'not_found' })
      return
    }
    const began = performance.now()
    void answerTo(resource, request, response).then((answer) => {
      const outcome = answer === undefined ? 'client_gone' : 'code' in answer ? answer.code : 'ok'
      metrics.requests.inc({ route: resource.route, outcome })
      metrics.firstByte.observe({ route: resource.route }, (performance.now() - began) / 1_000)
      if (answer === undefined) return
      if ('code' in answer) refuse(response, answer)
      else respond(response, 200, answer.headers, answer.body)
    })
  }
}

/** The account of a request's key: its SHA-256 in hex. A key is 32 bytes in base64url, in one spelling only. */
function accountOf({ headers }: IncomingMessage): string | undefined {
  const [, text = ''] = /^Bearer ([\w-]{43})$/i.exec(headers.authorization ?? '') ?? []
  const key = Buffer.from(text, 'base64url')
  if (key.length !== 32 || key.toString('base64url') !== text) return undefined
  return createHash('sha256').update(key).digest('hex')
}

const mediaTypeOf = ({ headers }: IncomingMessage): string =>
  (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
