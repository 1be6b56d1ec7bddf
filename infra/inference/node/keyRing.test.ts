import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { manualClock } from '../../../runtime/core/clock.ts'
import { memoryLogger } from '../../../test/engine/engine.fixture.ts'
import { reportDataFor } from '../protocol/attestation/reportData.ts'
import { ReplayedRequestError, UnknownKeyError } from '../protocol/errors.ts'
import { readNodeDescription } from '../protocol/network/nodeDescription.ts'
import type { GatewayKey } from '../protocol/ohttp/keys.ts'
import { OHTTP_KEY_PROBLEM } from '../protocol/ohttp/mediaTypes.ts'
import { NodeAttestationError, NodeOptionsError } from './errors.ts'
import { openKeyRing } from './keyRing.ts'
import {
  ask,
  authorize,
  fetchKey,
  gateway,
  model,
  nodeIdentity,
  openAnswer,
  post,
  sealFor,
  startTestNode,
} from './node.fixture.ts'
import { type NodeOptions, readOptions } from './options.ts'
import { type ScriptedUpstream, startScriptedUpstream } from './upstream.fixture.ts'

const hour = 3_600_000
const start = 1_800_000_000_000
const ringWith = (options: Partial<NodeOptions> = {}) =>
  openKeyRing(
    readOptions({
      name: 'node-1',
      operator: 'tester',
      identity: nodeIdentity,
      gateways: [gateway.identity],
      upstream: { url: 'http://127.0.0.1:1/v1' },
      models: [model()],
      ...options,
    }),
  )
const only = (keys: ReadonlyMap<number, GatewayKey>): GatewayKey => {
  const [key, ...others] = keys.values()
  expect(others).toEqual([])
  return key ?? expect.unreachable('there is no key')
}
const enc = (byte: number) => new Uint8Array(32).fill(byte)

describe('the keys of a node', () => {
  it('change in time, and the former is accepted to the end of its description', async () => {
    const clock = manualClock(start)
    const ring = await ringWith({ now: clock.now })
    const first = only(ring.keys)
    const described = async () => (await readNodeDescription(ring.published?.document ?? '')).description
    expect(await described()).toMatchObject({
      notBefore: start / 1000 - 300,
      notAfter: start / 1000 + 24 * 3_600,
    })

    clock.advance(12 * hour - 1)
    await ring.refresh()
    expect(only(ring.keys)).toBe(first)
    clock.advance(1)
    await Promise.all([ring.refresh(), ring.refresh()])
    expect([...ring.keys.values()]).toHaveLength(2)
    expect((await described()).notAfter).toBe(start / 1000 + 36 * 3_600)
    ring.admit(first, enc(1))
    expect(() => ring.admit(first, enc(1))).toThrow(ReplayedRequestError)

    clock.advance(12 * hour)
    expect([...ring.keys.values()]).not.toContain(first)
    expect(() => ring.admit(first, enc(2))).toThrow(UnknownKeyError)
    ring.close()
  })

  it('are not published beyond their time, when no new one could be made', async () => {
    const clock = manualClock(start)
    const logger = memoryLogger()
    let broken = false
    const attestation = async () => {
      if (broken) throw new NodeAttestationError('x')
      return { quote: 'q', absent: undefined }
    }
    const ring = await ringWith({ now: clock.now, logger, attestation })
    broken = true
    clock.advance(12 * hour)
    await ring.refresh()
    expect(ring.published).toBeDefined()
    expect(logger.lines.filter(({ level }) => level === 'error')).toHaveLength(1)
    clock.advance(12 * hour)
    expect(ring.published).toBeUndefined()
    expect([...ring.keys.values()]).toEqual([])
    broken = false
    await ring.refresh()
    const { description } = await readNodeDescription(ring.published?.document ?? '')
    expect(description.attestation).toEqual({ quote: 'q' })
    ring.close()
  })

  it('have identifiers of their own, however often they change', async () => {
    const clock = manualClock(start)
    const ring = await ringWith({ now: clock.now, rotation: { every: hour, overlap: 3 * hour } })
    for (let turn = 0; turn < 300; turn++) {
      clock.advance(hour)
      await ring.refresh()
      expect(ring.keys.size).toBeLessThanOrEqual(4)
    }
    expect(ring.keys.size).toBe(4)
    ring.close()
  })

  it('are given up when they can tell no more requests apart', async () => {
    const ring = await ringWith({ rotation: { capacity: 2 } })
    const first = only(ring.keys)
    const { document } = ring.published ?? expect.unreachable('nothing is published')
    ring.admit(first, enc(1))
    ring.admit(first, enc(2))
    expect(() => ring.admit(first, enc(1))).toThrow(ReplayedRequestError)
    expect(() => ring.admit(first, enc(3))).toThrow(UnknownKeyError)
    expect(ring.keys.get(first.keyId)).toBeUndefined()
    await ring.refresh()
    expect(ring.published?.document).not.toBe(document)
    expect(only(ring.keys)).not.toBe(first)
    ring.close()
  })

  it('are attested before they are published, each by itself', async () => {
    const clock = manualClock(start)
    const asked: Uint8Array[] = []
    const ring = await ringWith({
      now: clock.now,
      models: [model({ privacy: 'attested' })],
      attestation: async (reportData) => {
        asked.push(reportData)
        return { quote: Buffer.from(reportData).toString('hex') }
      },
    })
    for (let turn = 0; turn < 2; turn++) {
      const { description, keys } = await readNodeDescription(ring.published?.document ?? '')
      const expected = reportDataFor({ identity: nodeIdentity.identity.bytes, keyConfigs: keys })
      expect(asked[turn]).toEqual(expected)
      expect(description.attestation).toEqual({ quote: Buffer.from(expected).toString('hex') })
      clock.advance(12 * hour)
      await ring.refresh()
    }
    ring.close()
    await expect(
      ringWith({ attestation: () => Promise.reject(new NodeAttestationError('no trust domain')) }),
    ).rejects.toThrow(NodeAttestationError)
  })
})

describe('a running node', () => {
  let upstream: ScriptedUpstream
  beforeAll(async () => {
    upstream = await startScriptedUpstream()
  })
  afterAll(() => upstream.close())
  const asked = { model: 'public/model-1', messages: [] }

  it('gives the new key to who asks when it is time, and opens what is sealed for either', async () => {
    const clock = manualClock(Date.now())
    const node = await startTestNode(upstream.url, { now: clock.now })
    const old = await fetchKey(node.url)
    clock.advance(12 * hour)
    const fresh = await fetchKey(node.url)
    expect(fresh.keyId).not.toBe(old.keyId)
    for (const key of [old, fresh]) {
      const { sealed, exchange } = await sealFor(key, asked)
      const raw = await post(`${node.url}/ohttp`, sealed, {
        'rialto-authorization': authorize(sealed, { issuedAt: clock.now() }),
      })
      expect((await openAnswer(raw, { sealed, exchange })).status).toBe(200)
    }
    await node.close()
  })

  it('tells a client whose key is full to fetch the new one', async () => {
    const node = await startTestNode(upstream.url, { rotation: { capacity: 1 } })
    const old = await fetchKey(node.url)
    expect((await ask(node, asked)).status).toBe(200)
    const { sealed } = await sealFor(old, asked)
    const refused = await post(`${node.url}/ohttp`, sealed, { 'rialto-authorization': authorize(sealed) })
    expect(JSON.parse(refused.body.toString())).toMatchObject({ type: OHTTP_KEY_PROBLEM })
    expect((await ask(node, asked)).status).toBe(200)
    await node.close()
  })
})

describe('options that cannot be kept', () => {
  it.each([
    ['a name that is none', { name: 'a b' }],
    ['no model', { models: [] }],
    ['a model twice', { models: [model(), model()] }],
    ['a price that is no whole number', { models: [model({ price: { prompt: 0.5, completion: 1 } })] }],
    ['no gateway', { gateways: [] }],
    ['an attested model without a quote', { models: [model({ privacy: 'attested' })] }],
    ['an upstream that is no URL', { upstream: { url: 'localhost' } }],
    ['an upstream of another scheme', { upstream: { url: 'file:///v1' } }],
    ['an upstream with a password', { upstream: { url: 'http://a:b@localhost/v1' } }],
  ] satisfies [string, Partial<NodeOptions>][])('%s', async (_, options) => {
    await expect(startTestNode('http://127.0.0.1:1/v1', options)).rejects.toThrow(NodeOptionsError)
  })
})
