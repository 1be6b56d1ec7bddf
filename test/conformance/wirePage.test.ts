import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../infra/process/packageRoot.ts'

const ROOT = packageRoot(import.meta.url)
const PAGE = readFileSync(join(ROOT, 'docs/wire.md'), 'utf8')

/** The table of problems on the page: which codes with which status each role may answer. */
const rows = PAGE.slice(PAGE.indexOf('| status | code |'))
  .split('\n')
  .slice(2)
  .filter((line) => line.startsWith('|'))
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .map(([, status = '', code = '', roles = '']) => ({
    status,
    code: code.replaceAll('`', ''),
    roles: roles.split(', '),
  }))

/** The sources of a role, without its tests. */
const sourcesOf = (role: string): string =>
  readdirSync(join(ROOT, 'infra/inference', role), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !/(\.test|\.fixture)\.ts$|\/?test[A-Z]\w*\.ts$/.test(name))
    .map((name) => readFileSync(join(ROOT, 'infra/inference', role, name), 'utf8'))
    .join('\n')

/** Every `status, code` that a role's sources refuse with, in each of the three ways in which they are written. */
function refusalsIn(source: string): readonly string[] {
  const patterns = [
    /status: (\d{3}),\s*code: '(\w+)'/g,
    /(?:refusal|refuse)\(\s*(\d{3}),\s*'(\w+)'/g,
    // The name is the code where no other is given.
    /^ {2}(\w+): \{\s*status: (\d{3}),(?!\s*code:)/gm,
  ]
  return patterns.flatMap((pattern, at) =>
    [...source.matchAll(pattern)].map(([, first, second]) =>
      at === 2 ? `${second} ${first}` : `${first} ${second}`,
    ),
  )
}

describe('docs/wire.md', () => {
  it.each(['relay', 'gateway', 'node', 'mint'])('lists every problem of the %s, and no other', (role) => {
    const inCode = new Set(refusalsIn(sourcesOf(role)))
    const onPage = rows.filter(({ roles }) => roles.includes(role))
    expect(inCode.size).toBeGreaterThan(5)
    expect(
      [...inCode].filter((each) => !onPage.some(({ status, code }) => each === `${status} ${code}`)),
    ).toEqual([])
    expect(
      onPage
        .filter(({ status, code }) => status !== 'any' && !inCode.has(`${status} ${code}`))
        .map(({ status, code }) => `${status} ${code}`),
    ).toEqual([])
  })
})
