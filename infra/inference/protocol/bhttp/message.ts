/**
 * One field line: a name and a value.
 *
 * Both are byte strings (one character is one byte, ISO-8859-1), as everywhere in HTTP libraries. Names are
 * written in lower case; a received name is given as it came.
 */
export type Field = readonly [name: string, value: string]

/** Method and target of a request (RFC 9292, section 3.4), with the values of HTTP/2's pseudo-fields. */
export type RequestControl = {
  readonly method: string
  readonly scheme: string
  /** Empty if the request names none. */
  readonly authority: string
  readonly path: string
}

/** A 1xx response that precedes the final one (RFC 9292, section 3.5.1). */
export type InformationalResponse = {
  /** 100 to 199. */
  readonly status: number
  readonly headers: readonly Field[]
}

/** A whole request. */
export type BinaryRequest = RequestControl & {
  readonly headers: readonly Field[]
  readonly content: Uint8Array
  readonly trailers: readonly Field[]
}

/** A whole response. */
export type BinaryResponse = {
  readonly informational: readonly InformationalResponse[]
  /** 200 to 599. */
  readonly status: number
  readonly headers: readonly Field[]
  readonly content: Uint8Array
  readonly trailers: readonly Field[]
}

/**
 * RFC 9292, section 3.3, Framing Indicator: "A value of 0 describes a request of known length. A value of 1
 * describes a response of known length. A value of 2 describes a request of indeterminate length. A value of 3
 * describes a response of indeterminate length. Other values cause the message to be invalid."
 */
export const framingIndicator = {
  knownRequest: 0,
  knownResponse: 1,
  indeterminateRequest: 2,
  indeterminateResponse: 3,
} as const
