import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { openStore, type Store } from '../../infra/store/openStore.ts'

/** A database of a test's own. */
export type TestStore = { readonly store: Store; remove(): Promise<void> }

/** In the embedded PostgreSQL, in a directory that goes with it. */
export async function embeddedTestStore(): Promise<TestStore> {
  const directory = mkdtempSync(join(tmpdir(), 'rialto-journal-'))
  const store = await openStore({ directory })
  return {
    store,
    async remove() {
      await store.close()
      rmSync(directory, { recursive: true })
    },
  }
}

const { TEST_DATABASE_URL } = process.env

/** On the server that TEST_DATABASE_URL names, where databases can be made. */
export async function serverTestStore(): Promise<TestStore> {
  const name = `rialto_test_${randomBytes(6).toString('hex')}`
  await onServer(`CREATE DATABASE ${name}`)
  const url = new URL(TEST_DATABASE_URL ?? '')
  url.pathname = `/${name}`
  const store = await openStore({ url: url.href })
  return {
    store,
    async remove() {
      await store.close()
      await onServer(`DROP DATABASE ${name}`)
    },
  }
}

async function onServer(statement: string): Promise<void> {
  const client = new Client({ connectionString: TEST_DATABASE_URL })
  await client.connect()
  await client.query(statement)
  await client.end()
}

/** Where the journal is tested: the server only where there is one. */
export const journalPlaces = [
  { place: 'the embedded PostgreSQL', open: embeddedTestStore },
  ...(TEST_DATABASE_URL === undefined ? [] : [{ place: 'a PostgreSQL server', open: serverTestStore }]),
] as const
