import { mkdir, readdir, readFile, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { createFileOnce } from '../../../disk/createFileOnce.ts'
import { GatewayStateError } from '../errors.ts'

/** A draft this old is of a process that was killed, in milliseconds. */
const ABANDONED = 60_000
const DRAFT = /\.draft$/

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown'

/** Makes a folder for the owner alone, if there is none, and takes away what killed processes left. */
export async function openStateFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    for (const name of await readdir(folder)) {
      if (!DRAFT.test(name)) continue
      const path = join(folder, name)
      if (Date.now() - (await stat(path)).mtimeMs > ABANDONED) await unlink(path)
    }
  } catch (error) {
    throw new GatewayStateError(folder, `cannot be used (${codeOf(error)})`, error)
  }
}

/**
 * Makes a file that is not there yet, whole, durable and for the owner alone. Of several processes that make the same
 * file one succeeds.
 *
 * @returns whether it was made here; false when there is one already
 * @throws {GatewayStateError}
 */
export async function createStateFile(path: string, content: string): Promise<boolean> {
  try {
    return await createFileOnce(path, content)
  } catch (error) {
    throw new GatewayStateError(path, `cannot be written (${codeOf(error)})`, error)
  }
}

/** Names and paths of the files whose name is a whole number and an extension, in the order of the numbers. */
export async function numberedFiles(
  folder: string,
  extension: string,
): Promise<readonly { readonly number: number; readonly path: string }[]> {
  try {
    return (await readdir(folder))
      .filter((name) => name.endsWith(extension) && /^\d{1,15}$/.test(name.slice(0, -extension.length)))
      .map((name) => ({ number: Number(name.slice(0, -extension.length)), path: join(folder, name) }))
      .sort((a, b) => a.number - b.number)
  } catch (error) {
    throw new GatewayStateError(folder, `cannot be read (${codeOf(error)})`, error)
  }
}

/** @throws {GatewayStateError} */
export async function readStateFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new GatewayStateError(path, `cannot be read (${codeOf(error)})`, error)
  }
}

/** Takes a file away that is needed no more; another process may have done so. @throws {GatewayStateError} */
export async function removeStateFile(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT')
      throw new GatewayStateError(path, `cannot be removed (${codeOf(error)})`, error)
  }
}
