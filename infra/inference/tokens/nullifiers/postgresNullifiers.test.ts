import { describe } from 'vitest'
import { postgresNullifiers } from './postgresNullifiers.ts'
import { nullifierStoreSuite } from './testNullifierStore.ts'

const { TEST_DATABASE_URL: url = '' } = process.env
describe.runIf(url !== '')('x', () => {
  nullifierStoreSuite('PostgreSQL', () => postgresNullifiers({ url }))
})
