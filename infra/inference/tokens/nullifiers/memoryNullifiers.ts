import type { NullifierStore } from './nullifierStore.ts'
import { createSpendBook } from './spendBook.ts'

/**
 * The in-memory twin of a nullifier store, for tests. It keeps every must but that of durability: it forgets all
 * when the process ends, and every token could be spent again.
 */
export function memoryNullifiers(): NullifierStore {
  const { store } = createSpendBook(() => Promise.resolve())
  return { ...store, close: () => Promise.resolve() }
}
