import { createHash } from 'node:crypto'
import { z } from 'zod'
import { InvariantError } from '../../../../runtime/core/errors.ts'
import { type GroupCommitLog, type OpenFile, openGroupCommitLog, readLog } from '../log/groupCommitLog.ts'
import { lockLog } from '../log/lockLog.ts'
import type { NullifierStore } from './nullifierStore.ts'
import { createSpendBook, type SpendEntry } from './spendBook.ts'

const hex32 = z.string().regex(/^[0-9a-f]{64}$/)
// Short, because a gateway writes thousands a second: [binding, nullifiers…] or [nullifier, change].
const storedEntries = z
  .array(z.union([z.tuple([hex32, z.int().nonnegative()]), z.tuple([hex32, hex32], hex32)]))
  .min(1)

/**
 * A nullifier store in one append-only file, for one gateway process. Commits are grouped: however many spends are
 * under way, one fdatasync serves them all.
 *
 * A line is `<sha-256> <JSON>`, and each digest covers the one before, so that no record can be changed, removed or
 * put in between without `LOG_CORRUPT`. All nullifiers are held in memory, about 300 bytes each.
 *
 * @param path of the file, which is made if there is none; its folder has to be there
 * @throws {TokenError} `LOG_LOCKED`, `LOG_CORRUPT` or `LOG_UNWRITABLE`
 * @example const store = await fileNullifiers('.rialto/gateway/nullifiers-2026-11.log')
 */
export async function fileNullifiers(
  path: string,
  { open, patience }: { readonly open?: OpenFile; readonly patience?: number } = {},
): Promise<NullifierStore> {
  const unlock = await lockLog(path, patience)
  try {
    let log: GroupCommitLog<SpendEntry> | null = null
    let digest = '0'.repeat(64)
    const book = createSpendBook((entry) => {
      if (log === null) throw new InvariantError('Nothing is recorded while the log is read.')
      return log.append(entry)
    })
    const { length } = await readLog(
      path,
      (line) => {
        const json = line.slice(65)
        const expected = digestOf(digest, json)
        if (line !== `${expected} ${json}`) throw new InvariantError('The digest does not fit.')
        for (const entry of fromJson(json)) book.restore(entry)
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
      entry.kind === 'reserved' ? [entry.binding, ...entry.nullifiers] : [entry.nullifier, entry.change],
    ),
  )

function fromJson(json: string): readonly SpendEntry[] {
  return storedEntries.parse(JSON.parse(json)).map((stored): SpendEntry => {
    const [first, second, ...more] = stored
    return typeof second === 'number'
      ? { kind: 'settled', nullifier: first, change: second }
      : { kind: 'reserved', binding: first, nullifiers: [second, ...more] }
  })
}
