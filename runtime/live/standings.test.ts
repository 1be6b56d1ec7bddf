import { describe, expect, it } from 'vitest'
import { loadPolicy } from '../../infra/config/loadPolicy.ts'
import { agentId } from '../core/ids.ts'
import type { Logger } from '../core/ports.ts'
import type { BlockRef } from '../core/snapshot.ts'
import { bps, wei } from '../core/units.ts'
import { type Policy, policyVersion, withMode } from '../guards/policy.ts'
import { createStandings, describeGraduation } from './standings.ts'

const DAY = 86_400n
const BEGIN = 1_700_000_000n
const id = agentId('guardian')
const account = `0x${'11'.repeat(20)}` as const

const headAt = (number: bigint): BlockRef => ({
  number,
  hash: `0x${'ab'.repeat(32)}`,
  parentHash: `0x${'cd'.repeat(32)}`,
  timestamp: BEGIN + number * DAY,
  baseFeePerGas: wei(1n),
})

async function policyWith(graduation: Policy['graduation']): Promise<Policy> {
  const { version: _version, ...shipped } = await loadPolicy('policies/lending-guardian.json')
  const limits = { ...shipped, graduation }
  return { ...limits, version: policyVersion(limits) }
}
const steps: Policy['graduation'] = [
  { days: 0, mode: 'propose', part: bps(1_000n) },
  { days: 7, mode: 'execute', part: bps(10_000n) },
]

/** A chain with a block a day, and a journal that says what it is told to. */
async function scene(graduation: Policy['graduation'] = steps, mode: Policy['mode'] = 'execute') {
  const told: {
    goodSince: bigint | null
    /** Null: the signer knows no such account. */
    goodFor: bigint | null
    reads: bigint[]
    error: Error | null
    lines: string[]
  } = {
    goodSince: null,
    goodFor: 1_000n * DAY,
    reads: [],
    error: null,
    lines: [],
  }
  const say = (level: string) => (_fields: object, message: string) =>
    void told.lines.push(`${level}: ${message}`)
  const logger: Logger = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') }
  const policy = withMode(await policyWith(graduation), mode)
  const standings = createStandings({
    chain: {
      async block(number) {
        told.reads.push(number)
        return headAt(number)
      },
    },
    journal: {
      async goodSince() {
        if (told.error !== null) throw told.error
        return told.goodSince
      },
    },
    signer: { goodFor: async () => told.goodFor ?? expect.unreachable('no key') },
    logger,
    agents: [{ agent: { id, account }, policy }],
  })
  return { told, standings, policy }
}

describe('createStandings', () => {
  it('begins on the strictest step, and stays there until the agent has run', async () => {
    const { standings } = await scene()
    expect(standings.policyOf(id).mode).toBe('propose')
    expect(await standings.refresh(headAt(100n))).toEqual([])
    expect(standings.graduationOf(id)).toEqual({
      step: 0,
      of: 2,
      goodSince: null,
      mode: 'propose',
      nextInDays: 7,
      signerDays: null,
    })
  })

  it('rises with the time in good standing, and falls when that begins anew', async () => {
    const { standings, told, policy } = await scene()
    told.goodSince = 10n
    expect(await standings.refresh(headAt(16n))).toEqual([])
    expect(standings.graduationOf(id)).toMatchObject({ step: 0, nextInDays: 1 })
    expect(await standings.refresh(headAt(17n))).toMatchObject([{ agent: id, from: 0, to: { step: 1 } }])
    expect(standings.policyOf(id).version).toBe(policy.version)
    expect(standings.graduationOf(id)).toMatchObject({ nextInDays: null, goodSince: BEGIN + 10n * DAY })
    told.goodSince = 18n
    expect(await standings.refresh(headAt(18n))).toMatchObject([{ from: 1, to: { step: 0 } }])
    expect(told.lines).toEqual(['info: risen by a step', 'warn: thrown back, after a denial or a deviation'])
  })

  it('rises no further than the signer counts, and says what holds it', async () => {
    const { standings, told, policy } = await scene()
    told.goodSince = 1n
    told.goodFor = 3n * DAY
    await standings.refresh(headAt(100n))
    const at = standings.graduationOf(id)
    expect(at).toMatchObject({ step: 0, goodSince: BEGIN + DAY, nextInDays: 4, signerDays: 3 })
    expect(describeGraduation(id, policy, at)).toContain(
      "The signer's own count is what holds it there: 3 days, since its ledger began or it last refused a plan.",
    )
    told.goodFor = 7n * DAY
    expect(await standings.refresh(headAt(101n))).toMatchObject([
      { from: 0, to: { step: 1, signerDays: null } },
    ])
    // It refused something that no guard denied.
    told.goodFor = 0n
    expect(await standings.refresh(headAt(102n))).toMatchObject([{ from: 1, to: { step: 0, signerDays: 0 } }])
  })

  it('asks no signer about who only observes: it may have no key', async () => {
    const { standings, told } = await scene(steps, 'observe')
    told.goodFor = null
    told.goodSince = 1n
    expect(await standings.refresh(headAt(100n))).toMatchObject([{ to: { step: 1, mode: 'observe' } }])
  })

  it('asks the chain once for the time of a block', async () => {
    const { standings, told } = await scene()
    told.goodSince = 3n
    for (let number = 4n; number < 9n; number += 1n) await standings.refresh(headAt(number))
    expect(told.reads).toEqual([3n])
  })

  it('keeps a step that cannot be looked at, and says so', async () => {
    const { standings, told } = await scene()
    told.goodSince = 1n
    await standings.refresh(headAt(9n))
    told.error = new RangeError('the database is down')
    expect(await standings.refresh(headAt(10n))).toEqual([])
    expect(standings.policyOf(id).mode).toBe('execute')
    expect(told.lines.at(-1)).toBe('error: its standing cannot be told')
  })

  it('leaves a policy without steps as it is', async () => {
    const { standings, policy, told } = await scene('none')
    told.goodSince = 9n
    expect(await standings.refresh(headAt(9n))).toEqual([])
    expect(standings.policyOf(id)).toBe(policy)
    expect(standings.graduationOf(id)).toBeNull()
    expect(describeGraduation(id, policy, null)).toBe(
      'guardian acts with its full limits from the first block (graduation "none"), in mode execute.',
    )
  })

  it('knows no agent that it was not given', async () => {
    const { standings } = await scene()
    expect(() => standings.policyOf(agentId('stranger'))).toThrow(/stranger/)
  })
})

it('says where an agent stands', async () => {
  const policy = await policyWith(steps)
  const at = { step: 0, of: 2, goodSince: null, mode: 'propose', nextInDays: 1, signerDays: null } as const
  expect(describeGraduation(id, policy, at)).toBe(
    'guardian stands on step 1 of 2, in mode propose; the next in 1 day without a denial or deviation. ' +
      'Its policy names no owners, so nobody can approve what it asks.',
  )
  expect(describeGraduation(id, policy, { ...at, step: 1, mode: 'execute', nextInDays: null })).toBe(
    'guardian stands on step 2 of 2, in mode execute; the last.',
  )
  const owned = { ...policy, approvals: { ...policy.approvals, owners: [account] } }
  expect(describeGraduation(id, owned, at)).toMatch(/without a denial or deviation\.$/)
  expect(describeGraduation(id, { ...policy, mode: 'observe' }, null)).toBe('guardian only observes.')
})
