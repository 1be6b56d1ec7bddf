import { mkdir, open, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { InvalidInputError } from '../../../../runtime/core/errors.ts'
import { exportIdentityKey, generateIdentity, type IdentityKey, importIdentityKey } from './identity.ts'
import { toBase64Url } from './text.ts'

/** A file that should hold an identity's key cannot be used. */
export class IdentityFileError extends InvalidInputError {
  override readonly name = 'IdentityFileError'
  constructor(path: string, problem: string, cause?: unknown) {
    super(`The identity in ${path} ${problem}.`, {
      code: 'NETWORK_IDENTITY_FILE',
      fix: 'Restore the file from a backup, or name a folder that can be written; a new identity has to be made known to all others.',
      details: { path },
      cause,
    })
  }
}

/**
 * The identity in a file, which is made, for the owner's eyes only, when there is none. It is durable before it is
 * used: an identity that others were told of must not be lost in a power cut.
 *
 * @param path such as `.rialto/inference/gateway/identity`
 * @throws {IdentityFileError}
 */
export async function openIdentity(path: string): Promise<IdentityKey> {
  const existing = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw new IdentityFileError(path, `cannot be read (${error.code})`, error)
  })
  if (existing !== null) {
    const seed = Buffer.from(existing.trim(), 'base64url')
    if (seed.length !== 32 || toBase64Url(seed) !== existing.trim())
      throw new IdentityFileError(path, 'is damaged')
    return importIdentityKey(seed)
  }
  const key = generateIdentity()
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    // Whoever comes second fails, instead of having another identity than the one on the disk.
    const file = await open(path, 'wx', 0o600)
    try {
      await file.writeFile(`${toBase64Url(exportIdentityKey(key))}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
  } catch (error) {
    throw new IdentityFileError(path, `cannot be written (${(error as NodeJS.ErrnoException).code})`, error)
  }
  return key
}
