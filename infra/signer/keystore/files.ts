import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, linkSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { SignerError } from '../errors.ts'

/** Runs a file operation. @throws {SignerError} `KEYSTORE` with the system's code, never with what was written. */
export function guarded<T>(path: string, operation: () => T): T {
  try {
    return operation()
  } catch (error) {
    if (error instanceof SignerError) throw error
    const { code } = error as NodeJS.ErrnoException
    throw new SignerError('KEYSTORE', `The keystore cannot use ${path} (${code ?? 'unknown error'}).`, {
      fix: FIXES[code ?? ''] ?? 'Make the folder readable and writable, and make room on the disk.',
    })
  }
}

const FIXES: Readonly<Record<string, string>> = {
  ENOENT: 'Check the path.',
  EISDIR: 'Name a file, not a folder.',
  EEXIST: 'Move the file elsewhere, or name another one.',
  ENOSPC: 'Make room on the disk.',
}

/** Others on the machine must not read it. Windows has no such mode to check. */
export function requirePrivate(path: string): void {
  const { mode } = guarded(path, () => statSync(path))
  if (process.platform === 'win32' || (mode & 0o077) === 0) return
  throw new SignerError('KEYSTORE', `Others than its owner may use ${path}.`, {
    fix: `Run chmod go= ${path}`,
  })
}

/**
 * Writes a file for its owner alone: whole and on the disk, or not at all. It never takes the place of another one.
 *
 * @throws {SignerError} `KEYSTORE`, also when there is a file of that name.
 */
export function writeOnce(path: string, text: string): void {
  const draft = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  guarded(path, () => {
    try {
      const fd = openSync(draft, 'wx', 0o600)
      try {
        writeAll(fd, Buffer.from(text))
        fsyncSync(fd)
      } finally {
        closeSync(fd)
      }
      // A link, unlike a rename, never takes the place of what is there.
      linkSync(draft, path)
    } finally {
      rmSync(draft, { force: true })
    }
    const folder = openSync(dirname(path), 'r')
    try {
      fsyncSync(folder)
    } finally {
      closeSync(folder)
    }
  })
}

/** A disk that fills up takes a part of what it is given before it says so. */
function writeAll(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
}
