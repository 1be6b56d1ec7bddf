import { afterAll, afterEach, beforeAll } from 'vitest'
import type { NullifierStore } from './nullifierStore.ts'
import { postgresNullifiers } from './postgresNullifiers.ts'
import { createTestDatabase } from './testPostgres.ts'

/** A server where databases can be made; empty when there is none, and then what needs one is skipped. */
export const { TEST_DATABASE_URL: server = '' } = process.env

/** What a skipped suite says. */
export const NEEDS_SERVER = 'set TEST_DATABASE_URL to a server where databases can be made'

/** A database for the suite that calls it, and stores on it that are closed after each test. */
export function postgresStores() {
  let url = ''
  let drop = async () => undefined as unknown
  beforeAll(async () => {
    const database = await createTestDatabase(server)
    url = database.url
    drop = database.drop
  })
  afterAll(() => drop())
  const open: NullifierStore[] = []
  afterEach(async () => {
    for (const store of open.splice(0)) await store.close()
  })
  return {
    url: () => url,
    async opened(options: Partial<Parameters<typeof postgresNullifiers>[0]> = {}): Promise<NullifierStore> {
      const store = await postgresNullifiers({ url, ...options })
      open.push(store)
      return store
    },
  }
}
