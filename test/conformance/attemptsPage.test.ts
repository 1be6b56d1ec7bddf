import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { attemptStatuses, attemptTransitions, isOpen, type Mover } from '../../runtime/core/attempts.ts'

const ROOT = packageRoot(import.meta.url)
const PAGE = readFileSync(join(ROOT, 'docs/attempts.md'), 'utf8')

/** The cells of the table under a head, a row each. */
function table(head: string): readonly (readonly string[])[] {
  const after = PAGE.slice(PAGE.indexOf(head)).split('\n').slice(2)
  const end = after.findIndex((line) => !line.startsWith('|'))
  return after.slice(0, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

const plain = (cell: string) => cell.replaceAll('`', '')
const law = attemptTransitions.map(
  ({ from, to, by, when }) => `${from ?? 'nothing'} > ${to} by ${by}: ${when}`,
)

describe('docs/attempts.md', () => {
  it('explains every state, in the words of the code, and says which are open', () => {
    const source = readFileSync(join(ROOT, 'runtime/core/attempts.ts'), 'utf8')
    const meanings = new Map(
      [...source.matchAll(/^ \* \| `(\w+)` \| (.+) \|$/gm)].map(([, state = '', meaning = '']) => [
        state,
        meaning,
      ]),
    )
    const rows = table('| state | meaning | open |')
    expect(rows.map(([state = '']) => plain(state)).sort()).toEqual([...attemptStatuses].sort())
    for (const [state = '', meaning, open] of rows) {
      expect(meaning).toBe(meanings.get(plain(state)))
      expect(open).toBe(isOpen(plain(state) as (typeof attemptStatuses)[number]) ? 'yes' : 'no')
    }
  })

  it('lists every arrow with who may move it and when, and no other', () => {
    const rows = table('| from | to | by | when |').flatMap(([from = '', to = '', by, when]) =>
      from.split(', ').map((one) => `${plain(one)} > ${plain(to)} by ${by}: ${when}`),
    )
    expect(rows.toSorted()).toEqual(law.toSorted())
  })

  it('draws every arrow with its movers, and no other', () => {
    const diagram = PAGE.slice(PAGE.indexOf('stateDiagram-v2'), PAGE.indexOf('```\n\nEvery arrow'))
    const drawn = [...diagram.matchAll(/^ +(\S+) --> (\w+) : (.+)$/gm)].flatMap(([, from, to, movers = '']) =>
      movers.split(', ').map((by) => `${from === '[*]' ? 'nothing' : from} > ${to} by ${by}`),
    )
    const lawful = new Set(
      attemptTransitions.map(({ from, to, by }) => `${from ?? 'nothing'} > ${to} by ${by}`),
    )
    expect(drawn.toSorted()).toEqual([...lawful].toSorted())
  })

  it('names only files that are there', () => {
    const named = [...PAGE.matchAll(/`((?:runtime|test|docs)\/[\w/.-]+\.ts)`/g)].map(([, path = '']) => path)
    expect(named.length).toBeGreaterThan(8)
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
  })
})

/** The sources of the stage that moves attempts under a name. */
const OWNERS: Readonly<Record<Mover, readonly string[]>> = {
  sign: ['sign.ts'],
  submit: ['submit.ts'],
  confirm: readdirSync(join(ROOT, 'runtime/stages/confirm'))
    .filter((name) => !name.endsWith('.test.ts'))
    .map((name) => `confirm/${name}`),
  reconcile: ['reconcile.ts'],
  recover: ['nonce/adoptLedger.ts'],
}

/** What a source has the journal make of attempts: each call of a method that moves them. */
function movesIn(source: string): readonly string[] {
  const moves: string[] = []
  for (const [, method, body = ''] of source.matchAll(
    /journal\s*\.(prepare|sign|adopt|supersede|settle|advance)\(([^;]*?)\)(?:\n|$|;|\)|,| )/gs,
  )) {
    if (method === 'prepare') moves.push('prepared')
    else if (method === 'sign' || method === 'adopt') moves.push('signed')
    else if (method === 'supersede') moves.push('replaced')
    else if (method === 'advance') moves.push(/to: '(\w+)'/.exec(body)?.[1] ?? 'unreadable')
    else {
      const to = /status: '(\w+)'/.exec(body)?.[1] ?? 'unreadable'
      // Whatever is settled as mined takes the place of all else on its nonce, in the same transaction.
      moves.push(to, ...(to === 'dropped' ? [] : ['replaced']))
    }
  }
  return moves
}

describe('the stages', () => {
  const sources = new Map(
    readdirSync(join(ROOT, 'runtime'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !/\.(test|fixture)\.ts$/.test(name))
      .map((name) => [name.replaceAll('\\', '/'), readFileSync(join(ROOT, 'runtime', name), 'utf8')]),
  )

  it.each(Object.keys(OWNERS) as Mover[])(
    '%s moves attempts to where the law lets it, and only there',
    (mover) => {
      const moves = OWNERS[mover].flatMap((name) => movesIn(sources.get(`stages/${name}`) ?? ''))
      const lawful = attemptTransitions.filter(({ by }) => by === mover).map(({ to }) => to)
      expect([...new Set(moves)].toSorted()).toEqual([...new Set(lawful)].toSorted())
    },
  )

  it('nobody else in the runtime moves any', () => {
    const owners = new Set(Object.values(OWNERS).flatMap((names) => names.map((name) => `stages/${name}`)))
    const others = [...sources].filter(([name]) => !owners.has(name) && !name.startsWith('core/'))
    expect(others.filter(([, source]) => movesIn(source).length > 0).map(([name]) => name)).toEqual([])
  })
})
