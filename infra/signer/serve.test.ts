import { type Duplex, duplexPair } from 'node:stream'
import type { Address } from 'viem'
import { describe, expect, test } from 'vitest'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { AttemptId, Hash, IntentId } from '../../runtime/core/ids.ts'
import { planHash } from '../../runtime/core/lifecycle.ts'
import type { LedgerAttempt, Signer } from '../../runtime/core/ports.ts'
import { planOf } from '../../test/conformance/signerFixture.ts'
import { converse, signerOver } from './connection.ts'
import { createService } from './serve.ts'

const ME: Address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const SECRET = 'ab'.repeat(32)
const SAME: Hash = `0x${'12'.repeat(32)}`

/** An attempt of about eight thousand characters. */
function attemptOf(n: number): LedgerAttempt {
  const plan = planOf(ME, { intentId: `intent-${n}` as IntentId })
  const raw = `0x02${'ab'.repeat(1_500)}` as const
  return {
    plan,
    planHash: planHash(plan),
    attemptId: `intent-${n}.1` as AttemptId,
    nonce: BigInt(n),
    raw,
    hash: `0x${'cd'.repeat(32)}` as Hash,
    noncesUsed: 2,
    signedAt: 1_800_000_000n,
    fence: 1n,
  }
}

/** A service in front of a signer that only remembers; ends are counted instead of ending the test. */
function setUp(attempts: readonly LedgerAttempt[] = []) {
  const ends: number[] = []
  const unexpected = () => {
    throw new InvariantError('Nobody should ask for this.')
  }
  const signer: Signer = {
    accounts: async () => [ME],
    signedFrom: async (_account, nonce) => attempts.filter((attempt) => attempt.nonce >= nonce),
    lookup: async () => null,
    abandon: async () => null,
    goodFor: async () => 0n,
    time: async () => 1_800_000_000n,
    sign: unexpected,
  }
  const service = createService({
    start: async () => ({
      signer,
      started: {
        accounts: [{ label: 'one', address: ME, created: true }],
        ledger: { entries: 0, tornBytes: 7 },
      },
      parameters: SAME,
      secret: SECRET,
      close: () => {},
    }),
    end: (code) => void ends.push(code),
  })
  const talk = (attach: (stream: Duplex) => void) => {
    const [here, there] = duplexPair({ allowHalfOpen: false })
    attach(there)
    const closed = new Promise<void>((resolve) => there.once('close', () => resolve()))
    const { call } = converse(here, 10_000, () => here.destroy())
    return { call, closed, hangUp: () => there.destroy() }
  }
  return {
    ends,
    parent: () => talk(service.attachParent),
    client: () => talk(service.attachClient),
  }
}

describe('createService', () => {
  test('tells lists that are longer than a line, in order and whole', async () => {
    const attempts = Array.from({ length: 300 }, (_, n) => attemptOf(n))
    const { parent } = setUp(attempts)
    const { call } = parent()
    await call('start', {})
    const signer = signerOver(async () => ({ call }))
    expect(await signer.signedFrom(ME, 10n)).toEqual(attempts.slice(10))
    expect(await signer.signedFrom(ME, 300n)).toEqual([])
  })

  test('tells an entry that alone is longer than a page', async () => {
    const long = { ...attemptOf(1), raw: `0x${'ab'.repeat(500_000)}` as const }
    const { parent } = setUp([attemptOf(0), long, attemptOf(2)])
    const { call } = parent()
    await call('start', {})
    expect(await signerOver(async () => ({ call })).signedFrom(ME, 0n)).toEqual([
      attemptOf(0),
      long,
      attemptOf(2),
    ])
  })

  test('ends when the last who said who he is has left, and not before', async () => {
    const { parent, client, ends } = setUp()
    const first = parent()
    await first.call('start', {})
    const protector = client()
    await protector.call('hello', { secret: SECRET, role: 'protector' })
    const nobody = client()
    await expect(nobody.call('accounts', {})).rejects.toMatchObject({ code: 'SIGNER_REQUEST' })
    await nobody.closed
    first.hangUp()
    await first.closed
    expect(ends).toEqual([])
    const owner = client()
    expect(await owner.call('hello', { secret: SECRET, role: 'owner', parameters: SAME })).toMatchObject({
      isSame: true,
      started: { accounts: [{ created: false }], ledger: { tornBytes: 0 } },
    })
    expect(await owner.call('leave', null)).toEqual({ stays: true })
    owner.hangUp()
    await owner.closed
    expect(ends).toEqual([])
    expect(await protector.call('leave', null)).toEqual({ stays: false })
    // Whoever comes now would be left alone in a moment.
    const late = client()
    await expect(late.call('hello', { secret: SECRET, role: 'protector' })).rejects.toMatchObject({
      code: 'SIGNER_REQUEST',
    })
    protector.hangUp()
    await protector.closed
    expect(ends).toEqual([0])
  })

  test('tells an owner that would have started something else, who may have it end', async () => {
    const { parent, client, ends } = setUp()
    const first = parent()
    await first.call('start', {})
    const protector = client()
    await protector.call('hello', { secret: SECRET, role: 'protector' })
    const second = client()
    await expect(
      second.call('hello', { secret: SECRET, role: 'owner', parameters: SAME }),
    ).rejects.toMatchObject({
      code: 'SIGNER_LOCKED',
    })
    first.hangUp()
    await first.closed
    const third = client()
    const other: Hash = `0x${'13'.repeat(32)}`
    expect(await third.call('hello', { secret: SECRET, role: 'owner', parameters: other })).toMatchObject({
      isSame: false,
    })
    await expect(protector.call('end', null)).rejects.toMatchObject({ code: 'SIGNER_REQUEST' })
    expect(ends).toEqual([])
    await third.call('end', null)
    expect(ends).toEqual([0])
  })
})
