/**
 * Media types of Oblivious HTTP: RFC 9458, sections 9.1 to 9.3, and draft-ietf-ohai-chunked-ohttp-08, section 8.
 * A request in one of the first two forms is answered in the form of the same kind, or not encapsulated at all.
 */
export const ohttpMediaTypes = {
  keys: 'application/ohttp-keys',
  request: 'message/ohttp-req',
  response: 'message/ohttp-res',
  chunkedRequest: 'message/ohttp-chunked-req',
  chunkedResponse: 'message/ohttp-chunked-res',
} as const

/**
 * The problem type with which a gateway answers a request that is sealed for a key it does not use
 * (RFC 9458, section 5.3), as `application/problem+json` with status 400.
 */
export const OHTTP_KEY_PROBLEM = 'https://iana.org/assignments/http-problem-types#ohttp-key'
