import type { NullifierStore, NullifierStoreOptions } from './nullifierStore.ts'
import { ownerOr } from './owner.ts'
import { createSpendBook } from './spendBook.ts'

/**
 * The in-memory twin of a nullifier store, for tests. It keeps every must but that of durability: it forgets all
 * when the process ends, and every token could be spent again.
 *
 * @param now wall clock in milliseconds since 1970
 */
export function memoryNullifiers({
  owner,
  now = Date.now,
}: NullifierStoreOptions & { readonly now?: () => number } = {}): NullifierStore {
  const { store } = createSpendBook({ owner: ownerOr(owner), record: () => Promise.resolve(), now })
  return { ...store, close: () => Promise.resolve() }
}
