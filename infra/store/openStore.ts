import type { JournalStore } from '../../runtime/core/journal.ts'
import { createJournals } from './createJournals.ts'
import { type Database, type DatabaseOptions, openDatabase } from './openDatabase.ts'

/** An open database with what Rialto keeps in it. */
export type Store = {
  readonly database: Database
  readonly journals: JournalStore
  close(): Promise<void>
}

/**
 * Opens the database and the journals in it.
 *
 * @throws what {@link openDatabase} throws.
 * @example const store = await openStore({ directory: '.rialto' })
 */
export async function openStore(options: DatabaseOptions): Promise<Store> {
  const database = await openDatabase(options)
  return { database, journals: createJournals(database), close: database.close }
}
