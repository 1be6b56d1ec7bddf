import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { InvalidInputError } from '../../../../runtime/core/errors.ts'
import { createFileOnce } from '../../../disk/createFileOnce.ts'
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
  const existing = await readSeed(path)
  if (existing !== null) return existing
  const key = generateIdentity()
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    if (await createFileOnce(path, `${toBase64Url(exportIdentityKey(key))}\n`)) return key
  } catch (error) {
    throw new IdentityFileError(path, `cannot be written (${(error as NodeJS.ErrnoException).code})`, error)
  }
  // Another process made one in the meantime, and that is the one that others are told of.
  return openIdentity(path)
}

async function readSeed(path: string): Promise<IdentityKey | null> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw new IdentityFileError(path, `cannot be read (${error.code})`, error)
  })
  if (text === null) return null
  const seed = Buffer.from(text.trim(), 'base64url')
  if (seed.length !== 32 || toBase64Url(seed) !== text.trim()) throw new IdentityFileError(path, 'is damaged')
  return importIdentityKey(seed)
}
