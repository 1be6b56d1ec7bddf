import { afterAll, beforeAll, describe } from 'vitest'
import { memoryJournals } from '../twins/memoryJournal.ts'
import { journalConformance } from './journal.ts'
import { embeddedTestStore, serverTestStore, type TestStore } from './journalStores.ts'

describe('memoryJournals', () => {
  const store = memoryJournals()
  journalConformance(() => store)
})

describe('the journal in the embedded PostgreSQL', () => inDatabase(embeddedTestStore))

describe.runIf(process.env.TEST_DATABASE_URL !== undefined)(
  'the journal in a PostgreSQL server (set TEST_DATABASE_URL to one where databases can be made)',
  () => inDatabase(serverTestStore),
)

function inDatabase(open: () => Promise<TestStore>): void {
  let database: TestStore
  beforeAll(async () => {
    database = await open()
  })
  afterAll(() => database.remove())
  journalConformance(() => database.store.journals)
}
