/** What a mint allows. Times are in milliseconds. */
export type MintLimits = {
  /** Requests that are under way at once; more are 429 `busy`. */
  readonly requests: number
  /** The same for one account. */
  readonly requestsOfAccount: number
  /** Tokens of one request; more are 413 `too_large`. */
  readonly tokens: number
  /** For which signing may keep everything else waiting. */
  readonly signing: number
  /** For a head to arrive. */
  readonly head: number
  /** Without a byte of a request's body. */
  readonly uploadStall: number
  /** For a gateway to hand out its directory. */
  readonly directory: number
  /** Between two looks at a gateway's directory. */
  readonly directoryHold: number
  /** Bytes of a directory. */
  readonly directoryLength: number
  /** Epochs of a gateway whose directories are kept. */
  readonly epochs: number
}

/** The limits that hold unless others are given. */
export const mintLimits: MintLimits = {
  requests: 256,
  requestsOfAccount: 4,
  tokens: 256,
  signing: 2,
  head: 10_000,
  uploadStall: 10_000,
  directory: 10_000,
  directoryHold: 2_000,
  directoryLength: 67_108_864,
  epochs: 256,
}
