import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's folder. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Where tests are, and what they test. */
export const LAYERS = ['runtime', 'strategies', 'agents', 'infra', 'test'] as const

const slashed = (path: string): string => path.split(sep).join('/')

/** All test files, by path from the root, in the order of their names. */
export function testFiles(): readonly string[] {
  return LAYERS.flatMap((layer) =>
    readdirSync(join(ROOT, layer), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => slashed(join(layer, name))),
  ).sort()
}

/** Modules by which a process or a thread is started. */
const STARTS = new Set(['node:child_process', 'node:worker_threads', 'node:cluster'])

/** What a test that changes its own process says somewhere: its clock, its globals, its environment. */
const CHANGES = /\bvi\.(mock|doMock|stub\w+|useFakeTimers|resetModules)\b|process\.(env\S* =|chdir|on\()/

type Module = { readonly imports: readonly string[]; readonly starts: boolean }

/**
 * Those of the test files that may run one after another in one worker: nothing that they import, however far away,
 * starts a process or a thread, and nothing in them changes the process that they run in. A worker of its own costs a
 * test file half a second, which is more than most of these take.
 */
export function filesThatShareAWorker(files: readonly string[]): readonly string[] {
  const known = new Map<string, Module>()
  const moduleAt = (path: string): Module => {
    const found = known.get(path) ?? readModule(path)
    known.set(path, found)
    return found
  }
  const starts = (file: string): boolean => {
    const seen = new Set([file])
    for (const path of seen) {
      const { imports, starts } = moduleAt(path)
      if (starts) return true
      for (const next of imports) seen.add(next)
    }
    return false
  }
  return files.filter((file) => !CHANGES.test(readFileSync(join(ROOT, file), 'utf8')) && !starts(file))
}

/** Types count too: rather a worker too many. */
function readModule(path: string): Module {
  const names = importsOf(path)
  return {
    starts: names.some((name) => STARTS.has(name)),
    imports: names
      .filter((name) => name.startsWith('.') && name.endsWith('.ts'))
      .map((name) => slashed(relative(ROOT, resolve(ROOT, dirname(path), name)))),
  }
}

function importsOf(path: string): readonly string[] {
  const text = readFileSync(join(ROOT, path), 'utf8')
  return [...text.matchAll(/(?:\bfrom\s|\bimport\s|\bimport\()\s*'([^']+)'/g)].map(([, name]) => name ?? '')
}
