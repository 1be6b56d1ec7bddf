import type { Logger } from '../../../runtime/core/ports.ts'
import type { Identity, IdentityKey } from '../protocol/network/identity.ts'
import { type NodeModel, nodeDescriptionSchema } from '../protocol/network/nodeDescription.ts'
import { largestInnerBucket, sealedRequestLength } from '../protocol/network/sizes.ts'
import { NodeOptionsError } from './errors.ts'

/** A model as the node offers it, and how its server knows it. */
export type NodeModelOptions = NodeModel & {
  /** Its name at the upstream; the public one by default. */
  readonly upstreamModel?: string
  /** Most completion tokens that the upstream takes in one request, where that is less than the context. */
  readonly maxCompletion?: number
  /** What the upstream calls the limit of a completion. By default what the client called it, or `max_tokens`. */
  readonly limitField?: 'max_tokens' | 'max_completion_tokens'
}

/** The OpenAI-compatible server that runs the models, or passes them on. */
export type UpstreamOptions = {
  /** With the version, such as `http://127.0.0.1:11434/v1`. */
  readonly url: string
  /** Sent as a bearer token, and shown to nobody else. */
  readonly key?: string
}

/** Makes what a client can check (`../protocol/attestation`), as an object that JSON can hold. */
export type Attest = (reportData: Uint8Array) => Promise<object>

/** What a node bears. */
export type NodeLimits = {
  /** Requests that are served at once; more are told `busy`. 256 by default. */
  readonly requests: number
  /** Bodies that are received at once, before it is known who sends them. 256 by default. */
  readonly bodies: number
  /** Bytes of memory for the ones above 64 KiB among them, together. 256 MiB by default. */
  readonly bodyBytes: number
  /** Bytes of a sealed request. That of the largest bucket by default. */
  readonly requestBytes: number
  /** Bytes of an answer that is not a stream. 12 MiB by default, so that it fits in a chunked message. */
  readonly answerBytes: number
  /** Bytes of a stream, before it is sealed. 256 MiB by default. */
  readonly streamBytes: number
  /** Bytes of a sealed answer, cells that hold nothing included. 240 MiB by default: a gateway takes 256. */
  readonly sealedBytes: number
}

/** In milliseconds. */
export type NodeTimeouts = {
  /** For a request's body to arrive. 30 s by default. */
  readonly body: number
  /** For the upstream to begin its answer. 110 s by default: the gateway waits for 120. */
  readonly firstByte: number
  /** For the upstream to go on with it. 55 s by default: the gateway waits for 60. */
  readonly silence: number
  /** For the whole answer. 590 s by default: the gateway waits for 600. */
  readonly whole: number
  /** For the gateway to take something of what waits for it. 30 s by default. */
  readonly stalled: number
  /** Between two looks at the upstream's health. 15 s by default. */
  readonly probe: number
}

/** When keys change. */
export type NodeRotation = {
  /** Milliseconds after which a new key is published. 12 hours by default. */
  readonly every: number
  /** Milliseconds for which the former one is accepted still. As long again by default. */
  readonly overlap: number
  /** Requests that one key serves; then it is given up at once. A million by default. */
  readonly capacity: number
}

export type NodeOptions = {
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** 0, the default, takes a free one. */
  readonly port?: number
  /** What the node is called in directories. */
  readonly name: string
  /** Who runs it. */
  readonly operator: string
  readonly identity: IdentityKey
  /** Whose requests are served. */
  readonly gateways: readonly Identity[]
  readonly upstream: UpstreamOptions
  readonly models: readonly NodeModelOptions[]
  /** Makes a TDX quote over 64 bytes of report data. Needed for `attested`. */
  readonly attestation?: Attest
  readonly limits?: Partial<NodeLimits>
  readonly timeouts?: Partial<NodeTimeouts>
  readonly rotation?: Partial<NodeRotation>
  /** Milliseconds since 1970. */
  readonly now?: () => number
  readonly logger?: Logger
  /** Adds figures of the process to `/metrics`: for a node that is alone in it. */
  readonly withProcessMetrics?: boolean
}

/** Options with nothing left open. */
export type NodeSettings = {
  readonly name: string
  readonly operator: string
  readonly identity: IdentityKey
  readonly gateways: readonly Identity[]
  readonly upstream: { readonly url: URL; readonly key?: string }
  readonly models: ReadonlyMap<string, NodeModelOptions>
  /** As the description has them. */
  readonly published: readonly NodeModel[]
  readonly attestation?: Attest
  readonly limits: NodeLimits
  readonly timeouts: NodeTimeouts
  readonly rotation: NodeRotation
  readonly now: () => number
  readonly logger: Logger
}

const mebibyte = 1024 * 1024
const hour = 3_600_000
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/**
 * Checks options and fills them up.
 *
 * @throws NodeOptionsError
 */
export function readOptions(options: NodeOptions): NodeSettings {
  const { name, operator, identity, gateways, upstream, models, attestation } = options
  const published = models.map(({ id, privacy, context, price, serves }) => ({
    id,
    privacy,
    context,
    price: { prompt: price.prompt, completion: price.completion },
    serves: [...serves],
  }))
  const described = nodeDescriptionSchema
    .pick({ name: true, operator: true, models: true })
    .safeParse({ name, operator, models: published })
  if (!described.success) {
    const issue = described.error.issues[0]
    const at = issue?.path.join('.') ?? ''
    throw new NodeOptionsError(
      `has options that no description can hold: ${at}: ${issue?.message ?? ''}`,
      `Correct ${at}.`,
      { at },
    )
  }
  const byName = new Map(models.map((model) => [model.id, model]))
  if (byName.size !== models.length)
    throw new NodeOptionsError('has two models of one name', 'Give each model a name of its own.')
  if (gateways.length === 0)
    throw new NodeOptionsError('serves no gateway', 'Name the identity of at least one gateway.')
  if (models.some(({ privacy }) => privacy === 'attested') && attestation === undefined)
    throw new NodeOptionsError(
      'promises an attested model and has no attestation',
      'Give the function that makes quotes, or promise `private`.',
    )
  const rotation = { every: 12 * hour, capacity: 1_000_000, ...options.rotation }
  return {
    name,
    operator,
    identity,
    gateways,
    upstream: { url: readUrl(upstream.url), ...(upstream.key === undefined ? {} : { key: upstream.key }) },
    models: byName,
    published,
    ...(attestation === undefined ? {} : { attestation }),
    limits: {
      requests: 256,
      bodies: 256,
      bodyBytes: 256 * mebibyte,
      requestBytes: sealedRequestLength(largestInnerBucket),
      answerBytes: 12 * mebibyte,
      streamBytes: 256 * mebibyte,
      sealedBytes: 240 * mebibyte,
      ...options.limits,
    },
    timeouts: {
      body: 30_000,
      firstByte: 110_000,
      silence: 55_000,
      whole: 590_000,
      stalled: 30_000,
      probe: 15_000,
      ...options.timeouts,
    },
    rotation: { overlap: rotation.every, ...rotation },
    now: options.now ?? Date.now,
    logger: options.logger ?? silent,
  }
}

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  // A name or password in it would end up in errors and on terminals: that is what the key is for.
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
    throw new NodeOptionsError(
      'has an upstream whose URL cannot be used',
      'Give an http(s) URL without a user, such as http://127.0.0.1:11434/v1.',
    )
  return url
}
