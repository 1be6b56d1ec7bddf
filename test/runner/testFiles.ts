import { existsSync, readdirSync, readFileSync } from 'node:fs'
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

/** What a test that changes its own process says somewhere: its clock, its globals, its modules, its environment. */
const CHANGES = [
  /\bvi\.(mock|doMock|hoisted|spyOn|stub\w+|useFakeTimers|setSystemTime|resetModules)\b/,
  /\bprocess\.(env\S* (\?\?|\|\|)?= |exitCode\b|chdir\b|umask\b|on\(|once\()/,
  /\bdelete (process\.env|globalThis)\b/,
  /\bObject\.(assign|definePropert(y|ies))\((process|globalThis|console)\b/,
  /(?<!\btypeof )\b(globalThis\.\w+|Error\.stackTraceLimit) = /,
]

/** Files of tests' own: what the product does to its process, it does in a process of its own. */
const OF_TESTS = /^test\/|\.(test|fixture)\.ts$/

/** Variables that name a real Redis or PostgreSQL for tests to use beside the embedded ones. */
const SERVERS = /\bTEST_(REDIS|DATABASE)_URL\b/

type Module = {
  readonly imports: readonly string[]
  readonly starts: boolean
  readonly changes: boolean
  readonly usesServers: boolean
}

/**
 * Those of the test files that may run one after another in one worker: nothing that they import, however far away,
 * starts a process or a thread, and neither they nor anything of tests' own that they import changes the process that
 * they run in. A worker of its own costs a test file half a second, which is more than most of these take.
 */
export function filesThatShareAWorker(files: readonly string[]): readonly string[] {
  const starts = finder(({ starts }) => starts)
  const changing = new Set(filesThatChangeTheirProcess(files))
  return files.filter((file) => !changing.has(file) && !starts(file))
}

/** Those of the test files that change what others in their worker would see, or import a fixture that does. */
export const filesThatChangeTheirProcess = (files: readonly string[]): readonly string[] =>
  files.filter(finder(({ changes }) => changes))

/** Those of the test files that use a real Redis or PostgreSQL where one is named. */
export const filesThatUseServers = (files: readonly string[]): readonly string[] =>
  files.filter(finder(({ usesServers }) => usesServers))

/** Whether something is so of a module or of anything that it imports. Types count too: rather one too many. */
function finder(isSo: (module: Module) => boolean): (path: string) => boolean {
  const known = new Map<string, Module>()
  const moduleAt = (path: string): Module => {
    const found = known.get(path) ?? readModule(path)
    known.set(path, found)
    return found
  }
  return (path) => {
    const seen = new Set([path])
    for (const each of seen) {
      const module = moduleAt(each)
      if (isSo(module)) return true
      for (const next of module.imports) seen.add(next)
    }
    return false
  }
}

function readModule(path: string): Module {
  const text = readFileSync(join(ROOT, path), 'utf8')
  const names = [...text.matchAll(/(?:\bfrom\s|\bimport\s|\bimport\()\s*'([^']+)'/g)].map(
    ([, name]) => name ?? '',
  )
  return {
    starts: names.some((name) => STARTS.has(name)),
    changes: OF_TESTS.test(path) && CHANGES.some((change) => change.test(text)),
    usesServers: SERVERS.test(text),
    imports: names
      .filter((name) => name.startsWith('.') && name.endsWith('.ts'))
      .map((name) => slashed(relative(ROOT, resolve(ROOT, dirname(path), name))))
      // A test may hold the text of a module that is not there.
      .filter((file) => existsSync(join(ROOT, file))),
  }
}
