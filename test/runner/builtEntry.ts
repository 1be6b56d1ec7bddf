import { join } from 'node:path'
import { inject } from 'vitest'
import { WASM_FLAGS } from './wasmFlags.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder that Rialto was built into for this run of the tests. */
    readonly build: string
  }
}

/**
 * What `node` is given to run a module of Rialto's, as it was built for the tests of the project `commands` in
 * vitest.config.ts.
 *
 * @param name its path from the root, without an extension
 * @example spawn(process.execPath, [...builtEntry('infra/cli/main'), 'status'])
 */
export const builtEntry = (name: string): readonly string[] => [
  ...WASM_FLAGS,
  join(inject('build'), `${name}.js`),
]
