import { readFile } from 'node:fs/promises'
import { ConfigFileError } from './errors.ts'
import { shownPath } from './shownPath.ts'

const EXPLANATIONS: Readonly<Record<string, readonly [why: string, fix: string]>> = {
  ENOENT: ['there is no such file', 'Check its path, or create it.'],
  ENOTDIR: ['a part of its path is a file', 'Check its path.'],
  EISDIR: ['it is a folder', 'Name a file in it.'],
  EACCES: ['it may not be read', 'Give yourself the right to read it.'],
  EPERM: ['it may not be read', 'Give yourself the right to read it.'],
}

/**
 * The text of a file that a person wrote, without a byte order mark.
 *
 * @param what it is, for the error: `the policy`
 * @throws {ConfigFileError}
 */
export async function readText(what: string, path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).replace(/^\uFEFF/, '')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    const [why, fix] = EXPLANATIONS[code] ?? [code, 'Check the file.']
    throw new ConfigFileError(what, shownPath(path), why, fix, error)
  }
}
