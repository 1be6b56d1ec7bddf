import { and, asc, eq, inArray, sql } from 'drizzle-orm'
import { getAddress, type Hex } from 'viem'
import {
  type ApprovalRecord,
  type ApprovalSignature,
  isWaiting,
  signerOf,
} from '../../../runtime/core/approvalRecords.ts'
import { InvariantError } from '../../../runtime/core/errors.ts'
import type { Hash } from '../../../runtime/core/ids.ts'
import {
  type IntentStatus,
  type Journal,
  StatusConflictError,
  UnknownRecordError,
} from '../../../runtime/core/journal.ts'
import { decodeEffects, decodePlan, encodeEffects, encodePlan } from '../json.ts'
import { checkApprovalRequest, checkSignable, intentAfter, judgeApprovalEnd } from '../rules.ts'
import { approvalSignatures, approvals, intents } from '../schema.ts'
import type { Queries, Scope, Tx } from './scope.ts'

/** What people are asked, and what they said. Whoever changes a request holds its intent's row and then its own. */
export function approvalMethods(
  scope: Scope,
): Pick<Journal, 'requestApproval' | 'addApproval' | 'endApproval' | 'approval' | 'approvals'> {
  const changedAt = sql`now()`
  const isApproval = (id: Hash) => and(eq(approvals.epoch, scope.key), eq(approvals.id, id))

  async function read(db: Queries, id: Hash): Promise<ApprovalRecord> {
    const [row] = await selectApprovals(db).where(isApproval(id))
    if (row === undefined) throw new UnknownRecordError('approval', id)
    return toApproval(row)
  }

  /** The request and where its intent stands, so that nobody moves either before this transaction ends. */
  async function hold(tx: Tx, id: Hash): Promise<{ record: ApprovalRecord; intent: IntentStatus }> {
    const [found] = await tx.select({ intentId: approvals.intentId }).from(approvals).where(isApproval(id))
    if (found === undefined) throw new UnknownRecordError('approval', id)
    const [intent] = await tx
      .select({ status: intents.status })
      .from(intents)
      .where(and(eq(intents.epoch, scope.key), eq(intents.id, found.intentId)))
      .for('update')
    await tx.select({ id: approvals.id }).from(approvals).where(isApproval(id)).for('update')
    if (intent === undefined) throw new UnknownRecordError('intent', found.intentId)
    return { record: await read(tx, id), intent: intent.status }
  }

  return {
    requestApproval: (request) =>
      scope.transaction('ask for an approval', async (tx) => {
        checkApprovalRequest(request)
        const [intent] = await tx
          .select({ status: intents.status })
          .from(intents)
          .where(and(eq(intents.epoch, scope.key), eq(intents.id, request.intentId)))
          .for('update')
        if (intent === undefined) throw new UnknownRecordError('intent', request.intentId)
        const [stored] = await selectApprovals(tx).where(isApproval(request.id))
        if (stored !== undefined) return toApproval(stored)
        if (intent.status !== 'proposed')
          throw new StatusConflictError('intent', request.intentId, intent.status, 'be asked about')
        const [other] = await tx
          .select({ id: approvals.id })
          .from(approvals)
          .where(
            and(
              eq(approvals.epoch, scope.key),
              eq(approvals.intentId, request.intentId),
              inArray(approvals.status, ['pending', 'approved']),
            ),
          )
        if (other !== undefined)
          throw new InvariantError('Another request of the intent still waits.', { id: other.id })
        await tx.insert(approvals).values({
          epoch: scope.key,
          id: request.id,
          intentId: request.intentId,
          agent: request.agent,
          account: request.account,
          plan: encodePlan(request.plan),
          effects: encodeEffects(request.effects),
          policyVersion: request.policyVersion,
          reserved: request.reserved,
          owners: request.owners.map((owner) => owner.toLowerCase()),
          threshold: request.threshold,
          requestedAt: request.requestedAt,
          expiresAt: request.expiresAt,
          status: 'pending',
        })
        return read(tx, request.id)
      }),

    async addApproval(id, signature, signedAt) {
      // What is asked never changes, so whose signature it is can be found out before anything is locked.
      const request = await scope.query('read a request for approval', (db) => read(db, id))
      const signer = await signerOf(request, signature)
      return scope.transaction('record an approval', async (tx) => {
        const { record, intent } = await hold(tx, id)
        checkSignable({ ...record, intent }, signedAt)
        if (record.signatures.some((earlier) => earlier.signer === signer)) return record
        await tx.insert(approvalSignatures).values({
          epoch: scope.key,
          approvalId: id,
          signer,
          ordinal: record.signatures.length,
          signature: signature.toLowerCase() as Hex,
          signedAt,
        })
        if (record.signatures.length + 1 >= record.threshold && record.status === 'pending')
          await tx.update(approvals).set({ status: 'approved', changedAt }).where(isApproval(id))
        return read(tx, id)
      })
    },

    endApproval: (id, end, reason) =>
      scope.transaction('end a request for approval', async (tx) => {
        const { record, intent } = await hold(tx, id)
        if (judgeApprovalEnd({ ...record, intent }, end) === 'keep') return record
        await tx.update(approvals).set({ status: end, reason, changedAt }).where(isApproval(id))
        if (intent === 'proposed')
          await tx
            .update(intents)
            .set({ status: intentAfter(end), changedAt })
            .where(and(eq(intents.epoch, scope.key), eq(intents.id, record.intentId)))
        return read(tx, id)
      }),

    approval: (id) =>
      scope.query('read a request for approval', async (db) => {
        const [row] = await selectApprovals(db).where(isApproval(id))
        return row === undefined ? null : toApproval(row)
      }),

    approvals: (which) =>
      scope.query('read requests for approval', async (db) => {
        const rows = await selectApprovals(db)
          .where(
            and(
              eq(approvals.epoch, scope.key),
              which === undefined
                ? undefined
                : and(inArray(approvals.status, ['pending', 'approved']), eq(intents.status, 'proposed')),
            ),
          )
          .orderBy(asc(approvals.seq))
        return rows.map(toApproval).filter((record) => which === undefined || isWaiting(record))
      }),
  }
}

/** As JSON carries it: a figure of 78 digits is a text there. */
type SignatureJson = { readonly signer: string; readonly signature: Hex; readonly signedAt: string }

/** Requests with their signatures, in one statement. */
function selectApprovals(db: Queries) {
  return db
    .select({
      id: approvals.id,
      intentId: approvals.intentId,
      agent: approvals.agent,
      account: approvals.account,
      plan: approvals.plan,
      effects: approvals.effects,
      policyVersion: approvals.policyVersion,
      reserved: approvals.reserved,
      owners: approvals.owners,
      threshold: approvals.threshold,
      requestedAt: approvals.requestedAt,
      expiresAt: approvals.expiresAt,
      status: approvals.status,
      reason: approvals.reason,
      signatures: sql<readonly SignatureJson[]>`(
        SELECT coalesce(
          jsonb_agg(
            jsonb_build_object('signer', s.signer, 'signature', '0x' || encode(s.signature, 'hex'),
              'signedAt', s.signed_at::text)
            ORDER BY s.ordinal),
          '[]')
        FROM ${approvalSignatures} s WHERE s.epoch = ${approvals.epoch} AND s.approval_id = ${approvals.id})`,
    })
    .from(approvals)
    .innerJoin(intents, and(eq(intents.epoch, approvals.epoch), eq(intents.id, approvals.intentId)))
    .$dynamic()
}

type Row = Awaited<ReturnType<typeof selectApprovals>>[number]

const toApproval = (row: Row): ApprovalRecord => ({
  ...row,
  plan: decodePlan(row.plan),
  effects: decodeEffects(row.effects),
  owners: row.owners.map((owner) => getAddress(owner)),
  signatures: row.signatures.map(toSignature),
})

const toSignature = ({ signer, signature, signedAt }: SignatureJson): ApprovalSignature => ({
  signer: getAddress(signer),
  signature,
  signedAt: BigInt(signedAt),
})
