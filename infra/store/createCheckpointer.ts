import { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres'
import { withMigrationLock } from './migrate.ts'
import type { Database } from './openDatabase.ts'
import { toDatabaseError } from './toDatabaseError.ts'

const SCHEMA = 'rialto_checkpoints'

/**
 * LangGraph's checkpoints in the same database as the journal, in a schema of their own, over the same pool.
 *
 * It never asks the pool for a client while it holds one, and neither does the journal, so the two cannot wait for
 * each other on the single connection of the embedded database.
 *
 * @returns a checkpointer that is set up
 * @throws {DatabaseRefusedError} when the user may not make the schema.
 * @example
 * const graph = createGuardianGraph(thoughts, await createCheckpointer(database))
 */
export async function createCheckpointer(database: Database): Promise<PostgresSaver> {
  const { pool, kind, where } = database
  const saver = new PostgresSaver(pool, undefined, { schema: SCHEMA })
  try {
    // Its migrations hold no lock of their own. Embedded, no other process is there to be locked out.
    if (kind === 'embedded') await saver.setup()
    else await withMigrationLock(pool, () => saver.setup())
  } catch (error) {
    throw toDatabaseError(error, where, 'take the schema of the checkpoints')
  }
  return saver
}
