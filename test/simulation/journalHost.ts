import type { Hash } from '../../runtime/core/ids.ts'
import type { Journal, JournalStore, TradingScope } from '../../runtime/core/journal.ts'
import type { TradingState } from '../../runtime/core/verdict.ts'
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
  /** Writes an order of the owner, as the command line does. */
  setTradingState(scope: TradingScope, state: TradingState): Promise<void>
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
  const open = async (clock: () => number): Promise<Opened> => {
    const store = memoryJournals({ now: clock })
    return { store, journal: wrap(await store.open(chainId, genesisHash)) }
  }
  let opened = await open(now)
  const call = ({ store, journal }: Opened, method: string, args: readonly unknown[]): Promise<unknown> =>
    method === 'setTradingState'
      ? Reflect.apply(store.setTradingState, store, args)
      : Reflect.apply(Reflect.get(journal, method), journal, args)
  const write = (method: string, args: readonly unknown[]) => {
    log.push({ method, args, at: now() })
    return call(opened, method, args)
  }
  // An object with methods of its own, as every journal is that somebody wraps.
  const methods = Object.keys(opened.journal).map((key) => [
    key,
    typeof Reflect.get(opened.journal, key) !== 'function'
      ? Reflect.get(opened.journal, key)
      : READS.has(key)
        ? (...args: unknown[]) => call(opened, key, args)
        : (...args: unknown[]) => write(key, args),
  ])

  return {
    port: Object.fromEntries(methods) as Journal,
    get journal() {
      return opened.journal
    },
    async setTradingState(scope, state) {
      await write('setTradingState', [scope, state, 'the owner'])
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
      opened = again
    },
  }
}

type Opened = { readonly store: JournalStore; readonly journal: Journal }
