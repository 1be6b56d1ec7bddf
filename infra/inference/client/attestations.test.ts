import { describe, expect, it } from 'vitest'
import { nodeHpke } from '../protocol/hpke/nodeHpke.ts'
import { generateIdentity } from '../protocol/network/identity.ts'
import {
  readNodeDescription,
  signNodeDescription,
  type VerifiedNode,
} from '../protocol/network/nodeDescription.ts'
import { encodeKeyConfigs } from '../protocol/ohttp/keyConfig.ts'
import { createGatewayKey, keyConfigOf } from '../protocol/ohttp/keys.ts'
import { createAttestations } from './attestations.ts'
import type { Judgement } from './catalogue.ts'
import { createCatalogue } from './createCatalogue.ts'
import { testModel } from './testNetwork.ts'

const identity = generateIdentity()
const keysOf = async () =>
  Buffer.from(
    encodeKeyConfigs([keyConfigOf(await createGatewayKey(nodeHpke, 1, await nodeHpke.generateKeyPair()))]),
  ).toString('base64')
const keys = await keysOf()
const start = Date.now()
const seconds = Math.floor(start / 1000)

const nodeOf = async (changes: object = {}): Promise<VerifiedNode> =>
  readNodeDescription(
    await signNodeDescription(identity, {
      version: 1,
      name: 'node',
      operator: 'alice',
      keys,
      notBefore: seconds - 10,
      notAfter: seconds + 100_000,
      models: [testModel({ privacy: 'attested' })],
      attestation: { quote: 'a' },
      ...changes,
    }),
  )
const nodesOf = (count: number, changes: object = {}) =>
  Promise.all(
    Array.from({ length: count }, (_, at) =>
      nodeOf({ name: `node-${at}`, attestation: { quote: `${at}` }, ...changes }),
    ),
  )

/** Attestations whose verdicts a test gives, and what was verified. */
function attest(verdict: (node: VerifiedNode) => Partial<Judgement> = () => ({})) {
  const clock = { now: start }
  const judged: string[] = []
  const failed: unknown[] = []
  const attestations = createAttestations({
    pinned: { measurements: [] },
    now: () => clock.now,
    random: () => 0,
    judge: (node) => {
      judged.push(node.description.name)
      return { state: 'verified', until: clock.now + 1_000, ...verdict(node) }
    },
    onFailed: (error) => failed.push(error),
  })
  const all = { epoch: 1, enough: Number.POSITIVE_INFINITY }
  return { attestations, clock, judged, failed, all }
}

describe('a verdict', () => {
  it('is of one attestation with its keys and identity, whatever directory names them, until it ends', async () => {
    const { attestations, clock, judged, all } = attest()
    const node = await nodeOf()
    expect(attestations.stateOf(node)).toBe('unchecked')
    await attestations.verify([node], all)
    // The same again, with another price, from another directory.
    const again = await nodeOf({ models: [testModel({ privacy: 'attested', context: 1 })] })
    expect(attestations.stateOf(again)).toBe('verified')
    await attestations.verify([again], { ...all, epoch: 2 })
    expect(judged).toHaveLength(1)
    expect(attestations.stateOf(await nodeOf({ attestation: { quote: 'b' } }))).toBe('unchecked')
    expect(attestations.stateOf(await nodeOf({ keys: await keysOf() }))).toBe('unchecked')
    clock.now += 1_000
    expect(attestations.stateOf(node)).toBe('unchecked')
    await attestations.verify([node], all)
    expect(judged).toHaveLength(2)
  })

  it('that is a refusal is told once, and looked at anew after an hour', async () => {
    const error = new TypeError('no')
    const { attestations, clock, judged, failed, all } = attest(() => ({ state: 'failed', error }))
    const node = await nodeOf()
    await attestations.verify([node], all)
    await attestations.verify([node], all)
    expect([attestations.stateOf(node), judged.length, failed]).toEqual(['failed', 1, [error]])
    clock.now += 3_600_000
    expect(attestations.stateOf(node)).toBe('unchecked')
  })

  it('is none without an attestation, or with nothing pinned', async () => {
    const node = await nodeOf()
    const { attestations } = attest()
    expect(attestations.stateOf(await nodeOf({ attestation: undefined }))).toBe('none')
    const unpinned = createAttestations({
      pinned: undefined,
      now: Date.now,
      random: () => 0,
      onFailed: () => undefined,
    })
    expect(unpinned.stateOf(node)).toBe('unpinned')
  })
})

describe('verifying', () => {
  it('lets others have a turn between two nodes', async () => {
    const { attestations, judged, all } = attest()
    const turns: number[] = []
    let running = true
    const turn = (): void => {
      turns.push(judged.length)
      if (running) setImmediate(turn)
    }
    setImmediate(turn)
    await attestations.verify(await nodesOf(5), all)
    running = false
    expect(turns).toEqual(expect.arrayContaining([1, 2, 3, 4]))
  })

  it('ends at 64 of one epoch', async () => {
    const { attestations, judged, all } = attest()
    const nodes = await nodesOf(70)
    await attestations.verify(nodes, all)
    await attestations.verify(nodes, all)
    expect(judged).toHaveLength(64)
    expect(nodes.filter((each) => attestations.stateOf(each) === 'unchecked')).toHaveLength(6)
    await attestations.verify(nodes, { ...all, epoch: 2 })
    expect(judged).toHaveLength(70)
  })

  it('happens once for two who want to know at one time', async () => {
    const { attestations, judged, all } = attest()
    const nodes = await nodesOf(4)
    await Promise.all([attestations.verify(nodes, all), attestations.verify(nodes, all)])
    expect(judged).toHaveLength(4)
  })
})

describe('a request', () => {
  const catalogueOf = async (
    nodes: readonly VerifiedNode[],
    verdict?: (node: VerifiedNode) => Partial<Judgement>,
  ) => {
    const { attestations, judged } = attest(verdict)
    const candidates = createCatalogue({
      attestations,
      measurements: { latest: () => undefined, refresh: () => undefined },
      liars: new Set(),
      now: () => start,
      operators: undefined,
    })
    const directory = { nodes, directory: { epoch: 1 } } as unknown as Parameters<typeof candidates>[0]
    return { judged, list: (wanted?: Parameters<typeof candidates>[1]) => candidates(directory, wanted) }
  }

  it('has only nodes verified that it wants, until there are eight that hold', async () => {
    const wanted = await nodesOf(20)
    const others = await nodesOf(3, {
      attestation: { quote: 'other' },
      models: [testModel({ id: 'other', privacy: 'attested' })],
    })
    const plain = await nodesOf(3, {
      attestation: { quote: 'plain' },
      models: [testModel({ privacy: 'private' })],
    })
    // Every other one of the first does not hold.
    const { judged, list } = await catalogueOf([...others, ...plain, ...wanted], (node) =>
      Number(node.description.name.slice(5)) % 2 === 0 ? { state: 'failed' } : {},
    )
    const isWanted = ({ model }: { readonly model: string }) => model === 'test-model'
    const found = await list(isWanted)
    expect(judged).toHaveLength(16)
    const good = found.filter(({ privacy, refused }) => privacy === 'attested' && refused === null)
    expect(good).toHaveLength(8)
    // What is not verified is not used.
    expect(found.filter(({ attestation }) => attestation === 'unchecked').length).toBeGreaterThan(0)
    expect(
      found.every(
        ({ attestation, offered, refused }) =>
          attestation !== 'unchecked' || offered.privacy !== 'attested' || refused === 'attestation',
      ),
    ).toBe(true)
    await list(isWanted)
    expect(judged).toHaveLength(16)
  })

  it('for the whole catalogue has all verified', async () => {
    const { judged, list } = await catalogueOf(await nodesOf(20))
    expect((await list()).every(({ attestation }) => attestation === 'verified')).toBe(true)
    expect(judged).toHaveLength(20)
  })
})
