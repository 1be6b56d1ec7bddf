import { join } from 'node:path'
import { inject } from 'vitest'

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder that Rialto was built into for this run of the tests. */
    readonly build: string
  }
}

/**
 * A module of Rialto's that `node` runs, as it was built for the tests of the project `commands` in vitest.config.ts.
 *
 * @param name its path from the root, without an extension
 * @example spawn(process.execPath, [builtEntry('infra/cli/main'), 'status'])
 */
export const builtEntry = (name: string): string => join(inject('build'), `${name}.js`)
