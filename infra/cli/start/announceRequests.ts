import type { Hash } from '../../../runtime/core/ids.ts'
import type { Journal } from '../../../runtime/core/ports.ts'

/**
 * Tells the person at the terminal what a person is asked, and how it ended, once each.
 *
 * @returns lines that are news since the last call
 * @example for (const line of await news()) terminal.note(`  ${line}`)
 */
export function announceRequests(journal: Pick<Journal, 'approvals'>): () => Promise<readonly string[]> {
  const told = new Map<Hash, string>()
  let isFirst = true
  return async () => {
    const lines: string[] = []
    for (const { id, agent, status, threshold, signatures, reason } of await journal.approvals()) {
      const known = told.get(id)
      if (known === status) continue
      told.set(id, status)
      const isOver = reason !== null || status === 'approved'
      // What had ended before the start is no news.
      if (isOver && isFirst) continue
      lines.push(
        isOver
          ? `${agent}: ${id} is ${status}${reason === null ? '' : `: ${reason}`}`
          : `${agent} asks for ${threshold - signatures.length} of its owners: rialto approvals show ${id.slice(0, 14)}`,
      )
    }
    isFirst = false
    return lines
  }
}
