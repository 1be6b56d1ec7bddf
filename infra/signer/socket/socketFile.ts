import { randomBytes } from 'node:crypto'
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { SignerError } from '../errors.ts'

/**
 * How a second client finds a signer that runs, and proves that it may read its folder: the socket's path, and a
 * secret that is new with every start. Only its owner may read the file (0600, in a folder that is 0700).
 */
export type SocketFile = {
  readonly path: string
  /** 32 random bytes, hex. */
  readonly secret: string
}

const shape = z.strictObject({ path: z.string().min(1), secret: z.string().regex(/^[0-9a-f]{64}$/) })

const fileOf = (directory: string) => join(directory, 'signer', 'socket.json')

export const newSecret = (): string => randomBytes(32).toString('hex')

/** Written beside and moved there, so that nobody ever reads half of it. */
export function writeSocketFile(directory: string, file: SocketFile): void {
  const path = fileOf(directory)
  const draft = `${path}.new`
  rmSync(draft, { force: true })
  writeFileSync(draft, `${JSON.stringify(file)}\n`, { mode: 0o600, flag: 'wx' })
  renameSync(draft, path)
}

export const removeSocketFile = (directory: string): void => rmSync(fileOf(directory), { force: true })

/**
 * @returns null when no signer has left word of a socket
 * @throws {SignerError} `SIGNER_CONFIGURATION` when the file cannot be read or is none of ours
 */
export function readSocketFile(directory: string): SocketFile | null {
  const path = fileOf(directory)
  try {
    return shape.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // ENOTDIR: what should be the folder is a file; who starts a signer there learns it from the signer.
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    throw new SignerError('SIGNER_CONFIGURATION', `${path} does not say where the signer listens.`, {
      fix: 'Stop the signer if one runs, remove the file, and start again.',
      details: { path, reason: code ?? 'malformed' },
    })
  }
}
