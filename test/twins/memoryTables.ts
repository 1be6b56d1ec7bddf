import type { Hex } from 'viem'
import type { ApprovalRecord } from '../../runtime/core/approvalRecords.ts'
import type { AttemptId, Hash, IntentId, RunId } from '../../runtime/core/ids.ts'
import {
  type AttemptMove,
  type AttemptRecord,
  type IntentRecord,
  type RunRecord,
  UnknownRecordError,
} from '../../runtime/core/journal.ts'

/** What one epoch holds. Maps keep the order in which their keys were first set, as the tables keep that of their rows. */
export type MemoryTables = {
  readonly runs: Map<RunId, RunRecord>
  readonly intents: Map<IntentId, IntentRecord>
  readonly attempts: Map<AttemptId, AttemptRecord>
  readonly steps: Map<AttemptId, AttemptMove[]>
  readonly approvals: Map<Hash, ApprovalRecord>
}

export const emptyTables = (): MemoryTables => ({
  runs: new Map(),
  intents: new Map(),
  attempts: new Map(),
  steps: new Map(),
  approvals: new Map(),
})

/** @throws {UnknownRecordError} when there is none. */
export function found<Id extends string, T>(
  records: Map<Id, T>,
  kind: 'run' | 'intent' | 'attempt' | 'approval',
  id: Id,
): T {
  const record = records.get(id)
  if (record === undefined) throw new UnknownRecordError(kind, id)
  return record
}

/** Stores a record, which nobody changes any more: who read it before keeps what they read. */
export function put<T extends { readonly id: string }>(records: Map<T['id'], T>, record: NoInfer<T>): T {
  records.set(record.id, Object.freeze(record))
  return record
}

/** One text for all attempts on the same nonce. */
export const nonceKey = ({ account, nonce }: Pick<AttemptRecord, 'account' | 'nonce'>): string =>
  `${account}.${nonce}`

export const lower = (hex: Hex): Hex => hex.toLowerCase() as Hex

export const highest = (values: readonly bigint[]): bigint => values.reduce((a, b) => (b > a ? b : a))
