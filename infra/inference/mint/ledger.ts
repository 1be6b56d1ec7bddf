import { createHash } from 'node:crypto'
import { InvariantError } from '../../../runtime/core/errors.ts'
import { type LedgerEntry, openLedgerFile } from './ledgerFile.ts'

/** What is signed for an account, and with which key. */
export type Purchase = { readonly digest: string; readonly key: string }

/**
 * Who may buy how many tokens, and what each account was given. All that is asked of it is answered from memory, and
 * all that changes is in memory at once, so that two requests at a time cannot spend the same token twice; nothing
 * may leave before {@link Ledger.recorded}.
 */
export type Ledger = {
  /** Tokens that an account may still buy; undefined for one that was never seen. */
  balance(account: string): number | undefined
  /** The key that a digest was signed with, if it was paid. */
  keyOf(digest: string): string | undefined
  /** Gives an account tokens to buy with. */
  credit(account: string, tokens: number, source: 'configured' | 'faucet'): void
  /** Charges an account one token for each. @throws {InvariantError} when it has not as many */
  charge(account: string, purchases: readonly Purchase[]): void
  /** What an account was given by configuration, in all. */
  configured(account: string): number
  /** Accounts that the faucet gave something in the last so many milliseconds. */
  faucetAccounts(milliseconds: number): number
  /**
   * Resolves when all of the above is on the disk.
   *
   * @throws {TokenError} `LOG_UNWRITABLE`, from then on always: start anew, to find out what was recorded
   */
  recorded(): Promise<void>
  /** Whether what happens can still be recorded. */
  isRecording(): boolean
  /** Forgets what was signed with a key that has ended. */
  forget(key: string): void
  close(): Promise<void>
}

/**
 * What a TokenRequest is known by: it says whose it is, so that nobody gets for nothing what another paid for.
 *
 * @param account hex
 * @param request the TokenRequest's bytes
 * @returns 128 bits as base64url
 */
export const purchaseDigest = (account: string, request: Uint8Array): string =>
  createHash('sha256')
    .update(`rialto purchase v1\0${account}`)
    .update(request)
    .digest()
    .subarray(0, 16)
    .toString('base64url')

/** Fewer entries than this are not worth writing a file anew for. */
const FEW = 10_000
/** For how long it is known when an account came from the faucet. */
const FAUCET_MEMORY = 3_600_000

type Account = { balance: number; configured: number; fauceted: number }

/**
 * Opens a ledger. Its folder has to be held for this process alone. It holds all in memory: about 100 bytes for a token that was signed, until
 * its key ends, and 300 for an account.
 *
 * @param path of the file, which is made if there is none; its folder has to be there
 * @param isListed whether a key has not ended
 * @throws {TokenError} `LOG_CORRUPT` or `LOG_UNWRITABLE`
 */
export async function openLedger(parameters: {
  readonly path: string
  readonly now: () => number
  readonly isListed: (key: string) => boolean
}): Promise<Ledger> {
  const { path, now, isListed } = parameters
  const accounts = new Map<string, Account>()
  const digests = new Map<string, Set<string>>()
  let fromFaucet: number[] = []
  let ended = 0

  const accountOf = (id: string): Account => {
    const account = accounts.get(id) ?? { balance: 0, configured: 0, fauceted: 0 }
    accounts.set(id, account)
    return account
  }
  const remember = (key: string, some: readonly string[]) => {
    const known = digests.get(key) ?? new Set()
    digests.set(key, known)
    for (const digest of some) known.add(digest)
  }
  const rememberFaucet = (at: number) => {
    if (at > now() - FAUCET_MEMORY) fromFaucet.push(at)
  }

  function apply(entry: LedgerEntry): void {
    if (entry.kind === 'remembered') {
      if (isListed(entry.key)) remember(entry.key, entry.digests)
      else ended += entry.digests.length
      return
    }
    const account = accountOf(entry.account)
    if (entry.kind === 'credited') {
      account.balance += entry.tokens
      if (entry.source === 'configured') account.configured += entry.tokens
      else {
        account.fauceted = entry.at
        rememberFaucet(entry.at)
      }
    } else if (entry.kind === 'issued') {
      if (account.balance < entry.digests.length) throw new InvariantError('A charge is within the balance.')
      account.balance -= entry.digests.length
      if (isListed(entry.key)) remember(entry.key, entry.digests)
      else ended += entry.digests.length
    } else {
      const { balance, configured, fauceted } = entry
      Object.assign(account, { balance, configured, fauceted })
      if (fauceted > 0) rememberFaucet(fauceted)
    }
  }

  const log = await openLedgerFile(path, {
    restore: apply,
    summary: () => {
      const live = [...digests.values()].reduce((sum, { size }) => sum + size, 0)
      return ended > Math.max(FEW, live) ? [...summarize(accounts, digests)] : undefined
    },
  })

  let latest: Promise<void> = Promise.resolve()
  let isRecording = true
  const record = (entry: LedgerEntry) => {
    apply(entry)
    latest = log.append(entry)
    // Whoever waits is told; that it is rejected while nobody does must not end the process.
    latest.catch(() => {
      isRecording = false
    })
  }

  return {
    balance: (account) => accounts.get(account)?.balance,
    configured: (account) => accounts.get(account)?.configured ?? 0,
    keyOf(digest) {
      for (const [key, known] of digests) if (known.has(digest)) return key
      return undefined
    },
    credit: (account, tokens, source) => record({ kind: 'credited', account, tokens, source, at: now() }),
    charge(account, purchases) {
      const byKey = new Map<string, string[]>()
      for (const { digest, key } of purchases) {
        const some = byKey.get(key) ?? []
        byKey.set(key, some)
        some.push(digest)
      }
      if ((accounts.get(account)?.balance ?? 0) < purchases.length)
        throw new InvariantError('A charge is within the balance.')
      for (const [key, some] of byKey) record({ kind: 'issued', account, key, digests: some })
    },
    faucetAccounts(milliseconds) {
      const from = now() - milliseconds
      fromFaucet = fromFaucet.filter((at) => at > now() - FAUCET_MEMORY)
      return fromFaucet.filter((at) => at > from).length
    },
    recorded: () => latest,
    isRecording: () => isRecording,
    forget: (key) => digests.delete(key),
    close: () => log.close(),
  }
}

/** All that a ledger holds, as entries. */
function* summarize(
  accounts: ReadonlyMap<string, Account>,
  digests: ReadonlyMap<string, ReadonlySet<string>>,
): Generator<LedgerEntry> {
  for (const [account, { balance, configured, fauceted }] of accounts)
    yield { kind: 'stands', account, balance, configured, fauceted }
  for (const [key, known] of digests) {
    const all = [...known]
    for (let from = 0; from < all.length; from += 256)
      yield { kind: 'remembered', key, digests: all.slice(from, from + 256) }
  }
}
