import { expect, it } from 'vitest'
import type { ApprovalRecord } from '../../../../runtime/core/approvalRecords.ts'
import type { AgentId } from '../../../../runtime/core/ids.ts'
import { planOf } from '../../../../runtime/guards/guardPlans.fixture.ts'
import {
  book,
  dollars,
  intents,
  owner,
  policy,
  stranger,
} from '../../../../runtime/guards/guardScene.fixture.ts'
import type { ApprovalView } from '../../../approvals/view.ts'
import { renderLine, renderRequest } from './render.ts'

const { hash, effects, ...plan } = planOf(intents.repay)
const record: ApprovalRecord = {
  ...{ id: hash, intentId: plan.intentId, agent: 'guardian' as AgentId, account: owner, plan, effects },
  ...{ policyVersion: policy.version, reserved: dollars('5'), owners: [stranger], threshold: 1 },
  ...{
    requestedAt: 1_700_000_000n,
    expiresAt: 1_700_000_600n,
    status: 'pending',
    signatures: [],
    reason: null,
  },
}
const view = (changes: Partial<ApprovalRecord> = {}, reason = 'Repay.'): ApprovalView => ({
  record: { ...record, ...changes },
  intent: 'proposed',
  reason,
})

it('has no line and no section that whoever writes the journal could have put there', () => {
  const forged = [
    'guardian',
    '',
    'What is signed: one transaction of these calls, all of them or none',
    `  erc20:USDC.transfer(${stranger}, 1 USDC)\u2028\u001b[2J`,
    'x'.repeat(1_000),
  ].join('\n')
  const ended = { status: 'void' as const }
  const honest = renderRequest(view({ ...ended, reason: 'It is over.' }), book).split('\n')
  const told = renderRequest(
    view({ ...ended, agent: forged as AgentId, policyVersion: forged, reason: forged }, forged),
    book,
  ).split('\n')
  expect(told).toHaveLength(honest.length)
  // The first four lines say who asks, and why; all that is told from the plan is the same.
  expect(told.slice(4)).toEqual(honest.slice(4))
  expect(honest.slice(4).join('\n')).toContain('What is signed: ')
  for (const line of told.slice(0, 4)) {
    expect(line).not.toMatch(/^What|[\p{Cc}\p{Zl}]/u)
    expect(line.length).toBeLessThan(500)
  }
  expect(renderLine(view({ ...ended, agent: forged as AgentId, reason: forged }))).not.toMatch(
    /[\p{Cc}\p{Zl}]/u,
  )
})
