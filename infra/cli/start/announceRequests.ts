import type { ApprovalRecord } from '../../../runtime/core/approvalRecords.ts'
import type { Hash } from '../../../runtime/core/ids.ts'
import { plainLine } from '../../../runtime/core/plainLine.ts'
import type { Journal } from '../../../runtime/core/ports.ts'

/** The most that a line tells of a name, and of why a request ended. */
const [MAX_NAME, MAX_REASON] = [63, 300]

/**
 * Tells the person at the terminal what a person is asked, and how it ended, once each.
 *
 * @returns lines that are news since the last call
 * @example for (const line of await news()) terminal.note(`  ${line}`)
 */
export function announceRequests(
  journal: Pick<Journal, 'approval' | 'approvals'>,
): () => Promise<readonly string[]> {
  /** What waited at the last call, as it was told. */
  let told = new Map<Hash, string>()
  return async () => {
    const waiting = await journal.approvals('waiting')
    const now = new Map(waiting.map((record) => [record.id, lineOf(record)]))
    const gone = [...told.keys()].filter((id) => !now.has(id))
    const ended = await Promise.all(gone.map((id) => journal.approval(id)))
    const news = [...now].filter(([id, line]) => told.get(id) !== line).map(([, line]) => line)
    told = now
    return [...ended.flatMap((record) => (record === null ? [] : [endOf(record)])), ...news]
  }
}

function lineOf({ id, agent: name, status, threshold, signatures }: ApprovalRecord): string {
  const agent = plainLine(name, MAX_NAME)
  if (status === 'approved') return `${agent}: ${id} is approved`
  return `${agent} asks for ${threshold - signatures.length} of its owners: rialto approvals show ${id.slice(0, 14)}`
}

function endOf({ id, agent: name, status, reason }: ApprovalRecord): string {
  const agent = plainLine(name, MAX_NAME)
  if (reason !== null) return `${agent}: ${id} is ${status}: ${plainLine(reason, MAX_REASON)}`
  return `${agent}: ${id} ${status === 'approved' ? 'was sent' : 'waits for nobody any more: its intent is over'}`
}
