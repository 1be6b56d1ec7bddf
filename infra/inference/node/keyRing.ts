import { randomInt } from 'node:crypto'
import { z } from 'zod'
import { describeError } from '../../../runtime/core/errors.ts'
import { reportDataFor } from '../protocol/attestation/reportData.ts'
import { ReplaySetFullError, UnknownKeyError } from '../protocol/errors.ts'
import { nodeHpke } from '../protocol/hpke/nodeHpke.ts'
import { signNodeDescription } from '../protocol/network/nodeDescription.ts'
import { encodeKeyConfigs } from '../protocol/ohttp/keyConfig.ts'
import { createGatewayKey, type GatewayKey, type GatewayKeys, keyConfigOf } from '../protocol/ohttp/keys.ts'
import { ReplaySet } from '../protocol/ohttp/replay.ts'
import { NodeAttestationError } from './errors.ts'
import type { NodeSettings } from './options.ts'

/** What the node tells everybody of its key. */
export type Published = {
  /** The signed description. */
  readonly document: string
  /** `application/ohttp-keys`. */
  readonly configs: Uint8Array
}

/** The node's keys. They are in memory only: a node that starts anew has another. */
export type KeyRing = {
  /** Those that are accepted now. */
  readonly keys: GatewayKeys
  /** For the newest key; undefined when even that one's time is over. */
  readonly published: Published | undefined
  /**
   * Admits a request, once.
   *
   * @throws ReplayedRequestError
   * @throws UnknownKeyError when the key has served all that it can tell apart: it is given up at once
   */
  admit(key: GatewayKey, enc: Uint8Array): void
  /** Makes a new key when it is time. A failure is logged, and tried again in the next minute. */
  refresh(): Promise<void>
  close(): void
}

type Entry = {
  readonly key: GatewayKey
  readonly seen: ReplaySet
  readonly published: Published
  /** Milliseconds since 1970. */
  readonly rotateAt: number
  readonly until: number
}

/** Clocks differ: a description is valid from a little before it was made. In milliseconds. */
const skew = 300_000
/** How often is looked whether it is time, in milliseconds. */
const lookEvery = 60_000

/**
 * Makes the first key and keeps the ring in time.
 *
 * @throws NodeAttestationError when the first key cannot be attested
 */
export async function openKeyRing(settings: NodeSettings): Promise<KeyRing> {
  const { identity, rotation, now, logger, attestation } = settings
  const entries = new Map<number, Entry>()
  const keys = new Map<number, GatewayKey>()
  // From a random one on: a request for a key of the process before is then told that the key is gone, and not
  // that it cannot be opened.
  let nextId = randomInt(256)
  let newest: Entry | undefined
  let making: Promise<void> | undefined
  let closed = false

  const forget = (id: number) => {
    entries.delete(id)
    keys.delete(id)
  }
  const prune = () => {
    for (const [id, { until }] of entries) if (now() >= until) forget(id)
  }

  const make = async (): Promise<void> => {
    prune()
    while (entries.has(nextId)) nextId = (nextId + 1) % 256
    const key = await createGatewayKey(nodeHpke, nextId, await nodeHpke.generateKeyPair())
    const configs = encodeKeyConfigs([keyConfigOf(key)])
    const quote = await attestation?.(
      reportDataFor({ identity: identity.identity.bytes, keyConfigs: configs }),
    ).catch((error: unknown) => {
      throw new NodeAttestationError(error)
    })
    const made = now()
    const notAfter = Math.floor((made + rotation.every + rotation.overlap) / 1000)
    const document = await signNodeDescription(identity, {
      version: 1,
      name: settings.name,
      operator: settings.operator,
      keys: Buffer.from(configs).toString('base64'),
      notBefore: Math.max(0, Math.floor((made - skew) / 1000)),
      notAfter,
      models: [...settings.published],
      ...(quote === undefined ? {} : { attestation: asJson(quote) }),
    })
    // Nothing is known of the key outside before all of it is ready, so a failure on the way leaves no trace.
    const entry: Entry = {
      key,
      seen: new ReplaySet(rotation.capacity),
      published: { document, configs },
      rotateAt: made + rotation.every,
      until: notAfter * 1000,
    }
    entries.set(key.keyId, entry)
    keys.set(key.keyId, key)
    nextId = (key.keyId + 1) % 256
    newest = entry
  }

  const rotate = (): Promise<void> => {
    making ??= make()
      .then(() => logger.info({ notAfter: newest?.until }, 'node has a new key'))
      .finally(() => {
        making = undefined
      })
    return making
  }
  const refresh = async (): Promise<void> => {
    if (closed || (newest !== undefined && now() < newest.rotateAt && entries.has(newest.key.keyId))) return
    await rotate().catch((error: unknown) =>
      logger.error({ error: describeError(error) }, 'node could not make a new key'),
    )
  }

  await rotate()
  const timer = setInterval(() => void refresh(), Math.max(1, Math.min(lookEvery, rotation.every / 4)))
  timer.unref()

  return {
    get keys() {
      prune()
      return keys
    },
    get published() {
      prune()
      return newest !== undefined && entries.has(newest.key.keyId) ? newest.published : undefined
    },
    admit(key, enc) {
      const entry = entries.get(key.keyId)
      if (entry?.key !== key) throw new UnknownKeyError(key.keyId)
      try {
        entry.seen.admit(enc)
      } catch (error) {
        if (!(error instanceof ReplaySetFullError)) throw error
        logger.warn({}, 'a key of the node has served all its requests')
        forget(key.keyId)
        void refresh()
        throw new UnknownKeyError(key.keyId)
      }
    },
    refresh,
    close() {
      closed = true
      clearInterval(timer)
    },
  }
}

/** Without members that are undefined, which JSON does not have. */
const asJson = (value: object) => z.json().parse(JSON.parse(JSON.stringify(value)))
