import { describe, expect, it } from 'vitest'
import { reportDataFor } from '../protocol/attestation/reportData.ts'
import { createTestPki } from '../protocol/attestation/testPki.ts'
import { buildAttestation, testMeasurements, testNow } from '../protocol/attestation/testQuote.ts'
import { nodeHpke } from '../protocol/hpke/nodeHpke.ts'
import { generateIdentity } from '../protocol/network/identity.ts'
import {
  readNodeDescription,
  signNodeDescription,
  type VerifiedNode,
} from '../protocol/network/nodeDescription.ts'
import { encodeKeyConfigs } from '../protocol/ohttp/keyConfig.ts'
import { createGatewayKey, keyConfigOf } from '../protocol/ohttp/keys.ts'
import { type AttestationState, judgeAttestation, listCandidates, modelList } from './catalogue.ts'
import { testModel } from './testNetwork.ts'

const pki = createTestPki(testNow)
const pinned = { roots: [pki.root.der], measurements: [testMeasurements] }
const identity = generateIdentity()
const keys = encodeKeyConfigs([
  keyConfigOf(await createGatewayKey(nodeHpke, 1, await nodeHpke.generateKeyPair())),
])
const reportData = reportDataFor({ identity: identity.identity.bytes, keyConfigs: keys })
const seconds = testNow / 1000

const nodeWith = async (attestation?: unknown, changes: object = {}): Promise<VerifiedNode> =>
  readNodeDescription(
    await signNodeDescription(identity, {
      version: 1,
      name: 'node',
      operator: 'alice',
      keys: Buffer.from(keys).toString('base64'),
      notBefore: seconds - 10,
      notAfter: seconds + 10,
      models: [testModel({ privacy: 'attested' })],
      ...(attestation === undefined ? {} : { attestation: JSON.parse(JSON.stringify(attestation)) }),
      ...changes,
    }),
  )

const list = (
  node: VerifiedNode,
  state: AttestationState,
  options: Partial<Parameters<typeof listCandidates>[0]> = {},
) =>
  listCandidates({
    nodes: [node],
    attestations: () => state,
    measurements: undefined,
    operators: undefined,
    liars: new Set(),
    now: testNow,
    ...options,
  }).map(({ privacy, attestation, refused }) => ({ privacy, attestation, refused }))

describe('attested', () => {
  it('is a word for a node whose quote holds its identity and keys', async () => {
    const node = await nodeWith(buildAttestation(reportData, { pki }))
    const judged = judgeAttestation(node, pinned, testNow)
    expect(judged).toMatchObject({ state: 'verified' })
    expect(judged.until).toBeGreaterThan(testNow)
    expect(list(node, judged.state)).toEqual([
      { privacy: 'attested', attestation: 'verified', refused: null },
    ])
  })

  it('is refused where the quote is of other keys, another build or another root', async () => {
    const other = reportDataFor({ identity: generateIdentity().identity.bytes, keyConfigs: keys })
    const quotes = [
      [buildAttestation(other, { pki }), 'ATTESTATION_REPORT_DATA'],
      [
        buildAttestation(reportData, { pki, measurements: { ...testMeasurements, rtMr3: '00'.repeat(48) } }),
        'ATTESTATION_MEASUREMENTS',
      ],
      [buildAttestation(reportData, { pki: createTestPki(testNow) }), 'ATTESTATION_CHAIN'],
      ['nonsense', 'ATTESTATION_FORMAT'],
    ] as const
    for (const [attestation, code] of quotes) {
      const node = await nodeWith(attestation)
      const judged = judgeAttestation(node, pinned, testNow)
      expect(judged).toMatchObject({ state: 'failed', error: { code } })
      expect(list(node, judged.state)).toEqual([
        { privacy: 'private', attestation: 'failed', refused: 'attestation' },
      ])
    }
  })

  it('is refused where the quote is missing', async () => {
    const node = await nodeWith()
    const { state } = judgeAttestation(node, pinned, testNow)
    expect(list(node, state)).toEqual([{ privacy: 'private', attestation: 'none', refused: 'attestation' }])
  })

  it('is no more than private where nothing is pinned to compare it with', async () => {
    const node = await nodeWith(buildAttestation(reportData, { pki }))
    const { state } = judgeAttestation(node, undefined, testNow)
    expect(list(node, state)).toEqual([{ privacy: 'private', attestation: 'unpinned', refused: null }])
  })
})

describe('a node', () => {
  const models = [testModel()]

  it('is left out when its operator is not among those that are pinned', async () => {
    const node = await nodeWith(undefined, { models })
    const refusedBy = (operators: Parameters<typeof listCandidates>[0]['operators']) =>
      list(node, 'none', { operators })[0]?.refused
    expect(refusedBy(['alice', 'bob'])).toBeNull()
    expect(refusedBy(['bob'])).toBe('operator')
    expect(refusedBy({ alice: [identity.identity.text] })).toBeNull()
    expect(refusedBy({ alice: [generateIdentity().identity.text] })).toBe('operator')
    expect(refusedBy({ bob: [identity.identity.text] })).toBe('operator')
    expect(refusedBy({})).toBe('operator')
  })

  it('is left out when its description has ended, or it lied', async () => {
    const node = await nodeWith(undefined, { models })
    expect(list(node, 'none', { now: testNow + 20_000 })[0]?.refused).toBe('expired')
    expect(list(node, 'none', { liars: new Set([identity.identity.text]) })[0]?.refused).toBe('lied')
  })

  it('shows what the gateway measured of it', async () => {
    const node = await nodeWith(undefined, { models })
    const measurements = { nodes: [{ node: 'node', model: 'test-model', firstByteMs: 50, errorPercent: 2 }] }
    const [entry] = listCandidates({
      nodes: [node],
      attestations: () => 'none',
      measurements,
      operators: undefined,
      liars: new Set(),
      now: testNow,
    })
    expect(entry).toMatchObject({ firstByteMs: 50, errorPercent: 2 })
  })

  it('that is refused is not in the list of models', async () => {
    const node = await nodeWith(undefined, { models })
    const listed = (liars: ReadonlySet<string>) => {
      const entries = listCandidates({
        nodes: [node],
        attestations: () => 'none',
        measurements: undefined,
        operators: undefined,
        liars,
        now: testNow,
      })
      return modelList(entries, 'private', () => true).data.map(({ id }) => id)
    }
    expect(listed(new Set())).toEqual(['test-model'])
    expect(listed(new Set([identity.identity.text]))).toEqual([])
  })
})
