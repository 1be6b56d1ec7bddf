import type { Stats } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { PriceFileUnreadableError } from './errors.ts'

/** The largest file that is read, in bytes: a year by the minute. Its bars take a dozen times that in memory. */
export const MAX_FILE_BYTES = 32 * 1024 * 1024

/**
 * The text of a price file, without a byte order mark.
 *
 * @throws {PriceFileUnreadableError} when it does not exist, is no regular file, may not be read, is larger than
 * {@link MAX_FILE_BYTES}, or is no UTF-8 text.
 */
export async function readPriceText(file: string): Promise<string> {
  const { isFile, isDirectory, size } = await statOf(file)
  if (isDirectory) throw new PriceFileUnreadableError(file, 'is a directory', { fix: 'Name a file in it.' })
  if (!isFile)
    // Reading a pipe could wait forever, and a device could never end.
    throw new PriceFileUnreadableError(file, 'is no regular file', { fix: 'Write it to a file first.' })
  if (size > MAX_FILE_BYTES)
    throw new PriceFileUnreadableError(file, `has ${size} bytes, and at most ${MAX_FILE_BYTES} are read`, {
      fix: 'Cut out the range that is to be played.',
    })
  return decode(await attempt(file, () => readFile(file)), file)
}

async function statOf(file: string): Promise<{ isFile: boolean; isDirectory: boolean; size: number }> {
  const stats: Stats = await attempt(file, () => stat(file))
  return { isFile: stats.isFile(), isDirectory: stats.isDirectory(), size: stats.size }
}

async function attempt<T>(file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (cause) {
    throw new PriceFileUnreadableError(file, describeFailure(cause), {
      fix: 'Check the path and its permissions.',
      cause,
    })
  }
}

function describeFailure(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'an unknown error'
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'does not exist'
  if (code === 'EACCES' || code === 'EPERM') return 'may not be read by this user'
  return `cannot be read (${code})`
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    if (!text.includes('\0')) return text
  } catch (cause) {
    throw new PriceFileUnreadableError(file, 'is no UTF-8 text', { fix: FIX_TEXT, cause })
  }
  throw new PriceFileUnreadableError(file, 'is a binary file', { fix: FIX_TEXT })
}

const FIX_TEXT = 'Give a CSV file in UTF-8.'
