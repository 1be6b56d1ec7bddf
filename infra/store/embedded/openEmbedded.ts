import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { MessageChannel, type Worker } from 'node:worker_threads'
import { RialtoError } from '../../../runtime/core/errors.ts'
import { packageRoot } from '../../process/packageRoot.ts'
import { startWorker } from '../../process/startWorker.ts'
import {
  DatabaseCorruptError,
  DatabaseLostError,
  DirectoryNotWritableError,
  DiskFullError,
} from '../errors.ts'
import { lockDirectory } from './directoryLock.ts'
import type { Failure, FromWorker, ToWorker, WorkerTask } from './messages.ts'
import type { Line } from './portStream.ts'

export type Embedded = {
  /** How connections are made; they are served one after the other. */
  readonly line: Line
  close(): Promise<void>
}

/**
 * Opens the PostgreSQL that lives in a directory, in a worker thread, and holds the directory against other
 * processes until it is closed or this process ends.
 *
 * A new data directory is unpacked from an image that is made once per machine (`.cache/` of the package, or the
 * directory itself where that cannot be written to), because initdb takes seconds and half a gigabyte.
 *
 * @param onFailure told once if the database dies while it is open
 * @throws {DirectoryInUseError | DirectoryNotWritableError | DiskFullError | DatabaseCorruptError}
 */
export async function openEmbedded(
  directory: string,
  onFailure: (error: RialtoError) => void = () => {},
): Promise<Embedded> {
  const lock = onDisk(directory, () => {
    mkdirSync(directory, { recursive: true })
    return lockDirectory(directory)
  })
  try {
    const database = await start(directory, onFailure)
    return {
      line: database.line,
      async close() {
        await database.close()
        lock.release()
      },
    }
  } catch (error) {
    onDisk(directory, () => lock.release())
    throw error
  }
}

async function start(directory: string, onFailure: (error: RialtoError) => void): Promise<Embedded> {
  const dataDirectory = join(directory, 'data')
  // There while the data directory is being filled: what a killed process left unfinished is begun again.
  const unfinished = join(directory, 'data.unfinished')
  if (!existsSync(dataDirectory) || existsSync(unfinished)) {
    onDisk(directory, () => {
      writeFileSync(unfinished, '')
      rmSync(dataDirectory, { recursive: true, force: true })
    })
    await fill(directory, dataDirectory)
    onDisk(directory, () => rmSync(unfinished))
  }
  // PGlite takes a data directory without this file for a new one, and would begin an empty journal in it.
  if (!existsSync(join(dataDirectory, 'PG_VERSION')))
    throw new DatabaseCorruptError(directory, 'PG_VERSION is missing')
  const worker = startDatabaseWorker({ kind: 'serve', dataDirectory })
  const opened = await firstWord(worker)
  if (opened.kind === 'ready') return connectable(worker, directory, onFailure)
  await worker.terminate()
  throw failureOf(directory, opened, (reason) => new DatabaseCorruptError(directory, reason))
}

/** Fills a new data directory, in a thread that ends: initdb leaves half a gigabyte behind that nothing else gives back. */
async function fill(directory: string, dataDirectory: string): Promise<void> {
  const image = imageFile(directory)
  const worker = startDatabaseWorker({ kind: 'fill', dataDirectory, image })
  const filled = await firstWord(worker)
  await worker.terminate()
  if (filled.kind === 'ready') return
  // One that cannot be unpacked is made anew the next time.
  rmSync(image, { force: true })
  throw failureOf(directory, filled, (reason) => new DatabaseCorruptError(directory, reason))
}

function connectable(worker: Worker, directory: string, onFailure: (error: RialtoError) => void): Embedded {
  let failure: RialtoError | null = null
  let closing: Promise<void> | null = null
  const fail = (error: RialtoError): void => {
    if (failure !== null || closing !== null) return
    failure = error
    onFailure(error)
    void worker.terminate()
  }
  // A connection that just ends is cut off by what ended the database, if that is known.
  const explain = (said: Failure): RialtoError =>
    failure ?? failureOf(directory, said, (reason) => new DatabaseLostError(directory, reason))
  worker.on('message', (message: FromWorker) => {
    if (message.kind === 'failed') fail(explain(message))
  })
  worker.on('error', (error) => fail(new DatabaseLostError(directory, error.message, error)))
  worker.on('exit', () => fail(new DatabaseLostError(directory, 'it ended')))

  const tell = (message: ToWorker): void =>
    worker.postMessage(message, message.kind === 'connect' ? [message.port] : [])

  return {
    line: {
      dial() {
        if (failure !== null) throw failure
        const { port1, port2 } = new MessageChannel()
        tell({ kind: 'connect', port: port2 })
        return port1
      },
      explain,
    },
    close() {
      closing ??=
        failure === null
          ? new Promise((resolve) => {
              worker.once('exit', () => resolve())
              tell({ kind: 'close' })
            })
          : worker.terminate().then(() => {})
      return closing
    },
  }
}

/** Where the image of an empty data directory is, or is to be: one for the machine, or else one for the directory. */
function imageFile(directory: string): string {
  const name = `postgres-${pgliteVersion()}.tgz`
  const cached = join(packageRoot(import.meta.url), '.cache', name)
  return existsSync(cached) || canHold(cached) ? cached : join(directory, name)
}

/** Whether a file can be made there, its folder included. */
function canHold(file: string): boolean {
  const folder = join(file, '..')
  try {
    mkdirSync(folder, { recursive: true })
    accessSync(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}

function pgliteVersion(): string {
  const main = createRequire(import.meta.url).resolve('@electric-sql/pglite')
  const manifest = readFileSync(join(packageRoot(pathToFileURL(main).href), 'package.json'), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}

const startDatabaseWorker = (task: WorkerTask): Worker =>
  startWorker(import.meta.url, './postgresWorker', { workerData: task })

type FirstWord = Exclude<FromWorker, { kind: 'closed' }>

/** Waits until the worker is ready or says why it is not. */
function firstWord(worker: Worker): Promise<FirstWord> {
  return new Promise((resolve) => {
    const failed = (reason: string): void => resolve({ kind: 'failed', reason, code: null })
    worker.once('message', (message: FirstWord) => resolve(message))
    worker.once('error', (error) => failed(error.message))
    worker.once('exit', () => failed('it ended'))
  })
}

function failureOf(
  directory: string,
  failure: Failure,
  otherwise: (reason: string) => RialtoError,
): RialtoError {
  const said = `${failure.code ?? ''} ${failure.reason}`
  if (/ENOSPC|EDQUOT|no space left|quota exceeded/i.test(said)) return new DiskFullError(directory)
  if (/EACCES|EPERM|EROFS|permission denied|read-only file system/i.test(said))
    return new DirectoryNotWritableError(directory, said.trim())
  return otherwise(failure.reason)
}

/** Does something on the disk, and says in our words what the disk has against it. */
function onDisk<T>(directory: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof RialtoError) throw error
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new DiskFullError(directory, error)
    throw new DirectoryNotWritableError(directory, error)
  }
}
