import { expect, it } from 'vitest'
import type { ApprovalRecord } from '../../../runtime/core/approvalRecords.ts'
import { announceRequests } from './announceRequests.ts'

type Told = Pick<ApprovalRecord, 'id' | 'agent' | 'status' | 'threshold' | 'signatures' | 'reason'>

const request = (id: string, changes: Partial<Told> = {}): Told => ({
  id: `0x${id.repeat(64)}`,
  agent: 'guardian' as Told['agent'],
  status: 'pending',
  threshold: 2,
  signatures: [],
  reason: null,
  ...changes,
})

it('tells of a request when it is made and when it ends, and of none that had ended before', async () => {
  let records = [request('a', { status: 'void', reason: 'drift' }), request('b')]
  const news = announceRequests({ approvals: async () => records as unknown as readonly ApprovalRecord[] })
  expect(await news()).toEqual(['guardian asks for 2 of its owners: rialto approvals show 0xbbbbbbbbbbbb'])
  expect(await news()).toEqual([])
  records = [
    request('b', { status: 'expired', reason: 'nobody signed' }),
    request('c', { status: 'approved' }),
    request('d', { threshold: 1 }),
  ]
  expect(await news()).toEqual([
    `guardian: 0x${'b'.repeat(64)} is expired: nobody signed`,
    `guardian: 0x${'c'.repeat(64)} is approved`,
    'guardian asks for 1 of its owners: rialto approvals show 0xdddddddddddd',
  ])
})
