import { existsSync } from 'node:fs'
import { dirname, join, parse } from 'node:path'
import { fileURLToPath } from 'node:url'
import { InvariantError } from '../../runtime/core/errors.ts'

/**
 * The folder of the nearest `package.json` at or above a module. Assets are found from here, never relative to a
 * source file, because the build moves the code to `dist/` and leaves the assets where they are.
 *
 * @param moduleUrl the caller's `import.meta.url`
 * @throws {InvariantError} when there is no `package.json` up to the root of the disk.
 * @example packageRoot(import.meta.url) // '/home/ann/rialto'
 */
export function packageRoot(moduleUrl: string): string {
  const start = dirname(fileURLToPath(moduleUrl))
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder
    if (folder === parse(folder).root)
      throw new InvariantError('No package.json above the module.', { start })
  }
}
