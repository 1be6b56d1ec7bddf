import { getAddress, type Hex } from 'viem'
import { storable } from '../../infra/store/columns.ts'
import { decodeEffects, decodePlan, encodeEffects, encodePlan } from '../../infra/store/json.ts'
import {
  checkApprovalRequest,
  checkSignable,
  intentAfter,
  judgeApprovalEnd,
} from '../../infra/store/rules.ts'
import { isWaiting, signerOf } from '../../runtime/core/approvalRecords.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { type Journal, StatusConflictError } from '../../runtime/core/journal.ts'
import { found, type MemoryTables, put } from './memoryTables.ts'

/** Requests for approval of the twin. */
export function memoryApprovals({
  approvals,
  intents,
}: MemoryTables): Pick<
  Journal,
  'requestApproval' | 'addApproval' | 'endApproval' | 'approval' | 'approvals'
> {
  const all = () => [...approvals.values()]
  const withIntent = (id: `0x${string}`) => {
    const record = found(approvals, 'approval', lower(id))
    return { ...record, intent: found(intents, 'intent', record.intentId).status }
  }

  return {
    async requestApproval(request) {
      checkApprovalRequest(request)
      const { intentId } = request
      const intent = found(intents, 'intent', intentId)
      const stored = approvals.get(lower(request.id))
      if (stored !== undefined) return stored
      if (intent.status !== 'proposed')
        throw new StatusConflictError('intent', intentId, intent.status, 'be asked about')
      const other = all().find((record) => record.intentId === intentId && isWaiting(record))
      if (other !== undefined)
        throw new InvariantError('Another request of the intent still waits.', { id: other.id })
      return put(approvals, {
        ...request,
        id: lower(request.id),
        account: getAddress(request.account),
        plan: decodePlan(JSON.parse(JSON.stringify(encodePlan(request.plan)))),
        effects: decodeEffects(JSON.parse(JSON.stringify(encodeEffects(request.effects)))),
        policyVersion: storable(request.policyVersion),
        owners: request.owners.map((owner) => getAddress(owner)),
        status: 'pending',
        signatures: [],
        reason: null,
      })
    },

    async addApproval(id, signature, signedAt) {
      const signer = await signerOf(found(approvals, 'approval', lower(id)), signature)
      checkSignable(withIntent(id), signedAt)
      const record = found(approvals, 'approval', lower(id))
      if (record.signatures.some((earlier) => earlier.signer === signer)) return record
      const signatures = [...record.signatures, { signer, signature: lower(signature), signedAt }]
      const status = signatures.length >= record.threshold ? 'approved' : record.status
      return put(approvals, { ...record, signatures, status })
    },

    async endApproval(id, end, reason) {
      const record = found(approvals, 'approval', lower(id))
      if (judgeApprovalEnd(withIntent(id), end) === 'keep') return record
      const intent = found(intents, 'intent', record.intentId)
      if (intent.status === 'proposed') put(intents, { ...intent, status: intentAfter(end) })
      return put(approvals, { ...record, status: end, reason: storable(reason) })
    },

    async approval(id) {
      return approvals.get(lower(id)) ?? null
    },

    async approvals(which) {
      return all().filter(
        (record) => which === undefined || (isWaiting(record) && withIntent(record.id).intent === 'proposed'),
      )
    },
  }
}

const lower = (hex: Hex): Hex => hex.toLowerCase() as Hex
