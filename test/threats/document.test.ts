import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { linkage } from './linkage.ts'
import { linkageTable, pairsAdvice, pairsTable, readmeThreats, rolesTable } from './render.ts'

const root = packageRoot(import.meta.url)
const read = (name: string): string => readFileSync(join(root, name), 'utf8')

// `views.test.ts` finds out whether the table is true, and this whether it is what people are told.
describe('docs/threats.md', () => {
  const document = read('docs/threats.md')

  it.each([
    ['what each role knows', rolesTable()],
    ['what each pair knows', pairsTable()],
    ['what to do about each pair', pairsAdvice()],
    ['how linkage grows', linkageTable(linkage())],
  ])('has the table that was found: %s', (_, expected) => {
    expect(document).toContain(expected)
  })
})

describe('the README', () => {
  const readme = read('README.md')
  it.runIf(readme.includes('What it does not hide'))('says the same (where it has that part)', () => {
    expect(readme).toContain(readmeThreats(linkage()))
  })
})
