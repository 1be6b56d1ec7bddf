import { OrdersError } from '../../infra/orders/errors.ts'
import type { OwnerOrders } from '../../infra/orders/ownerOrders.ts'
import type { TradingScope } from '../../runtime/core/journal.ts'
import { strictest, type TradingState } from '../../runtime/core/verdict.ts'
import type { FaultPlan } from './faults.ts'
import type { JournalHost } from './journalHost.ts'
import type { Random } from './random.ts'
import { ACCOUNT } from './scene.ts'

/** The owner and the file of his orders, which every process of the machine reads. */
export type Owner = {
  /** What signer, protector and runtime read. */
  readonly orders: OwnerOrders
  /** What holds now, whoever has read it. A file that cannot be read halts. */
  inForce(): TradingState
  /** A block time passes: he may order something, or take everything back. @returns what he did, if anything */
  tick(isDown: boolean): Promise<string | null>
}

/**
 * An owner who halts, lets only risk be reduced, and resumes, in the order in which `rialto halt` and `rialto resume`
 * tell file and journal: who stops everything is heard by the file first, and nobody resumes whom the journal did not
 * hear. Once the storm is over he resumes whatever he ordered.
 */
export function createOwner(random: Random, faults: FaultPlan, journal: JournalHost): Owner {
  const said = new Map<'all' | 'account', TradingState>()
  let blocksLeft = 0
  let isUnreadable = false
  let hasOrdered = false

  const scopeOf = (key: 'all' | 'account'): TradingScope => (key === 'all' ? 'all' : { account: ACCOUNT })
  const current = (): TradingState => {
    if (isUnreadable) throw new OrdersError('ORDERS_UNREADABLE', 'orders.jsonl', 'EIO')
    return strictest([...said.values()])
  }
  const orders: OwnerOrders = { stateFor: current, evacuates: () => false, list: () => [] }

  async function stop(state: TradingState, isDown: boolean): Promise<string> {
    const key = random.pick(['all', 'all', 'account'] as const)
    blocksLeft = random.between(1, 8)
    hasOrdered = true
    if (key === 'all') said.set(key, state)
    if (!isDown) await journal.setTradingState(scopeOf(key), state)
    // What the journal could not be told is an error then, unless it stops everything.
    if (key === 'account' && !isDown) said.set(key, state)
    return `the owner orders ${key} ${state}`
  }

  async function resume(isDown: boolean): Promise<string | null> {
    if (isDown) return null
    await journal.setTradingState('all', 'active')
    said.clear()
    hasOrdered = false
    return 'the owner resumes'
  }

  return {
    orders,
    inForce: () => (isUnreadable ? 'halted' : strictest([...said.values()])),
    async tick(isDown) {
      isUnreadable = faults.strikes('orders unreadable')
      if (faults.strikes('halt')) return stop('halted', isDown)
      if (faults.strikes('halt --reduce-only')) return stop('reducing', isDown)
      blocksLeft -= 1
      if (!hasOrdered || (blocksLeft > 0 && !faults.isOver)) return null
      const done = await resume(isDown)
      if (done !== null) faults.count('resume')
      return done
    },
  }
}
