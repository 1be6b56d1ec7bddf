import { fstatSync } from 'node:fs'
import { type FileHandle, open as openFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { InvariantError } from '../../../../runtime/core/errors.ts'
import { TokenError } from '../errors.ts'

/** Opens a file as `node:fs/promises` does, so that a test can let the disk fail. */
export type OpenFile = typeof openFile

/** An append-only file whose entries are on the disk once they are acknowledged. */
export type GroupCommitLog<Entry> = {
  /**
   * Resolves when the entry is on the disk. Entries that come while a sync is under way share the next one.
   *
   * @throws {TokenError} `LOG_UNWRITABLE`; after a failure every time, because what is on the disk after a failed
   * write or sync is anybody's guess, and trying again does not tell.
   */
  append(entry: Entry): Promise<void>
  /** Writes out what waits and closes the file. Nothing may be appended after. */
  close(): Promise<void>
}

/** Most entries of one commit: they are one line, and one line is held in memory. */
const MOST_ENTRIES = 512

/**
 * Continues an append-only file. One commit is **one line**: a crash tears the last line only, and nobody was told
 * that its entries were recorded.
 *
 * @param file how the file is, from {@link readLog}; what lies beyond `length` is cut off
 * @param encode makes the line of a commit, without its newline; called in the order of the lines
 * @throws {TokenError} `LOG_UNWRITABLE`
 */
export async function openGroupCommitLog<Entry>(parameters: {
  readonly path: string
  readonly length: number
  readonly encode: (entries: readonly Entry[]) => string
  readonly open?: OpenFile
}): Promise<GroupCommitLog<Entry>> {
  const { path, encode, open = openFile } = parameters
  let length = parameters.length
  const file = await attempt(path, () => open(path, 'a', 0o600))
  await attempt(path, async () => {
    await file.truncate(length)
    // Lines that a killed process left unsynced were read as records, so they have to become durable as such.
    await file.sync()
    await syncFolder(dirname(path), open)
  }).catch(async (error) => {
    await file.close()
    throw error
  })

  let waiting: Waiting<Entry>[] = []
  let committing: Promise<void> | null = null
  let broken: TokenError | null = null
  let closed = false

  async function commit(batch: readonly Waiting<Entry>[]): Promise<void> {
    const line = Buffer.from(`${encode(batch.map(({ entry }) => entry))}\n`)
    // Somebody else who writes to it holds another view of what is recorded. The system knows the size of an open file
    // without its disk, so asking at once takes less than the way to a thread that could wait.
    if (fstatSync(file.fd).size !== length) throw unwritable(path, 'another process wrote to it')
    for (let written = 0; written < line.length; )
      written += (await file.write(line, written, line.length - written)).bytesWritten
    await file.datasync()
    length += line.length
  }

  async function commitAll(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.splice(0, MOST_ENTRIES)
      try {
        if (broken !== null) throw broken
        await commit(batch)
        for (const { resolve } of batch) resolve()
      } catch (error) {
        broken = error instanceof TokenError ? error : unwritable(path, reasonOf(error), error)
        for (const { reject } of batch) reject(broken)
      }
    }
    committing = null
  }

  return {
    append(entry) {
      if (closed) return Promise.reject(new InvariantError('The log is closed.', { path }))
      if (broken !== null) return Promise.reject(broken)
      return new Promise((resolve, reject) => {
        waiting.push({ entry, resolve, reject })
        // Begun a microtask later, so that what is appended in one go is one commit.
        committing ??= Promise.resolve().then(commitAll)
      })
    },
    async close() {
      if (closed) return
      closed = true
      await committing
      waiting = []
      await file.close()
    },
  }
}

type Waiting<Entry> = {
  readonly entry: Entry
  readonly resolve: () => void
  readonly reject: (error: TokenError) => void
}

/**
 * Reads a log from its beginning.
 *
 * A last line without its end is what a crash leaves of a commit that was never acknowledged, and so is a last line
 * with NUL in it, which is how pages read that a power cut kept from the disk. Both are left out; any other line that
 * does not read means damage or an edit.
 *
 * @param take takes a line, and throws when it is not what was written
 * @returns the bytes that hold, for {@link openGroupCommitLog}; zero when there is no file
 * @throws {TokenError} `LOG_CORRUPT` or `LOG_UNWRITABLE`
 */
export async function readLog(path: string, take: (line: string) => void, open: OpenFile = openFile) {
  const file = await openToRead(path, open)
  if (file === null) return { length: 0, lines: 0 }
  try {
    return await readLines(path, file, take)
  } finally {
    await file.close()
  }
}

async function readLines(path: string, file: FileHandle, take: (line: string) => void) {
  const { size } = await attempt(path, () => file.stat())
  const chunk = Buffer.alloc(1 << 20)
  let rest: Buffer = Buffer.alloc(0)
  let length = 0
  let lines = 0
  for (let at = 0; ; ) {
    const { bytesRead } = await attempt(path, () => file.read(chunk, 0, chunk.length, at))
    if (bytesRead === 0) return { length, lines }
    at += bytesRead
    rest = Buffer.concat([rest, chunk.subarray(0, bytesRead)])
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const line = rest.subarray(0, end)
      const isLast = length + end + 1 === size
      if (isLast && line.includes(0)) return { length, lines }
      try {
        take(line.toString('utf8'))
      } catch (cause) {
        throw corrupt(path, lines + 1, cause)
      }
      length += end + 1
      lines += 1
      rest = rest.subarray(end + 1)
    }
  }
}

async function openToRead(path: string, open: OpenFile): Promise<FileHandle | null> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw unwritable(path, reasonOf(error), error)
  }
}

/** Makes a rename or a new file in a folder durable. */
export async function syncFolder(folder: string, open: OpenFile = openFile): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Runs a file operation. @throws {TokenError} `LOG_UNWRITABLE` with the system's reason. */
export async function attempt<T>(path: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation()
  } catch (error) {
    throw error instanceof TokenError ? error : unwritable(path, reasonOf(error), error)
  }
}

/** @example reasonOf(error) // 'ENOSPC: no space left on device' */
function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return typeof message === 'string' ? (message.split(', ')[0] ?? message) : (code ?? 'unknown')
}

const unwritable = (path: string, why: string, cause?: unknown): TokenError =>
  new TokenError('LOG_UNWRITABLE', `Nothing can be recorded in ${path}: ${why}.`, {
    fix: 'Make room on the disk and make the file writable, and see to it that one process alone uses it; then start again.',
    details: { path, why },
    cause,
  })

export const corrupt = (path: string, line: number, cause?: unknown): TokenError =>
  new TokenError('LOG_CORRUPT', `Line ${line} of ${path} was damaged or edited.`, {
    fix: 'Restore the file from a backup.',
    details: { path, line },
    cause,
  })
