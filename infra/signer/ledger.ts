import { createHash } from 'node:crypto'
import * as nodeFs from 'node:fs'
import { dirname } from 'node:path'
import type { LedgerEntry } from './createSigner.ts'
import { SignerError } from './errors.ts'
import { type LedgerScope, readEntry, storeEntry } from './ledgerEntry.ts'
import { createSigningHistory, type SigningHistory } from './signingHistory.ts'

/** The system calls of the ledger, so that a test can let them fail as disks do. */
export type LedgerFs = Pick<
  typeof nodeFs,
  | 'openSync'
  | 'closeSync'
  | 'writeSync'
  | 'fdatasyncSync'
  | 'fsyncSync'
  | 'ftruncateSync'
  | 'fstatSync'
  | 'readFileSync'
>

export type Ledger = {
  readonly history: SigningHistory
  /** Entries in the file, of all chains. */
  readonly entries: number
  /** Bytes of an entry that a crash cut off, which were removed. Nobody was given what it was of. */
  readonly tornBytes: number
  /**
   * Adds an entry and returns when it is on the disk.
   *
   * @throws {SignerError} `LEDGER_UNWRITABLE`; after a failure that leaves the file in doubt, every time.
   */
  append(entry: LedgerEntry): void
  close(): void
}

// {"sha256":"<64 hex>","entry":{…}}
const DIGEST_AT = '{"sha256":"'.length
const ENTRY_AT = DIGEST_AT + 64 + '","entry":'.length
const GENESIS_DIGEST = '0'.repeat(64)

/** The digest of an entry covers all before it, so that none can be changed, removed or put in between. */
const digestOf = (previous: string, entry: string): string =>
  createHash('sha256').update(previous).update(entry).digest('hex')

/**
 * Opens the append-only record of everything that was signed, and makes it if there is none. One JSON object a line,
 * in a chain of SHA-256; nothing in it is ever changed.
 *
 * A last line without its end is what a crash leaves of an entry that was never acknowledged: it is cut off. Any
 * other line that does not read, or whose digest does not fit, means damage or an edit, and then nothing is signed
 * before a person has looked at it.
 *
 * @throws {SignerError} `LEDGER_CORRUPT` or `LEDGER_UNWRITABLE`.
 */
export function openLedger(path: string, scope: LedgerScope, fs: LedgerFs = nodeFs): Ledger {
  const fd = attempt(path, () => fs.openSync(path, 'a+', 0o600))
  const content = attempt(path, () => fs.readFileSync(fd))
  const history = createSigningHistory()
  const { length, digest, entries } = readLines(path, content, (line) => take(line, scope, history))
  const tornBytes = content.length - length
  attempt(path, () => {
    if (tornBytes > 0) fs.ftruncateSync(fd, length)
    fs.fsyncSync(fd)
    syncFolder(dirname(path), fs)
  })
  let state = { length, digest, entries }
  let broken: string | null = null

  return {
    history,
    tornBytes,
    get entries() {
      return state.entries
    },
    append(entry) {
      if (broken !== null) throw unwritable(path, broken)
      const json = storeEntry(entry, scope)
      const next = digestOf(state.digest, json)
      const line = Buffer.from(`{"sha256":"${next}","entry":${json}}\n`)
      try {
        // Somebody else who writes to it holds another view of what was signed.
        if (fs.fstatSync(fd).size !== state.length) {
          broken = 'another process wrote to it'
          throw unwritable(path, broken)
        }
        for (let written = 0; written < line.length; )
          written += fs.writeSync(fd, line, written, line.length - written)
      } catch (error) {
        if (error instanceof SignerError) throw error
        broken = takeBack(fd, state.length, fs)
        throw unwritable(path, reasonOf(error))
      }
      try {
        fs.fdatasyncSync(fd)
      } catch (error) {
        // What is on the disk after a failed sync is anybody's guess, and trying again does not tell.
        broken = `a sync failed (${reasonOf(error)})`
        throw unwritable(path, broken)
      }
      state = { length: state.length + line.length, digest: next, entries: state.entries + 1 }
    },
    close: () => fs.closeSync(fd),
  }
}

/** Removes what a failed write left. @returns why the file is in doubt, or null when it is as it was. */
function takeBack(fd: number, length: number, fs: LedgerFs): string | null {
  try {
    fs.ftruncateSync(fd, length)
    return null
  } catch (error) {
    return `a part of an entry could not be removed (${reasonOf(error)})`
  }
}

function readLines(
  path: string,
  content: Buffer,
  take: (json: string) => void,
): { length: number; digest: string; entries: number } {
  let digest = GENESIS_DIGEST
  let start = 0
  let entries = 0
  for (let end = content.indexOf(10); end >= 0; end = content.indexOf(10, start)) {
    const line = content.toString('utf8', start, end)
    const json = line.slice(ENTRY_AT, -1)
    const expected = digestOf(digest, json)
    if (line !== `{"sha256":"${expected}","entry":${json}}`) throw corrupt(path, entries + 1)
    try {
      take(json)
    } catch (cause) {
      throw corrupt(path, entries + 1, cause)
    }
    digest = expected
    entries += 1
    start = end + 1
  }
  return { length: start, digest, entries }
}

function take(json: string, scope: LedgerScope, history: SigningHistory): void {
  const entry = readEntry(json, scope)
  if (entry === null) return
  if (entry.kind === 'fence') history.addFence(entry.account, entry.fence)
  else if (entry.kind === 'abandoned') history.addAbandoned(entry.account, entry.attemptId)
  else if (entry.kind === 'standing') history.addStanding(entry)
  else {
    const { kind: _kind, ...record } = entry
    history.addSigned(record)
  }
}

function syncFolder(folder: string, fs: LedgerFs): void {
  const fd = fs.openSync(folder, 'r')
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}

function attempt<T>(path: string, operation: () => T): T {
  try {
    return operation()
  } catch (error) {
    throw unwritable(path, reasonOf(error))
  }
}

/** @example reasonOf(error) // 'ENOSPC: no space left on device' */
function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return typeof message === 'string' ? (message.split(', ')[0] ?? message) : (code ?? 'unknown')
}

const unwritable = (path: string, why: string): SignerError =>
  new SignerError(
    'LEDGER_UNWRITABLE',
    `Nothing is signed, because it cannot be recorded in ${path}: ${why}.`,
    {
      fix: 'Make room on the disk and make the file writable, and see to it that one signer alone uses it; then start again.',
      details: { path, why },
    },
  )

const corrupt = (path: string, line: number, cause?: unknown): SignerError =>
  new SignerError('LEDGER_CORRUPT', `Line ${line} of the signer's ledger ${path} was damaged or edited.`, {
    fix: 'Restore the file from a backup. Without it the signer cannot know which nonces it has signed.',
    details: { path, line },
    cause,
  })
