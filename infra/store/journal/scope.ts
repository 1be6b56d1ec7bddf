import type { ExtractTablesWithRelations } from 'drizzle-orm'
import type { NodePgDatabase, NodePgTransaction } from 'drizzle-orm/node-postgres'
import type { EpochId } from '../../../runtime/core/ids.ts'

type NoSchema = Record<string, never>
export type Db = NodePgDatabase<NoSchema>
export type Tx = NodePgTransaction<NoSchema, ExtractTablesWithRelations<NoSchema>>
/** What a query runs on: the database, each statement for itself, or one transaction. */
export type Queries = Db | Tx

/** What every method of a journal shares. */
export type Scope = {
  readonly epoch: EpochId
  /** The epoch's number in the tables. */
  readonly key: number
  /** One statement. Whatever it throws is an error of ours. @param step as in "refused to …" */
  query<T>(step: string, work: (db: Db) => Promise<T>): Promise<T>
  /** Several statements, whole or not at all. */
  transaction<T>(step: string, work: (tx: Tx) => Promise<T>): Promise<T>
}
