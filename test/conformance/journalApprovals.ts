import { type Address, getAddress, type Hex } from 'viem'
import { type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { beforeEach, describe, expect, it } from 'vitest'
import { type ApprovalRequest, approvalOf } from '../../runtime/core/approvalRecords.ts'
import { approvalTypedData } from '../../runtime/core/approvals.ts'
import type { IntentId } from '../../runtime/core/ids.ts'
import type { Journal, JournalStore } from '../../runtime/core/journal.ts'
import { type Effects, planHash } from '../../runtime/core/lifecycle.ts'
import { bps, MAX_UINT256, usd, wad } from '../../runtime/core/units.ts'
import type { DenialCode } from '../../runtime/core/verdict.ts'
import {
  type Actor,
  attemptOf,
  CHAIN_ID,
  denial,
  fakeAddress,
  fakeHash,
  leaseOf,
  mined,
  newAgent,
  newGenesis,
  planOf,
  proposeIntent,
  runOf,
  signAttempt,
  verdict,
} from './journalFixture.ts'

/** Three owners, and somebody else. */
export const signers = [1, 2, 3, 4].map((n) => privateKeyToAccount(`0x${String(n).repeat(64)}`))
const [ann, bob, cat, stranger] = signers as [
  PrivateKeyAccount,
  PrivateKeyAccount,
  PrivateKeyAccount,
  PrivateKeyAccount,
]
/** When requests are made, in chain time. */
export const NOW = 1_700_000_000n

const position = {
  totalCollateral: usd(8n),
  totalDebt: usd(5n),
  availableBorrows: usd(0n),
  liquidationThreshold: bps(8_300n),
  ltv: bps(8_050n),
  healthFactor: wad(MAX_UINT256),
}

export const effects: Effects = {
  gasUsed: 500_000n,
  balances: [{ account: fakeAddress('owner'), token: null, before: 10n ** 20n, after: 3n }],
  allowances: [
    {
      token: fakeAddress('usdc'),
      owner: fakeAddress('owner'),
      spender: fakeAddress('pool'),
      before: 0n,
      after: MAX_UINT256,
    },
  ],
  position: { before: position, after: { ...position, totalDebt: usd(1n) } },
  equity: { before: 3n, after: -7n },
  logCount: 9,
}

/** A request about the plan of an intent, which two of three owners have to approve. */
export function requestOf(
  intent: IntentId,
  { agent, account }: Actor,
  changes: Partial<ApprovalRequest> = {},
): ApprovalRequest {
  const plan = changes.plan ?? planOf(intent, account)
  return {
    id: planHash(plan),
    intentId: intent,
    agent,
    account,
    plan,
    effects,
    policyVersion: plan.policyVersion,
    reserved: usd(70n),
    owners: [ann.address, bob.address, cat.address],
    threshold: 2,
    requestedAt: NOW,
    expiresAt: NOW + 3_600n,
    ...changes,
  }
}

/** An owner's signature over a request. */
export const signBy = (owner: PrivateKeyAccount, request: ApprovalRequest): Promise<Hex> =>
  owner.signTypedData(approvalTypedData(request.plan, approvalOf(request)))

/**
 * What every implementation of the journal must do about approvals by a person, and tell of an agent's standing.
 *
 * @param getStore gives the store under test; each test opens an epoch of its own in it
 */
export function journalApprovalsConformance(getStore: () => JournalStore): void {
  let journal: Journal
  let actor: Actor
  beforeEach(async () => {
    journal = await getStore().open(CHAIN_ID, newGenesis())
    actor = { agent: newAgent(), account: fakeAddress('owner') }
  })
  const closed = { code: 'APPROVAL_CLOSED' }
  const refused = { code: 'APPROVAL_SIGNATURE' }

  async function ask(n = 1, changes: Partial<ApprovalRequest> = {}) {
    const { intent } = await proposeIntent(journal, actor, n)
    const request = requestOf(intent, actor, changes)
    return { intent, request, record: await journal.requestApproval(request) }
  }

  describe('requests for approval', () => {
    it('are kept exactly as they were asked, and leave their intent proposed', async () => {
      const { request, record, intent } = await ask()
      expect(record).toEqual({ ...request, status: 'pending', signatures: [], reason: null })
      expect(await journal.approval(request.id)).toEqual(record)
      expect(await journal.approvals()).toEqual([record])
      expect(await journal.approvals('waiting')).toEqual([record])
      expect((await journal.intent(intent))?.status).toBe('proposed')
      expect((await journal.openIntents()).map(({ id }) => id)).toEqual([intent])
    })

    it('are made once, whatever is asked again', async () => {
      const { request, record } = await ask()
      expect(await journal.requestApproval({ ...request, expiresAt: NOW + 9n })).toEqual(record)
      expect(await journal.approvals()).toHaveLength(1)
    })

    it('give addresses with their checksum and hashes in lower case', async () => {
      const { intent } = await proposeIntent(journal, actor)
      const request = requestOf(intent, actor)
      const shouting = {
        ...request,
        id: `0x${request.id.slice(2).toUpperCase()}` as Hex,
        account: actor.account.toLowerCase() as Address,
        owners: request.owners.map((owner) => owner.toLowerCase() as Address),
      }
      expect(await journal.requestApproval(shouting)).toMatchObject({
        id: request.id,
        account: actor.account,
        owners: request.owners.map((owner) => getAddress(owner)),
      })
    })

    it('are one at a time for an intent', async () => {
      const { intent, request } = await ask()
      const plan = { ...request.plan, gasLimit: 1n }
      const other = requestOf(intent, actor, { plan })
      await expect(journal.requestApproval(other)).rejects.toMatchObject({ code: 'INVARIANT' })
      expect(await journal.approval(other.id)).toBeNull()
    })

    it('are refused for an intent that is not proposed, or that there is not', async () => {
      const { intent } = await proposeIntent(journal, actor)
      await journal.expireIntent(intent)
      await expect(journal.requestApproval(requestOf(intent, actor))).rejects.toMatchObject({
        code: 'STATUS_CONFLICT',
      })
      const unknown = requestOf('nobody' as IntentId, actor)
      await expect(journal.requestApproval(unknown)).rejects.toMatchObject({ code: 'UNKNOWN_RECORD' })
    })

    it.each<[string, Partial<ApprovalRequest>]>([
      ['another hash', { id: fakeHash('another plan') }],
      ['another intent', { intentId: 'another' as IntentId }],
      ['another account', { account: fakeAddress('another') }],
      ['another policy', { policyVersion: 'v2' }],
      ['nobody to be enough', { threshold: 0 }],
      ['no time', { expiresAt: NOW }],
    ])('are refused when they have %s', async (_what, changes) => {
      const { intent } = await proposeIntent(journal, actor)
      const wrong = { ...requestOf(intent, actor), ...changes }
      await expect(journal.requestApproval(wrong)).rejects.toMatchObject({ code: 'INVARIANT' })
    })
  })

  describe('signatures', () => {
    it('are stored as they come, and the last of enough approves', async () => {
      const { request } = await ask()
      const first = await signBy(ann, request)
      expect(await journal.addApproval(request.id, first, NOW + 1n)).toMatchObject({
        status: 'pending',
        signatures: [{ signer: ann.address, signature: first, signedAt: NOW + 1n }],
      })
      const second = await signBy(cat, request)
      const approved = await journal.addApproval(request.id, second, NOW + 2n)
      expect(approved.status).toBe('approved')
      expect(approved.signatures.map(({ signer }) => signer)).toEqual([ann.address, cat.address])
      expect(await journal.approval(request.id)).toEqual(approved)
      expect(await journal.approvals('waiting')).toEqual([approved])
    })

    it('of one owner count once', async () => {
      const { request } = await ask()
      const signature = await signBy(ann, request)
      const once = await journal.addApproval(request.id, signature, NOW)
      expect(await journal.addApproval(request.id, signature, NOW + 5n)).toEqual(once)
      expect(once.status).toBe('pending')
    })

    it('of many at once are all there, each once', async () => {
      const { request } = await ask(1, { threshold: 3 })
      const signatures = await Promise.all([ann, bob, cat, ann, bob].map((owner) => signBy(owner, request)))
      await Promise.all(signatures.map((signature) => journal.addApproval(request.id, signature, NOW)))
      const record = await journal.approval(request.id)
      expect(record?.status).toBe('approved')
      expect(new Set(record?.signatures.map(({ signer }) => signer))).toEqual(
        new Set([ann.address, bob.address, cat.address]),
      )
    })

    it('of anybody else, over anything else, or of no form are refused', async () => {
      const { request } = await ask()
      const changed = { ...request, effects: { ...effects, gasUsed: 1n } }
      const later = { ...request, expiresAt: request.expiresAt + 1n }
      const elsewhere = { ...request, plan: { ...request.plan, chainId: 5 } }
      const genuine = await signBy(ann, request)
      const wrong: Hex[] = [
        await signBy(stranger, request),
        await signBy(ann, changed),
        await signBy(ann, later),
        await signBy(ann, elsewhere),
        `${genuine.slice(0, -2)}ff` as Hex,
        `${genuine}00`,
        '0x',
      ]
      for (const signature of wrong)
        await expect(journal.addApproval(request.id, signature, NOW)).rejects.toMatchObject(refused)
      expect((await journal.approval(request.id))?.signatures).toEqual([])
    })

    it('come too late when the time is over, or the request is', async () => {
      const { request } = await ask()
      const signature = await signBy(ann, request)
      await expect(journal.addApproval(request.id, signature, request.expiresAt)).rejects.toMatchObject(
        closed,
      )
      await journal.endApproval(request.id, 'rejected', 'no')
      await expect(journal.addApproval(request.id, signature, NOW)).rejects.toMatchObject(closed)
      await expect(journal.addApproval(fakeHash('none'), signature, NOW)).rejects.toMatchObject({
        code: 'UNKNOWN_RECORD',
      })
    })
  })

  describe('ends', () => {
    it.each([
      ['rejected', 'denied'],
      ['expired', 'expired'],
      ['void', 'expired'],
    ] as const)('%s makes the intent %s, and is said once', async (end, status) => {
      const { request, intent } = await ask()
      const ended = await journal.endApproval(request.id, end, 'because')
      expect(ended).toMatchObject({ status: end, reason: 'because' })
      expect((await journal.intent(intent))?.status).toBe(status)
      expect(await journal.endApproval(request.id, end, 'again')).toEqual(ended)
      expect(await journal.approvals('waiting')).toEqual([])
      expect(await journal.approvals()).toEqual([ended])
      for (const other of (['rejected', 'expired', 'void'] as const).filter((one) => one !== end))
        await expect(journal.endApproval(request.id, other, '')).rejects.toMatchObject(closed)
    })

    it('come to what is approved, too, until it is signed', async () => {
      const { request, intent } = await ask()
      for (const owner of [ann, bob]) await journal.addApproval(request.id, await signBy(owner, request), NOW)
      const lease = await leaseOf(journal, actor.account)
      await journal.prepare(lease, attemptOf(intent, actor.account))
      await expect(journal.endApproval(request.id, 'rejected', 'late')).rejects.toMatchObject(closed)
      expect(await journal.approvals('waiting')).toEqual([])
      expect(await journal.approval(request.id)).toMatchObject({ status: 'approved', reason: null })
    })

    it('let the same intent be asked about anew', async () => {
      const { request, intent } = await ask()
      await journal.endApproval(request.id, 'void', 'drift')
      // Only a proposed intent is asked about: the void one is over with its request.
      const plan = { ...request.plan, gasLimit: 1n }
      await expect(journal.requestApproval(requestOf(intent, actor, { plan }))).rejects.toMatchObject({
        code: 'STATUS_CONFLICT',
      })
      expect((await ask(2)).record.status).toBe('pending')
    })
  })

  describe('standing', () => {
    const excused: readonly DenialCode[] = ['COOLDOWN', 'ATTEMPT_IN_FLIGHT']
    const since = () => journal.goodSince(actor.agent, actor.account, excused)
    const deny = async (n: number, codes: readonly DenialCode[]) => {
      const { intent } = await proposeIntent(journal, actor, n)
      const [finding] = denial.findings
      if (finding === undefined) return expect.unreachable()
      const findings = [...verdict.findings, ...codes.map((code) => ({ ...finding, code }))]
      await journal.recordVerdict(intent, { ...denial, findings }, 'denied')
    }

    it('begins with the first run', async () => {
      expect(await since()).toBeNull()
      await journal.startRun(runOf(actor, 5))
      await journal.startRun(runOf(actor, 9))
      await journal.startRun(runOf({ ...actor, agent: newAgent() }, 2))
      expect(await since()).toBe(5n)
    })

    it('begins anew with a denial, unless it only says later', async () => {
      await journal.startRun(runOf(actor, 5))
      await deny(7, ['COOLDOWN'])
      await deny(8, ['COOLDOWN', 'ATTEMPT_IN_FLIGHT'])
      expect(await since()).toBe(5n)
      await deny(9, ['COOLDOWN', 'GAS_CAP'])
      await deny(11, ['COOLDOWN'])
      expect(await since()).toBe(9n)
      expect(await journal.goodSince(actor.agent, fakeAddress('elsewhere'), excused)).toBeNull()
    })

    it('begins anew with an outcome that deviated', async () => {
      const first = await signAttempt(journal, actor, 1)
      const second = await signAttempt(journal, actor, 2)
      const block = { number: mined.blockNumber, hash: mined.blockHash }
      for (const { id } of [first, second]) await journal.advance(id, { to: 'mined', block })
      await journal.settle(first.id, { status: 'confirmed', ...mined, deviated: false })
      expect(await since()).toBe(1n)
      await journal.settle(second.id, { status: 'confirmed', ...mined, deviated: true })
      expect(await since()).toBe(mined.blockNumber)
    })
  })

  it('finds all epochs without a chain', async () => {
    const store = getStore()
    const other = await store.open(CHAIN_ID, newGenesis())
    const { request, record } = await ask()
    const all = await store.all()
    expect(all.map(({ epoch }) => epoch)).toEqual(expect.arrayContaining([journal.epoch, other.epoch]))
    const found = await Promise.all(all.map((one) => one.approval(request.id)))
    expect(found.filter((one) => one !== null)).toContainEqual(record)
  })
}
