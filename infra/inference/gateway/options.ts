import type { Logger } from '../../../runtime/core/ports.ts'
import type { Identity, IdentityKey } from '../protocol/network/identity.ts'
import type { NullifierStore } from '../tokens/nullifiers/nullifierStore.ts'
import type { AnswerCache } from '../tokens/redelivery/answerCache.ts'
import type { SharedReplay } from './keys/sharedReplay.ts'

/** A mint whose tokens are taken. */
export type MintOption = {
  /** As it stands in the challenge of its tokens. */
  readonly name: string
  readonly url: string
}

/** A node that requests are handed to. */
export type NodeOption = {
  readonly url: string
  /** Only what this identity signed is taken for the node's description. */
  readonly identity: Identity
}

/** How much a gateway takes on, and how long it waits. Times are in milliseconds, sizes in bytes. */
export type GatewayLimits = {
  /** HTTP requests that are served at once, streams to readers included. */
  readonly requests: number
  /** Spends that are worked on at once, in total; one more is 429 before anything is reserved. */
  readonly spends: number
  /** The same for each node. */
  readonly spendsPerNode: number
  /** From a connection attempt to a node until it stands. */
  readonly connect: number
  /** Until the first byte of a node's answer. */
  readonly firstByte: number
  /** Between two bytes of it. */
  readonly silence: number
  /** For all of it. */
  readonly whole: number
  /** For which a client may take nothing of what waits for it, before it is cut off. */
  readonly stall: number
  /** Within which a client has to send each next byte of its request. */
  readonly body: number
  /** Bytes a second of a request that have to arrive on the whole, `body` aside. */
  readonly slowest: number
  /** Memory of the requests above 64 KiB that do not stand opened yet, together. */
  readonly unopened: number
  /** An answer up to this size is kept, so that the same spend gets it again from the beginning. */
  readonly keptPerAnswer: number
  /** All answers that are kept while they are under way or read. */
  readonly kept: number
  /** For how long an answer is delivered again after its end. */
  readonly redelivery: number
  /** How many bytes of an answer that is too large to keep may wait for its reader before the node is held back. */
  readonly backlog: number
  /** How many requests one key configuration serves, in the memory of one process. */
  readonly replays: number
  /** Largest content of a node's answer. */
  readonly answer: number
}

const kibibyte = 1024
const mebibyte = 1024 * kibibyte

export const defaultLimits: GatewayLimits = {
  requests: 4_096,
  spends: 2_048,
  spendsPerNode: 1_024,
  connect: 10_000,
  firstByte: 120_000,
  silence: 60_000,
  whole: 600_000,
  stall: 30_000,
  body: 10_000,
  slowest: 16 * kibibyte,
  unopened: 256 * mebibyte,
  keptPerAnswer: 4 * mebibyte,
  kept: 256 * mebibyte,
  redelivery: 60_000,
  backlog: 256 * kibibyte,
  replays: 1_000_000,
  answer: 256 * mebibyte,
}

/** How often a gateway looks and how long its keys live, in milliseconds. */
export type GatewayRotation = {
  /** A new OHTTP key after so long. A directory is valid for twice that. */
  readonly keys: number
  /** A new change key after so long. It signs for one such time and is accepted for one more. */
  readonly changeKeys: number
  /** Between two looks at each node's description. */
  readonly nodes: number
  /** Between two looks at each mint's keys. */
  readonly mints: number
}

const hour = 3_600_000

export const defaultRotation: GatewayRotation = {
  keys: 12 * hour,
  changeKeys: 30 * 24 * hour,
  nodes: 5_000,
  mints: 60_000,
}

/** What several gateway processes behind one name share, beside the state folder, nullifiers and answers. */
export type GatewayCluster = {
  /** 32 secret bytes that all processes have: their OHTTP keys are derived from it. */
  readonly seed: Uint8Array
  /** Remembers each request for all of them. */
  readonly replay: SharedReplay
}

export type GatewayOptions = {
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** 0, the default, takes a free one. */
  readonly port?: number
  /** The folder of its change keys and directories; processes behind one name share it. */
  readonly state: string
  /** Its name in directories and in the challenge of its tokens. */
  readonly name: string
  readonly identity: IdentityKey
  readonly mints: readonly MintOption[]
  readonly nodes: readonly NodeOption[]
  /** Closed by the caller, after the gateway. */
  readonly nullifiers: NullifierStore
  /** Closed by the caller, after the gateway. */
  readonly answers: AnswerCache
  /** Several processes behind one name; absent, this process is alone. */
  readonly cluster?: GatewayCluster
  readonly limits?: Partial<GatewayLimits>
  readonly rotation?: Partial<GatewayRotation>
  /** Wall clock in milliseconds since 1970. */
  readonly now?: () => number
  readonly logger?: Logger
  /** Metrics of the process too, where it is alone in it. */
  readonly withProcessMetrics?: boolean
}

/** A gateway that runs. */
export type Gateway = {
  /** Such as `http://127.0.0.1:41231`. */
  readonly url: string
  readonly name: string
  readonly identity: Identity
  /** Takes no more, gives what is under way `grace` milliseconds to end (none when absent), then cuts it. */
  close(grace?: number): Promise<void>
}
