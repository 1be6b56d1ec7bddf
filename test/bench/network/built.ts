import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { packageRoot } from '../../../infra/process/packageRoot.ts'

/**
 * Loads a module of ours as it ships, from `dist/`. What is measured has to be that: tsx wraps each function that is
 * made, so a closure per request would cost more in the bench than it does for anybody.
 *
 * @param path from the root of the repository, without an extension
 * @example const { startRelay } = await built<typeof import('../../../infra/inference/relay/startRelay.ts')>('infra/inference/relay/startRelay')
 */
export const built = <Module>(path: string): Promise<Module> =>
  import(pathToFileURL(join(packageRoot(import.meta.url), 'dist', `${path}.js`)).href)
