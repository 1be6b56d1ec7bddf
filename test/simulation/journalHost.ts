import type { Hash } from '../../runtime/core/ids.ts'
import type { Journal } from '../../runtime/core/journal.ts'
import { memoryJournals } from '../twins/memoryJournal.ts'

/** The methods that change nothing. */
const READS: ReadonlySet<string> = new Set([
  'intent',
  'openIntents',
  'inFlight',
  'settledFrom',
  'steps',
  'nextNonce',
  'history',
  'tradingState',
  'goodSince',
  'approval',
  'approvals',
  'runs',
  'intents',
  'attempts',
  'counts',
])

type Write = { readonly method: string; readonly args: readonly unknown[]; readonly at: number }

/** The database: one journal that all processes share, and that a power cut can throw back. */
export type JournalHost = {
  /** What processes are connected to. */
  readonly port: Journal
  /** The journal itself, to look at. */
  readonly journal: Journal
  /** How many writes it has had. */
  readonly writes: number
  /** Loses the last writes, as a database does that never synced them. */
  throwBack(writes: number): Promise<void>
}

/**
 * A journal on the virtual clock. It is thrown back by having a new one done all that the old one was, but for the
 * end: a journal has no other state than what its writes gave it.
 */
export async function createJournalHost(
  chainId: number,
  genesisHash: Hash,
  now: () => number,
  wrap: (journal: Journal) => Journal = (journal) => journal,
): Promise<JournalHost> {
  let log: Write[] = []
  const open = async (clock: () => number) =>
    wrap(await memoryJournals({ now: clock }).open(chainId, genesisHash))
  let journal = await open(now)
  const call = (target: Journal, method: string, args: readonly unknown[]): Promise<unknown> =>
    Reflect.apply(Reflect.get(target, method), target, args)

  const port = new Proxy({} as Journal, {
    get(_, key) {
      if (typeof key !== 'string' || key === 'then') return undefined
      const member = Reflect.get(journal, key)
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => {
        if (!READS.has(key)) log.push({ method: key, args, at: now() })
        return call(journal, key, args)
      }
    },
  })

  return {
    port,
    get journal() {
      return journal
    },
    get writes() {
      return log.length
    },
    async throwBack(writes) {
      let time = 0
      let isPast = true
      const again = await open(() => (isPast ? time : now()))
      log = log.slice(0, Math.max(0, log.length - writes))
      for (const { method, args, at } of log) {
        time = at
        // What it refused then, it refuses again.
        await call(again, method, args).catch(() => undefined)
      }
      isPast = false
      journal = again
    },
  }
}
