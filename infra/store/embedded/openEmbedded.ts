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
import type { FromWorker, ToWorker, WorkerTask } from './messages.ts'
import type { Dial } from './portStream.ts'

export type Embedded = {
  /** Opens a connection; they are served one after the other. */
  readonly dial: Dial
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
      dial: database.dial,
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
  const isNew = !existsSync(dataDirectory) || existsSync(unfinished)
  let template: string | null = null
  if (isNew) {
    onDisk(directory, () => {
      writeFileSync(unfinished, '')
      rmSync(dataDirectory, { recursive: true, force: true })
    })
    template = await prepareTemplate(directory)
  }
  const worker = startDatabaseWorker({ kind: 'serve', dataDirectory, template })
  const opened = await firstWord(worker)
  if (opened.kind === 'failed') {
    // An image that cannot be unpacked is made anew the next time.
    if (template !== null) rmSync(template, { force: true })
    await worker.terminate()
    throw failureOf(directory, opened, (reason) => new DatabaseCorruptError(directory, reason))
  }
  if (isNew) onDisk(directory, () => rmSync(unfinished, { force: true }))
  return connectable(worker, directory, onFailure)
}

function connectable(worker: Worker, directory: string, onFailure: (error: RialtoError) => void): Embedded {
  let failure: RialtoError | null = null
  let closing: Promise<void> | null = null
  const fail = (error: RialtoError): void => {
    if (failure !== null || closing !== null) return
    failure = error
    onFailure(error)
  }
  worker.on('message', (message: FromWorker) => {
    if (message.kind === 'failed')
      fail(failureOf(directory, message, (reason) => new DatabaseLostError(directory, reason)))
  })
  worker.on('error', (error) => fail(new DatabaseLostError(directory, error.message, error)))
  worker.on('exit', () => fail(new DatabaseLostError(directory, 'it ended')))

  const tell = (message: ToWorker): void =>
    worker.postMessage(message, message.kind === 'connect' ? [message.port] : [])

  return {
    dial() {
      if (failure !== null) throw failure
      const { port1, port2 } = new MessageChannel()
      tell({ kind: 'connect', port: port2 })
      return port1
    },
    close() {
      closing ??= new Promise((resolve) => {
        if (failure !== null) resolve()
        worker.once('exit', () => resolve())
        tell({ kind: 'close' })
      })
      return closing
    },
  }
}

/** The image that new data directories are unpacked from, made now if this machine has none. */
async function prepareTemplate(directory: string): Promise<string> {
  const name = `postgres-${pgliteVersion()}.tgz`
  const cached = join(packageRoot(import.meta.url), '.cache', name)
  if (existsSync(cached)) return cached
  const file = canHold(cached) ? cached : join(directory, name)
  if (existsSync(file)) return file
  // In a thread that ends: initdb leaves half a gigabyte behind that only the end of its thread gives back.
  const worker = startDatabaseWorker({ kind: 'template', file })
  const made = await firstWord(worker)
  await worker.terminate()
  if (made.kind === 'failed')
    throw failureOf(directory, made, (reason) => new DatabaseCorruptError(directory, reason))
  return file
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

type Failure = Extract<FromWorker, { kind: 'failed' }>

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
