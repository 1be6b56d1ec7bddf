import { expect, it } from 'vitest'
import type { ApprovalRecord } from '../../../runtime/core/approvalRecords.ts'
import { announceRequests } from './announceRequests.ts'

type Told = Pick<ApprovalRecord, 'id' | 'agent' | 'status' | 'threshold' | 'signatures' | 'reason'>

const request = (id: string, changes: Partial<Told> = {}): ApprovalRecord =>
  ({
    id: `0x${id.repeat(64)}`,
    agent: 'guardian',
    status: 'pending',
    threshold: 2,
    signatures: [],
    reason: null,
    ...changes,
  }) as Partial<ApprovalRecord> as ApprovalRecord

it('tells of a request when it is made, and of each turn until it ends', async () => {
  let waiting: readonly ApprovalRecord[] = []
  let ended: readonly ApprovalRecord[] = [request('a', { status: 'void', reason: 'before the start' })]
  const news = announceRequests({
    approvals: async (which) => (which === 'waiting' ? waiting : expect.unreachable()),
    approval: async (id) => ended.find((record) => record.id === id) ?? null,
  })
  expect(await news()).toEqual([])
  waiting = [request('b'), request('c', { threshold: 1 })]
  expect(await news()).toEqual([
    'guardian asks for 2 of its owners: rialto approvals show 0xbbbbbbbbbbbb',
    'guardian asks for 1 of its owners: rialto approvals show 0xcccccccccccc',
  ])
  expect(await news()).toEqual([])
  waiting = [request('b', { signatures: [{} as ApprovalRecord['signatures'][number]] })]
  ended = [request('c', { status: 'expired', reason: 'nobody signed' })]
  expect(await news()).toEqual([
    `guardian: 0x${'c'.repeat(64)} is expired: nobody signed`,
    'guardian asks for 1 of its owners: rialto approvals show 0xbbbbbbbbbbbb',
  ])
  waiting = [request('b', { status: 'approved' })]
  expect(await news()).toEqual([`guardian: 0x${'b'.repeat(64)} is approved`])
  waiting = []
  ended = [request('b', { status: 'approved' })]
  expect(await news()).toEqual([`guardian: 0x${'b'.repeat(64)} was sent`])
  waiting = [request('d')]
  await news()
  waiting = []
  ended = [request('d')]
  expect(await news()).toEqual([expect.stringMatching(/waits for nobody any more: its intent is over$/)])
})

it('tells each on one line, whatever the journal has for a name or a reason', async () => {
  const forged = `guardian\nall owners have signed ${'x'.repeat(500)}` as ApprovalRecord['agent']
  let waiting = [request('a', { agent: forged })]
  const ended = request('a', { agent: forged, status: 'void', reason: `${forged}\u2028\u001b[2J` })
  const news = announceRequests({ approvals: async () => waiting, approval: async () => ended })
  const told = [...(await news())]
  waiting = []
  told.push(...(await news()))
  expect(told).toHaveLength(2)
  for (const line of told) {
    expect(line).toMatch(/^guardian all owners have signed x+…(: | asks)/)
    expect(line).not.toMatch(/[\p{Cc}\p{Zl}]/u)
    expect(line.length).toBeLessThan(500)
  }
})
