import { createHash } from 'node:crypto'
import { z } from 'zod'
import { InvariantError } from '../../../../runtime/core/errors.ts'
import { type GroupCommitLog, type OpenFile, openGroupCommitLog, readLog } from '../log/groupCommitLog.ts'
import { lockLog } from '../log/lockLog.ts'
import type { NullifierStore, NullifierStoreOptions } from './nullifierStore.ts'
import { OWNER, ownerOr } from './owner.ts'
import { createSpendBook, type SpendEntry } from './spendBook.ts'

const hex16 = z.string().regex(/^[0-9a-f]{32}$/)
const hex32 = z.string().regex(/^[0-9a-f]{64}$/)
// Tuples, because a gateway writes thousands a second.
const reserved = z
  .tuple([z.int().nonnegative(), z.string().regex(OWNER), hex32, hex32], hex32)
  .transform(([at, owner, binding, ...nullifiers]) => ({
    kind: 'reserved' as const,
    at,
    owner,
    binding,
    nullifiers,
  }))
const settled = z
  .tuple([hex32], hex16)
  .transform(([nullifier, ...digests]) => ({ kind: 'settled' as const, nullifier, digests }))
const storedEntries = z.array(z.union([reserved, settled])).min(1)

/**
 * A nullifier store in one append-only file, for one gateway process. Commits are grouped: however many spends are
 * under way, one fdatasync serves them all.
 *
 * A line is `<sha-256> <JSON>`, and each digest covers the one before, so that no record can be changed, removed or
 * put in between without `LOG_CORRUPT`. All is held in memory, about 300 bytes a nullifier and 150 a token of change.
 *
 * @param path of the file, which is made if there is none; its folder has to be there
 * @param patience milliseconds to wait for a holder of the file that is about to end
 * @param now wall clock in milliseconds since 1970: what a reservation's age is counted by, after a restart too
 * @throws {TokenError} `LOG_LOCKED`, `LOG_CORRUPT` or `LOG_UNWRITABLE`
 * @example const store = await fileNullifiers('.rialto/gateway/nullifiers-2026-11.log')
 */
export async function fileNullifiers(
  path: string,
  options: NullifierStoreOptions & {
    readonly open?: OpenFile
    readonly patience?: number
    readonly now?: () => number
  } = {},
): Promise<NullifierStore> {
  const { open, patience, now = Date.now } = options
  const owner = ownerOr(options.owner)
  const unlock = await lockLog(path, patience)
  try {
    let log: GroupCommitLog<SpendEntry> | null = null
    let digest = '0'.repeat(64)
    const book = createSpendBook({
      owner,
      now,
      record: (entry) => {
        if (log === null) throw new InvariantError('Nothing is recorded while the log is read.')
        return log.append(entry)
      },
    })
    const { length } = await readLog(
      path,
      (line) => {
        const json = line.slice(65)
        const expected = digestOf(digest, json)
        if (line !== `${expected} ${json}`) throw new InvariantError('The digest does not fit.')
        for (const entry of storedEntries.parse(JSON.parse(json))) book.restore(entry)
        digest = expected
      },
      open,
    )
    const opened = await openGroupCommitLog<SpendEntry>({
      path,
      length,
      ...(open === undefined ? {} : { open }),
      encode: (entries) => {
        const json = toJson(entries)
        digest = digestOf(digest, json)
        return `${digest} ${json}`
      },
    })
    log = opened
    return {
      ...book.store,
      async close() {
        try {
          await opened.close()
        } finally {
          unlock()
        }
      },
    }
  } catch (error) {
    unlock()
    throw error
  }
}

const digestOf = (previous: string, json: string): string =>
  createHash('sha256').update(previous).update(json).digest('hex')

const toJson = (entries: readonly SpendEntry[]): string =>
  JSON.stringify(
    entries.map((entry) =>
      entry.kind === 'reserved'
        ? [entry.at, entry.owner, entry.binding, ...entry.nullifiers]
        : [entry.nullifier, ...entry.digests],
    ),
  )
