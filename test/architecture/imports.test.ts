import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../infra/process/packageRoot.ts'

const ROOT = packageRoot(import.meta.url)
const LAYERS = ['runtime', 'strategies', 'agents', 'infra', 'test'] as const

type Import = { readonly from: string; readonly to: string; readonly names: string }

/** Every relative import of the source tree, by path from the root. Tests of a layer may look further. */
function imports(): readonly Import[] {
  const files = LAYERS.flatMap((layer) =>
    readdirSync(join(ROOT, layer), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.endsWith('.d.ts'))
      .map((name) => join(layer, name)),
  )
  return files.flatMap((from) => {
    const text = readFileSync(join(ROOT, from), 'utf8')
    return [...text.matchAll(/(?:import|export)\s([^'"]*?)from\s+'(\.[^']+)'|import\('(\.[^']+)'\)/g)].map(
      (match) => ({
        from: from.split(sep).join('/'),
        to: relative(ROOT, resolve(ROOT, dirname(from), match[2] ?? match[3] ?? ''))
          .split(sep)
          .join('/'),
        names: match[1] ?? '',
      }),
    )
  })
}

const all = imports()
const inside = (path: string, ...folders: readonly string[]) =>
  folders.some((folder) => path === folder || path.startsWith(`${folder}/`))

/** Edges out of a folder that lead anywhere but to the folders named. */
const strays = (folder: string, ...allowed: readonly string[]) =>
  all
    .filter(({ from, to }) => inside(from, folder) && !inside(to, folder, ...allowed))
    .map(({ from, to }) => `${from} -> ${to}`)

describe('imports go one way', () => {
  it('finds imports to judge', () => {
    expect(all.length).toBeGreaterThan(200)
  })

  it.each([
    ['runtime/core'],
    ['runtime/protocols', 'runtime/core'],
    ['runtime/guards', 'runtime/core', 'runtime/protocols'],
    ['runtime/stages', 'runtime/core', 'runtime/protocols', 'runtime/guards'],
    ['runtime/pipeline.ts', 'runtime/core', 'runtime/protocols', 'runtime/guards', 'runtime/stages'],
    ['runtime', 'runtime'],
    ['strategies', 'runtime'],
    ['agents', 'runtime', 'strategies'],
    ['infra', 'runtime', 'strategies', 'agents'],
  ])('from %s to %s %s %s %s and itself only', (folder, ...allowed) => {
    expect(strays(folder, ...allowed)).toEqual([])
  })

  it('strategies and agents see the vocabulary and pure functions, never what reads, signs or drives', () => {
    const edges = all.filter(({ from, to }) => inside(from, 'strategies', 'agents') && inside(to, 'runtime'))
    const reader = /\/(read|get[A-Z]\w*|readSnapshot)\.ts$/
    expect(
      edges
        .filter(({ to }) => !inside(to, 'runtime/core', 'runtime/protocols') || reader.test(to))
        .map(({ from, to }) => `${from} -> ${to}`),
    ).toEqual([])
  })

  it('the engine knows no agent, strategy or adapter by name', () => {
    const outside = all.filter(
      ({ from, to }) => inside(from, 'runtime') && inside(to, 'agents', 'strategies', 'infra'),
    )
    expect(outside).toEqual([])
  })

  it.each(['client', 'relay', 'gateway', 'node', 'mint'])(
    'the role %s of the inference network imports no other role',
    (role) => {
      const shared = ['protocol', 'tokens'].map((folder) => `infra/inference/${folder}`)
      const generic = ['infra/disk', 'infra/http', 'infra/process', 'infra/telemetry', 'runtime/core']
      expect(strays(`infra/inference/${role}`, ...shared, ...generic)).toEqual([])
    },
  )

  it.each(['protocol', 'tokens'])('what the roles share (%s) imports no role', (folder) => {
    const others = ['analyst', 'client', 'relay', 'gateway', 'node', 'mint'].map(
      (role) => `infra/inference/${role}`,
    )
    expect(
      all
        .filter(({ from, to }) => inside(from, `infra/inference/${folder}`) && inside(to, ...others))
        .map(({ from, to }) => `${from} -> ${to}`),
    ).toEqual([])
  })

  it.each([
    ['sealSimulated', 'runtime/stages/simulate.ts'],
    ['sealAllowed', 'runtime/stages/approve.ts'],
  ])('%s is imported by %s alone', (name, owner) => {
    const importers = all.filter(({ names, from }) => names.includes(name) && !inside(from, 'test'))
    expect(importers.map(({ from }) => from)).toEqual([owner])
  })
})

describe('sources', () => {
  const sources = LAYERS.filter((layer) => layer !== 'test').flatMap((layer) =>
    readdirSync(join(ROOT, layer), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map((name) => join(layer, name)),
  )
  const matching = (pattern: RegExp) =>
    sources.filter((file) => pattern.test(readFileSync(join(ROOT, file), 'utf8')))

  it('throw no bare Error', () => {
    expect(matching(/\bnew Error\(/)).toEqual([])
  })

  it('ask the clock port for the time, in runtime, strategies and agents', () => {
    const timed = matching(/\bDate\.now\(\)|\bnew Date\(\)/).filter((file) =>
      inside(file.split(sep).join('/'), 'runtime', 'strategies', 'agents'),
    )
    expect(timed).toEqual([join('runtime', 'core', 'clock.ts')])
  })

  it('draw no random numbers in runtime, strategies and agents', () => {
    const random = matching(/\bMath\.random\(|\brandomBytes\(|\brandomUUID\(/).filter((file) =>
      inside(file.split(sep).join('/'), 'runtime', 'strategies', 'agents'),
    )
    expect(random).toEqual([])
  })
})
