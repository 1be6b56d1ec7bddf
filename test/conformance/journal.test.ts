import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, describe } from 'vitest'
import { openStore, type Store } from '../../infra/store/openStore.ts'
import { memoryJournals } from '../twins/memoryJournal.ts'
import { journalConformance } from './journal.ts'

describe('memoryJournals', () => {
  const store = memoryJournals()
  journalConformance(() => store)
})

describe('the journal in the embedded PostgreSQL', () => {
  const directory = mkdtempSync(join(tmpdir(), 'rialto-journal-'))
  let store: Store
  beforeAll(async () => {
    store = await openStore({ directory })
  })
  afterAll(async () => {
    await store.close()
    rmSync(directory, { recursive: true })
  })
  journalConformance(() => store.journals)
})

const { TEST_DATABASE_URL } = process.env

describe.runIf(TEST_DATABASE_URL !== undefined)(
  'the journal in a PostgreSQL server (set TEST_DATABASE_URL to one where databases can be made)',
  () => {
    const name = `rialto_test_${randomBytes(6).toString('hex')}`
    let store: Store
    async function onServer(statement: string): Promise<void> {
      const client = new Client({ connectionString: TEST_DATABASE_URL })
      await client.connect()
      await client.query(statement)
      await client.end()
    }
    beforeAll(async () => {
      await onServer(`CREATE DATABASE ${name}`)
      const url = new URL(TEST_DATABASE_URL ?? '')
      url.pathname = `/${name}`
      store = await openStore({ url: url.href })
    })
    afterAll(async () => {
      await store.close()
      await onServer(`DROP DATABASE ${name}`)
    })
    journalConformance(() => store.journals)
  },
)
