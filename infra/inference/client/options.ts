import type { PinnedTrust } from '../protocol/attestation/verifyAttestation.ts'
import type { Privacy } from '../protocol/network/privacy.ts'
import type { Wallet } from '../tokens/wallet/openWallet.ts'
import type { PathReport } from './pathReport.ts'

/** The gateway that a client pays at. */
export type GatewayReference = {
  readonly name: string
  /** 43 characters of base64url that its operator publishes. */
  readonly identity: string
  /**
   * Second sources of its directory: each answers `<url>/directories/<gateway>/<epoch>`. A mint is one. At least one,
   * and at least one has to answer: without a second source nothing is sent.
   */
  readonly witnesses: readonly string[]
}

/** Where tokens are bought, and when. */
export type MintReference = {
  readonly url: string
  /** As it stands in the directory. */
  readonly name: string
  /** The account's key, from {@link createAccountKey}. */
  readonly account: string
  /**
   * Buys more when fewer tokens than this are ready. 192 by default: high enough that in normal use the tokens last
   * until the delay is over.
   */
  readonly lowWater?: number
  /** How many are bought at once, at most 256. 128 by default: the same for everybody, so that it says nothing. */
  readonly batch?: number
  /**
   * Milliseconds to wait before buying, drawn evenly between the two: a mint that sees a purchase then does not see
   * when a request was made. 5,000 to 60,000 by default. A wallet that has not enough for one request of
   * the largest class is filled at once: when the network is opened, and, if a burst of requests emptied it, behind the
   * last of them. The mint then sees when that was, and `onNotice` is told (`INFERENCE_WALLET_DRAINED`).
   */
  readonly delay?: { readonly min: number; readonly max: number }
}

/** Requests that mean nothing, sent and paid for like real ones. */
export type CoverOptions = {
  /**
   * Milliseconds between two: a number is the mean of an exponential distribution, whose requests say nothing of when
   * the next one comes; a range is drawn from evenly.
   */
  readonly every: number | { readonly min: number; readonly max: number }
  /** Which model is asked. */
  readonly model: string
}

/** Milliseconds. */
export type ClientTimeouts = {
  /** For the directory, its witnesses, a mint, and each small request to the gateway. 10,000. */
  readonly short: number
  /** Until an answer begins. A gateway gives a node 120,000; 130,000. */
  readonly firstByte: number
  /** Between two pieces of an answer. A gateway gives a node 60,000; 70,000. */
  readonly idle: number
}

export const defaultTimeouts: ClientTimeouts = { short: 10_000, firstByte: 130_000, idle: 70_000 }

/** Something that went wrong beside any request, and will be tried again. */
export type Notice = {
  readonly what: 'directory' | 'measurements' | 'top-up' | 'reclaim' | 'cover' | 'settlement'
  readonly error: unknown
}

type Common = {
  /**
   * Is told of each request's path when it has ended. It has to return quickly and must not throw: what it throws is
   * an uncaught exception, as that of any event listener.
   */
  readonly onPath?: (report: PathReport) => void
  readonly timeouts?: Partial<ClientTimeouts>
  /** Wall clock in milliseconds since 1970. */
  readonly now?: () => number
}

/** A model on this machine: nothing leaves it. */
export type LocalOptions = Common & {
  readonly privacy: 'local'
  /** Base URL of an OpenAI-compatible API on loopback; only what follows its `/v1` is ever asked for. */
  readonly local: { readonly url: string }
}

/** A private network. */
export type NetworkOptions = Common & {
  /** The weakest word that is accepted. A request never goes to a model that promises less. */
  readonly privacy: Exclude<Privacy, 'local'>
  /** URLs of relays, used in turn. */
  readonly relay: string | readonly string[]
  readonly gateway: GatewayReference
  /** Opened, and closed after the network, by the caller. */
  readonly wallet: Wallet
  /** Absent: the wallet is spent and never filled. */
  readonly mint?: MintReference
  /** The most that one operator gets of the latest 100 requests, over 0 and up to 1, which is the default. */
  readonly operatorShare?: number
  /**
   * Whose nodes alone are used: names, or names with the identities of their nodes. A node says itself who runs it,
   * so that only the second form keeps out who claims to be somebody else.
   */
  readonly pinnedOperators?: readonly string[] | Readonly<Record<string, readonly string[]>>
  /** What `attested` nodes have to have measured. Without it none passes for attested. */
  readonly attestation?: PinnedTrust
  /** Bytes of a cell, 64 to 16384, or `off`. 1024 by default. */
  readonly cells?: number | 'off'
  /** Milliseconds between two cells, 5 to 10000, or `off` for the lowest latency, which is the default. Needs cells. */
  readonly cadence?: number | 'off'
  /** Completion tokens to reckon with where a body names no limit. 1,024 by default. */
  readonly ceiling?: number
  readonly cover?: CoverOptions
  /**
   * Milliseconds between two looks at what the gateway measured of its nodes, drawn evenly: 60,000 to 300,000 by
   * default, the first one too unless it is given. A look at a fixed time after the start would tell of the start.
   */
  readonly looks?: { readonly least: number; readonly most: number; readonly first?: number }
  /** A file that remembers the highest epoch of each gateway, such as one beside the wallet. Absent: in memory. */
  readonly memory?: string
  /** How often one payment is sent while it is not known what became of it. 3 by default. */
  readonly tries?: number
  /** Is told of what goes wrong in the background. */
  readonly onNotice?: (notice: Notice) => void
  /** Carries all requests, for tests. Absent: connections of its own on `node:http`. */
  readonly fetch?: typeof globalThis.fetch
  /** From 0 up to 1: for choices, not for secrets. Replaced in tests. */
  readonly random?: () => number
}

export type PrivateFetchOptions = LocalOptions | NetworkOptions
