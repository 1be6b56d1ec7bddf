import { InvariantError } from '../../../../runtime/core/errors.ts'
import { byteStringToBytes, equalBytes } from '../../protocol/binary/bytes.ts'
import { ReplayedRequestError, UnknownKeyError } from '../../protocol/errors.ts'
import { nodeHpke } from '../../protocol/hpke/nodeHpke.ts'
import { decodeKeyConfigs, selectKeyConfig } from '../../protocol/ohttp/keyConfig.ts'
import { createGatewayKey, type GatewayKey } from '../../protocol/ohttp/keys.ts'
import { GatewayOptionError } from '../errors.ts'
import type { GatewayCluster } from '../options.ts'
import type { OhttpKeys } from './ohttpKeys.ts'

const label = byteStringToBytes('rialto gateway ohttp key v1')
/** Periods before the current one whose directories may still be valid. */
const FORMER = 2

/**
 * OHTTP keys that all processes behind one name derive alike, one for each period of the rotation:
 *
 *     prk = HKDF-Extract("rialto gateway ohttp key v1", seed)
 *     ikm = HKDF-Expand(prk, name || 0x00 || decimal period, 32)
 *     key = DeriveKeyPair(ikm)                                   (RFC 9180, section 7.1.3)
 *     key id = period mod 256,   period = floor(unix time / rotation)
 *
 * Who learns the seed can open what was captured under any of them, of earlier periods too: that is the price of
 * several processes, and a reason to change the seed now and then.
 */
export async function createDerivedKeys(parameters: {
  readonly cluster: GatewayCluster
  readonly name: string
  /** Milliseconds. */
  readonly rotation: number
  readonly now: () => number
}): Promise<OhttpKeys> {
  const { cluster, name, rotation, now } = parameters
  if (cluster.seed.length < 32) throw new GatewayOptionError('the seed of its keys has less than 32 bytes')
  const prk = await nodeHpke.extract(label, cluster.seed)
  const periods = new Map<number, GatewayKey>()
  const periodOf = new Map<GatewayKey, number>()
  let accepted: ReadonlyMap<number, GatewayKey> = new Map()
  let current = -1

  async function derive(period: number): Promise<GatewayKey> {
    const known = periods.get(period)
    if (known !== undefined) return known
    const ikm = await nodeHpke.expand(prk, byteStringToBytes(`${name}\0${period}`), 32)
    const key = await createGatewayKey(nodeHpke, period & 0xff, await nodeHpke.deriveKeyPair(ikm))
    periods.set(period, key)
    periodOf.set(key, period)
    return key
  }

  async function advance(to: number): Promise<void> {
    if (to <= current) return
    // The next one too: the clock of another process may be a little ahead.
    const range = Array.from({ length: FORMER + 2 }, (_, at) => to - FORMER + at)
    const keys = await Promise.all(range.map(derive))
    for (const period of periods.keys()) if (!range.includes(period)) periods.delete(period)
    current = to
    accepted = new Map(keys.map((key) => [key.keyId, key]))
  }

  await advance(Math.floor(now() / rotation))
  return {
    get accepted() {
      return accepted
    },
    get current() {
      const key = periods.get(current)
      if (key === undefined) throw new InvariantError('A gateway always has a key.')
      return key
    },
    async admit(key, enc) {
      if (!(await cluster.replay.admit(String(periodOf.get(key)), enc, (FORMER + 2) * rotation)))
        throw new ReplayedRequestError()
      if (accepted.get(key.keyId) !== key) throw new UnknownKeyError(key.keyId)
    },
    rotate: () => advance(Math.floor(now() / rotation)),
    published: () => undefined,
    async adopt(keys) {
      const next = await derive(current + 1)
      if (equalBytes(selectKeyConfig(decodeKeyConfigs(keys)).publicKey, next.publicKey.bytes))
        await advance(current + 1)
    },
  }
}
