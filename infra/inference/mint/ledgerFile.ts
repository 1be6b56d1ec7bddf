import { createHash } from 'node:crypto'
import { z } from 'zod'
import { InvariantError } from '../../../runtime/core/errors.ts'
import { type GroupCommitLog, openGroupCommitLog, readLog } from '../tokens/log/groupCommitLog.ts'
import { writeDurably } from './durableFile.ts'

const account = z.string().regex(/^[0-9a-f]{64}$/)
const key = z.string().regex(/^[0-9a-f]{64}$/)
const digest = z.string().regex(/^[A-Za-z0-9_-]{22}$/)
const tokens = z.int().min(0)
const at = z.int().min(0)

// Tuples, because there is one for each purchase.
const credited = z
  .tuple([z.literal('credited'), account, tokens, z.enum(['configured', 'faucet']), at])
  .transform(([kind, account, tokens, source, at]) => ({ kind, account, tokens, source, at }))
const issued = z
  .tuple([z.literal('issued'), account, key], digest)
  .transform(([kind, account, key, ...digests]) => ({ kind, account, key, digests }))
const stands = z
  .tuple([z.literal('stands'), account, tokens, tokens, at])
  .transform(([kind, account, balance, configured, fauceted]) => ({
    kind,
    account,
    balance,
    configured,
    fauceted,
  }))
const remembered = z
  .tuple([z.literal('remembered'), key], digest)
  .transform(([kind, key, ...digests]) => ({ kind, key, digests }))
const storedEntries = z.array(z.union([credited, issued, stands, remembered])).min(1)

/**
 * What a ledger is made of:
 *
 * - `credited`: an account got tokens to buy with;
 * - `issued`: an account was charged for these, one for each, and they were signed with that key;
 * - `stands`, `remembered`: what earlier entries came to, in a ledger that was written anew.
 */
export type LedgerEntry = z.output<typeof storedEntries>[number]

const MOST_IN_A_LINE = 512

/**
 * Reads a ledger's file and writes it anew when that is worth it. A line is `<sha-256> <JSON>`, and each digest covers
 * the one before, so that no record can be changed, removed or put in between without `LOG_CORRUPT`.
 *
 * @param restore takes the entries in their order
 * @param summary what the entries came to, if the file shall be written anew; undefined to continue it as it is
 * @throws {TokenError} `LOG_CORRUPT` or `LOG_UNWRITABLE`
 */
export async function openLedgerFile(
  path: string,
  parameters: {
    readonly restore: (entry: LedgerEntry) => void
    readonly summary: () => readonly LedgerEntry[] | undefined
  },
): Promise<GroupCommitLog<LedgerEntry>> {
  let last = '0'.repeat(64)
  let { length } = await readLog(path, (line) => {
    const json = line.slice(65)
    const expected = digestOf(last, json)
    if (line !== `${expected} ${json}`) throw new InvariantError('The digest does not fit.')
    for (const entry of storedEntries.parse(JSON.parse(json))) parameters.restore(entry)
    last = expected
  })
  const encode = (entries: readonly LedgerEntry[]) => {
    const json = toJson(entries)
    last = digestOf(last, json)
    return `${last} ${json}`
  }
  const summary = parameters.summary()
  if (summary !== undefined) {
    last = '0'.repeat(64)
    const lines: string[] = []
    for (let from = 0; from < summary.length; from += MOST_IN_A_LINE)
      lines.push(`${encode(summary.slice(from, from + MOST_IN_A_LINE))}\n`)
    const content = Buffer.from(lines.join(''))
    await writeDurably(path, content)
    length = content.length
  }
  return openGroupCommitLog<LedgerEntry>({ path, length, encode })
}

const digestOf = (previous: string, json: string): string =>
  createHash('sha256').update(previous).update(json).digest('hex')

const toJson = (entries: readonly LedgerEntry[]): string => JSON.stringify(entries.map(toTuple))

function toTuple(entry: LedgerEntry): readonly (string | number)[] {
  switch (entry.kind) {
    case 'credited':
      return [entry.kind, entry.account, entry.tokens, entry.source, entry.at]
    case 'issued':
      return [entry.kind, entry.account, entry.key, ...entry.digests]
    case 'stands':
      return [entry.kind, entry.account, entry.balance, entry.configured, entry.fauceted]
    case 'remembered':
      return [entry.kind, entry.key, ...entry.digests]
  }
}
