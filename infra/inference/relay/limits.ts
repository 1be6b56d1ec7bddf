import { sealedRequestLength } from '../protocol/network/sizes.ts'
import { requestBuckets } from '../protocol/padding.ts'

/** What a relay allows. Times are in milliseconds. */
export type RelayLimits = {
  /** Requests that are under way at once; more are 429 `busy`. */
  readonly requests: number
  /** Bytes of a request's body; a longer one is 413 `too_large`. */
  readonly requestLength: number
  /** For a head to arrive. */
  readonly head: number
  /** Without a byte of a request's body, after which it is 408 `body_stalled`. */
  readonly uploadStall: number
  /** Bytes a second of a request's body on the whole, `uploadStall` aside. */
  readonly slowestUpload: number
  /** For a connection to a gateway, after which it is 504 `gateway_timeout`. */
  readonly connect: number
  /** For a gateway's answer to begin, and for a gateway to take more of a request: 504 too. */
  readonly firstByte: number
  /** Between two pieces of an answer; then it is cut. */
  readonly silence: number
  /** For which the reader of an answer may take nothing of it; then it is cut. */
  readonly readerStall: number
  /** For which a directory is held. */
  readonly directoryHold: number
  /** For a gateway to hand out its directory. */
  readonly directory: number
  /** Bytes of a directory. */
  readonly directoryLength: number
}

/** Beside a request of the largest bucket there is room for one that was sealed in shorter chunks. */
const ROOM = 65_536

/**
 * The limits that hold unless others are given. A gateway gives a node 120 seconds to begin and 60 between two bytes;
 * a relay waits a little longer, so that the gateway, which can say more, is the one to tell. How slow a request may come
 * is the same at both: of one that is slower the gateway could say nothing but that it does not open.
 */
export const relayLimits: RelayLimits = {
  requests: 4_096,
  requestLength: sealedRequestLength(requestBuckets.at(-1) ?? 0) + ROOM,
  head: 10_000,
  uploadStall: 10_000,
  slowestUpload: 16_384,
  connect: 10_000,
  firstByte: 135_000,
  silence: 75_000,
  readerStall: 30_000,
  directoryHold: 1_000,
  directory: 10_000,
  directoryLength: 67_108_864,
}
