import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Canonical, canonicalHash } from '../../../runtime/core/canonical.ts'
import type { Hash } from '../../../runtime/core/ids.ts'
import { packageRoot } from '../../process/packageRoot.ts'
import type { StartParameters } from '../messages.ts'

/**
 * What a signer was started with, and by which version of Rialto, as one hash: a signer that runs is taken over only
 * by who would have started the same. Where the passphrase came from makes no difference.
 */
export function parametersHash({ passphrase: _passphrase, ...parameters }: StartParameters): Hash {
  const { version } = JSON.parse(readFileSync(join(packageRoot(import.meta.url), 'package.json'), 'utf8'))
  return canonicalHash({ version, ...parameters } as unknown as Canonical)
}
