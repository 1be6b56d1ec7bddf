import { describe, expect, it } from 'vitest'
import type { AttemptRecord, IntentRecord } from '../core/journal.ts'
import { describeRecovery } from './recovery.ts'

const attempt = (changes: Partial<AttemptRecord>): AttemptRecord =>
  ({
    id: 'a.1',
    intentId: 'a',
    account: '0xA',
    nonce: 7n,
    purpose: 'act',
    expected: {},
    failure: null,
    ...changes,
  }) as AttemptRecord
const intent = (changes: Partial<IntentRecord>): IntentRecord =>
  ({
    id: 'b',
    status: 'proposed',
    decidedOnBlock: 12n,
    action: { kind: 'repay' },
    ...changes,
  }) as IntentRecord

const nothing = { attempts: [], intents: [] }
const of = (before: Partial<AttemptRecord> | null, now: Partial<AttemptRecord>) =>
  describeRecovery(
    { ...nothing, attempts: before === null ? [] : [attempt(before)] },
    { ...nothing, attempts: [attempt(now)] },
  )

describe('describeRecovery', () => {
  it('has nothing to say when there was nothing to do', () => {
    const settled = { ...nothing, attempts: [attempt({ status: 'confirmed' })] }
    expect(describeRecovery(nothing, nothing)).toEqual([])
    expect(describeRecovery(settled, settled)).toEqual([])
  })

  it('tells what went on, what is still open, and why', () => {
    expect(of({ status: 'prepared' }, { status: 'broadcast' })).toEqual([
      'a.1 on nonce 7 of 0xA: prepared when it was left, now broadcast',
    ])
    expect(of({ status: 'unknown' }, { status: 'unknown', failure: 'a time-out' })).toEqual([
      'a.1 on nonce 7 of 0xA: still unknown (a time-out)',
    ])
  })

  it('tells where a new attempt comes from', () => {
    expect(of(null, { status: 'signed', expected: null, purpose: 'adopted' })).toEqual([
      'a.1 on nonce 7 of 0xA: lost by the journal and taken up from the signer’s ledger, now signed',
    ])
    expect(of(null, { status: 'broadcast', purpose: 'fill', expected: null })).toEqual([
      'a.1 on nonce 7 of 0xA: sent to fill a gap, now broadcast',
    ])
    expect(of(null, { status: 'broadcast', purpose: 'cancel', expected: null })[0]).toContain('to cancel')
    expect(of(null, { status: 'broadcast' })).toEqual(['a.1 on nonce 7 of 0xA: signed, now broadcast'])
  })

  it('tells of an intent by its attempt if it has one', () => {
    const before = { ...nothing, intents: [intent({})] }
    expect(describeRecovery(before, { ...nothing, intents: [intent({ status: 'denied' })] })).toEqual([
      'the repay that was decided on in block 12: now denied',
    ])
    expect(describeRecovery(before, before)).toEqual([
      'the repay that was decided on in block 12: still open',
    ])
    const signed = {
      attempts: [attempt({ intentId: 'b' as never, status: 'broadcast' })],
      intents: [intent({ status: 'signed' })],
    }
    expect(describeRecovery(before, signed)).toHaveLength(1)
  })
})
