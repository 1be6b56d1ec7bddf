import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from './process/packageRoot.ts'

const manifest = JSON.parse(readFileSync(join(packageRoot(import.meta.url), 'package.json'), 'utf8')) as {
  version: string
}

/** Rialto's own version. */
export const version: string = manifest.version
