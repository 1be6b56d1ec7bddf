import type { Hex } from 'viem'
import { ApprovalClosedError, type ApprovalRecord } from '../../runtime/core/approvalRecords.ts'
import { type Clock, unixSeconds } from '../../runtime/core/clock.ts'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import { type Journal, UnknownRecordError } from '../../runtime/core/journal.ts'
import type { ApprovalView } from './view.ts'

/** What came of an answer. */
export type Answered = {
  readonly approval: ApprovalView
  /** False when it was said before. */
  readonly changed: boolean
}

/** Where people see what they are asked, and answer. */
export type ApprovalDesk = {
  /** What waits, oldest first; with `all` what has ended too. */
  list(all: boolean): Promise<readonly ApprovalView[]>
  /**
   * @throws {UnknownApprovalError} when there is none of that id.
   * @throws {ApprovalSignatureError | ApprovalClosedError} when the signature is not taken.
   */
  approve(id: Hash, signature: Hex): Promise<Answered>
  /**
   * @param reason a line for the record
   * @throws {UnknownApprovalError | ApprovalClosedError}
   */
  reject(id: Hash, reason: string): Promise<Answered>
}

/** No journal holds such a request. */
export class UnknownApprovalError extends InvalidInputError {
  override readonly name = 'UnknownApprovalError'
  constructor(id: string) {
    super(`Nobody is asked about ${id}.`, {
      code: 'UNKNOWN_APPROVAL',
      fix: 'See what there is with "rialto approvals list --all".',
      details: { id },
    })
  }
}

/**
 * The desk of some journals.
 *
 * @param clock by which a signature comes in time or too late
 * @example openDesk([journal], systemClock)
 */
export function openDesk(journals: readonly Journal[], clock: Clock): ApprovalDesk {
  async function find(id: Hash): Promise<{ journal: Journal; record: ApprovalRecord }> {
    for (const journal of journals) {
      const record = await journal.approval(id)
      if (record !== null) return { journal, record }
    }
    throw new UnknownApprovalError(id)
  }

  async function viewsOf(
    journal: Journal,
    records: readonly ApprovalRecord[],
  ): Promise<readonly ApprovalView[]> {
    // An agent runs at every block: its runs are read once, however many requests there are.
    const agents = [...new Set(records.map(({ agent }) => agent))]
    const runs = (await Promise.all(agents.map((agent) => journal.runs(agent)))).flat()
    const reasons = new Map(runs.map(({ id, decision }) => [id, decision?.reason ?? '']))
    return Promise.all(
      records.map(async (record) => {
        const intent = await journal.intent(record.intentId)
        if (intent === null) throw new UnknownRecordError('intent', record.intentId)
        return { record, intent: intent.status, reason: reasons.get(intent.runId) ?? '' }
      }),
    )
  }

  const answered = async (journal: Journal, record: ApprovalRecord, changed: boolean): Promise<Answered> => {
    const [approval] = await viewsOf(journal, [record])
    if (approval === undefined) throw new UnknownApprovalError(record.id)
    return { approval, changed }
  }

  return {
    async list(all) {
      const found = await Promise.all(
        journals.map(async (journal) => {
          return viewsOf(journal, await journal.approvals(all ? undefined : 'waiting'))
        }),
      )
      return found.flat()
    },

    async approve(id, signature) {
      const { journal, record: before } = await find(id)
      const record = await journal.addApproval(id, signature, unixSeconds(clock))
      return answered(journal, record, record.signatures.length > before.signatures.length)
    },

    async reject(id, reason) {
      const { journal, record: before } = await find(id)
      if (before.status === 'expired' || before.status === 'void')
        throw new ApprovalClosedError(id, `it is ${before.status}`)
      const record = await journal.endApproval(id, 'rejected', reason)
      return answered(journal, record, before.status !== 'rejected')
    },
  }
}
