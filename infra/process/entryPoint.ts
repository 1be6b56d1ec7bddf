import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { InvariantError } from '../../runtime/core/errors.ts'

/** A module of ours that runs in a process of its own. */
export type EntryPoint = {
  /** The file to run: `.ts` in a source tree, `.js` in a build. */
  readonly path: string
  /** What `node` needs before the path to run it. */
  readonly execArgv: readonly string[]
}

/**
 * Finds a module that is to be run by another process, from source as well as from `dist/`.
 *
 * @param moduleUrl the caller's `import.meta.url`
 * @param name the module's path, relative to the caller, without an extension
 * @throws {InvariantError} when there is neither a `.ts` nor a `.js` file of that name.
 * @example
 * const { path, execArgv } = entryPoint(import.meta.url, './child')
 * spawn(process.execPath, [...execArgv, path])
 */
export function entryPoint(moduleUrl: string, name: string): EntryPoint {
  const path = join(dirname(fileURLToPath(moduleUrl)), name)
  // A build rewrites the caller too, so its own extension tells which of the two is meant.
  const extension = fileURLToPath(moduleUrl).endsWith('.ts') ? '.ts' : '.js'
  if (!existsSync(path + extension))
    throw new InvariantError('There is no such entry point.', { path: path + extension })
  return {
    path: path + extension,
    execArgv: extension === '.ts' ? ['--import', tsxModule('dist/loader.mjs').href] : [],
  }
}

/** The URL of a file of tsx: a name would be resolved from the working directory of whoever starts the process. */
export function tsxModule(file: string): URL {
  const root = dirname(createRequire(import.meta.url).resolve('tsx/package.json'))
  return pathToFileURL(join(root, file))
}
