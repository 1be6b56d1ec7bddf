import { expect, it } from 'vitest'
import { type ApprovalRecord, isWaiting } from '../../../runtime/core/approvalRecords.ts'
import { manualClock } from '../../../runtime/core/clock.ts'
import { awaitOwners } from './awaitOwners.ts'

const OWNER = `0x${'a1'.repeat(20)}` as const
const ID = `0x${'b'.repeat(64)}` as const

/** A journal with one request, which ends at second 100. */
function setUp(changes: Partial<ApprovalRecord> = {}) {
  let record = {
    id: ID,
    agent: 'guardian',
    status: 'pending',
    owners: [OWNER],
    threshold: 1,
    signatures: [],
    expiresAt: 100n,
    reason: null,
    ...changes,
  } as Partial<ApprovalRecord> as ApprovalRecord
  const clock = manualClock(0)
  const lines: string[] = []
  const owners = awaitOwners({
    journal: { approval: async () => record, approvals: async () => (isWaiting(record) ? [record] : []) },
    clock,
    note(line) {
      lines.push(line)
      // What a person does when he reads it.
      if (line.includes('stands still')) onStill()
    },
  })
  let onStill: () => void = () => undefined
  const wait = async (meanwhile: () => void, signal = new AbortController().signal) => {
    onStill = meanwhile
    await owners.untilAnswered(signal)
    return lines
  }
  return { wait, clock, become: (status: ApprovalRecord['status']) => (record = { ...record, status }) }
}

it.each(['approved', 'rejected', 'void'] as const)('waits until a request is %s', async (status) => {
  const { wait, become } = setUp()
  const lines = await wait(() => become(status))
  expect(lines).toEqual([
    '  guardian asks for 1 of its owners: rialto approvals show 0xbbbbbbbbbbbb',
    expect.stringMatching(/^ {2}The world stands still until its owners have answered/),
    expect.stringContaining(ID),
  ])
})

it('waits until the time of a request is over, and no longer', async () => {
  const { wait, clock } = setUp()
  expect(await wait(() => clock.advance(100_000))).toHaveLength(2)
})

it('waits until it is interrupted', async () => {
  const stop = new AbortController()
  expect(await setUp().wait(() => stop.abort(), stop.signal)).toHaveLength(2)
})

it.each<[string, Partial<ApprovalRecord>]>([
  ['is approved already', { status: 'approved' }],
  ['nobody can sign', { owners: [] }],
  ['is over', { expiresAt: 0n }],
])('does not wait for what %s', async (_what, changes) => {
  expect(await setUp(changes).wait(() => expect.unreachable())).toEqual([])
})
