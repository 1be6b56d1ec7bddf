import { existsSync } from 'node:fs'
import { access, mkdir, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { RialtoError } from '../runtime/core/errors.ts'
import { lockDirectory } from './store/embedded/directoryLock.ts'

/** The folder that holds everything Rialto keeps, or a file in it, cannot be used. */
export class DirectoryError extends RialtoError {
  override readonly name = 'DirectoryError'
  constructor(path: string, why: string, fix: string, cause?: unknown) {
    super('DIRECTORY_UNUSABLE', `Rialto cannot use ${path}: ${why}.`, { fix, cause })
  }
}

const EXPLANATIONS: Readonly<Record<string, readonly [why: string, fix: string]>> = {
  EACCES: [
    'it may not be written',
    'Give yourself the right to write there, or set RIALTO_DIR to another folder.',
  ],
  EPERM: [
    'it may not be written',
    'Give yourself the right to write there, or set RIALTO_DIR to another folder.',
  ],
  EROFS: ['it is on a read-only file system', 'Set RIALTO_DIR to a folder that can be written.'],
  ENOSPC: ['the disk is full', 'Free some space, or set RIALTO_DIR to a folder on another disk.'],
  EDQUOT: ['your disk quota is used up', 'Free some space, or set RIALTO_DIR to a folder on another disk.'],
  ENOTDIR: ['a part of its path is a file', 'Move that file away, or set RIALTO_DIR to another folder.'],
  ENOENT: [
    'it cannot be made there',
    'Check that the folder above it exists, or set RIALTO_DIR to another folder.',
  ],
  EISDIR: ['a folder has the name of a file', 'Move that folder away, or set RIALTO_DIR to another one.'],
  EEXIST: ['a file has its name', 'Move that file away, or set RIALTO_DIR to another folder.'],
}

/** Turns an error of the file system into one clear line. */
export function explainFileError(path: string, error: unknown): DirectoryError {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
  const [why, fix] = EXPLANATIONS[code] ?? [code, 'Check the folder, or set RIALTO_DIR to another one.']
  return new DirectoryError(path, why, fix, error)
}

/** What a fresh database takes, twice. */
const NEEDED_BYTES = 200 * 1024 * 1024
/** What one that is there needs to grow. */
const ROOM_TO_GROW = 32 * 1024 * 1024

/**
 * Makes sure that the folder exists, belongs to its owner alone, takes a write and has room for the database, before
 * anything is started that would have to be undone.
 *
 * @param room bytes that have to be free
 * @throws {DirectoryError} saying what is wrong and what to do.
 * @example await prepareDirectory('.rialto') // '/home/you/project/.rialto'
 */
export async function prepareDirectory(path: string, room: number = NEEDED_BYTES): Promise<string> {
  const directory = resolve(path)
  const probe = resolve(directory, `.probe-${process.pid}`)
  try {
    await makeFolder(directory)
    await writeFile(probe, Buffer.alloc(64 * 1024))
    await rm(probe)
    const { bavail, bsize } = await statfs(directory)
    const needed = existsSync(join(directory, 'journal')) ? Math.min(room, ROOM_TO_GROW) : room
    if (bavail * bsize < needed)
      throw new DirectoryError(
        directory,
        `only ${Math.floor((bavail * bsize) / 1024 ** 2)} MiB are free there, and ${needed / 1024 ** 2} are needed`,
        'Free some space, or set RIALTO_DIR to a folder on another disk.',
      )
  } catch (error) {
    if (error instanceof DirectoryError) throw error
    await rm(probe, { force: true }).catch(() => undefined)
    throw explainFileError(directory, error)
  }
  return directory
}

/**
 * Makes the folder and those above it that are missing. Not with `recursive`: Node 20 never comes back from a parent
 * that is there but takes no folder, as in `/proc`.
 */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return
    if (code !== 'ENOENT' || (await isThere(dirname(path)))) throw error
    await makeFolder(dirname(path))
    await makeFolder(path)
  }
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** The folder, held by this process alone until it is released. */
export type HeldDirectory = { readonly path: string; release(): void }

/**
 * Prepares the folder and takes it for this process: two runtimes on one folder would end each other's world.
 *
 * @param room bytes that have to be free
 * @throws {DirectoryError} when it cannot be used.
 * @throws {DirectoryInUseError} when another process holds it; one that was killed holds nothing.
 */
export async function holdDirectory(path: string, room: number = NEEDED_BYTES): Promise<HeldDirectory> {
  const directory = await prepareDirectory(path, room)
  try {
    return { path: directory, release: lockDirectory(directory).release }
  } catch (error) {
    throw error instanceof RialtoError ? error : explainFileError(directory, error)
  }
}
