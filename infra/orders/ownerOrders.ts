import { closeSync, fsyncSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Address, isAddress, isAddressEqual } from 'viem'
import { z } from 'zod'
import type { AgentId } from '../../runtime/core/ids.ts'
import type { TradingScope } from '../../runtime/core/journal.ts'
import { strictest, type TradingState } from '../../runtime/core/verdict.ts'
import { OrdersError } from './errors.ts'

/** What an owner can order. `evacuating`: unwind and move out what is there, and halt everybody else. */
export type OrderedState = TradingState | 'evacuating'

/** What an owner said. `at` is ISO 8601. */
export type OwnerOrder = {
  readonly scope: TradingScope
  readonly state: OrderedState
  readonly reason: string
  readonly at: string
}

const scope = z.union([
  z.literal('all'),
  z.strictObject({ agent: z.string().transform((text) => text as AgentId) }),
  z.strictObject({
    account: z
      .string()
      .refine((text) => isAddress(text, { strict: false }))
      .transform((text) => text as Address),
  }),
])
const line = z.strictObject({
  scope,
  state: z.enum(['active', 'reducing', 'halted', 'evacuating']),
  reason: z.string(),
  at: z.string(),
})

const FILE = 'orders.jsonl'

/** Whom a question is about: whoever has that name, or acts on that account. */
export type OrderTarget = { readonly agent?: AgentId | string; readonly account?: Address }

/** The orders of a folder, read anew whenever somebody has given one. */
export type OwnerOrders = {
  /**
   * The strictest of what was last said to all, to the agent and to the account. `active` where nothing was said;
   * `halted` where an evacuation was ordered, since nobody else may do anything then.
   *
   * @throws {OrdersError} when the file cannot be read or was edited: whoever asks must then take it for `halted`.
   */
  stateFor(target: OrderTarget): TradingState
  /**
   * Whether the owner's last word about the target is to evacuate. A halt or a resumption that was said later, to all,
   * to the agent or to the account, ends it.
   *
   * @throws {OrdersError} as `stateFor` does: whoever asks must then take it for no.
   */
  evacuates(target: OrderTarget): boolean
  /** Every order that holds, in the order it was given. */
  list(): readonly OwnerOrder[]
}

/**
 * The kill switch: orders of the owner in a file of their own, which nothing stands behind but the disk. It holds when
 * the database, the queue and every worker are down, and the signer and the protector look at it before they act.
 *
 * @param directory the runtime's folder (`.rialto`)
 * @example openOrders('.rialto').stateFor({ agent: 'guardian' }) // 'active'
 */
export function openOrders(directory: string): OwnerOrders {
  const path = join(directory, FILE)
  let seen = ''
  let orders: readonly OwnerOrder[] = []

  /** One `stat` where nothing was said since. */
  function current(): readonly OwnerOrder[] {
    const state = statOf(path)
    if (state === seen) return orders
    orders = state === '' ? [] : parse(path)
    seen = state
    return orders
  }

  return {
    list: () => current().filter(({ state }) => state !== 'active'),
    stateFor(target) {
      const said = current().flatMap(({ scope: whom, state }) =>
        concerns(whom, target) ? [state === 'evacuating' ? 'halted' : state] : [],
      )
      return strictest(said)
    },
    // In the order of the file: the last of those that hold is the last that was said.
    evacuates: (target) =>
      current().findLast(({ scope: whom }) => concerns(whom, target))?.state === 'evacuating',
  }
}

/**
 * Writes an order, and returns when it is on the disk. Said to all, `active` takes back every order before it: what
 * was said to one agent or account as well.
 *
 * @throws {OrdersError} when it cannot be written.
 * @example giveOwnerOrder('.rialto', { scope: 'all', state: 'halted', reason: 'a bad feeling' })
 */
export function giveOwnerOrder(directory: string, order: Omit<OwnerOrder, 'at'>): OwnerOrder {
  const path = join(directory, FILE)
  const given = { ...order, at: new Date().toISOString() }
  try {
    const isNew = statOf(path) === ''
    // A line that a crash cut off is closed first, so that it spoils nothing but itself.
    const torn = !isNew && !readFileSync(path, 'utf8').endsWith('\n')
    const fd = openSync(path, 'a', 0o600)
    try {
      const line = Buffer.from(`${torn ? '\n' : ''}${JSON.stringify(given)}\n`)
      // A disk that is nearly full takes a part, and says of the rest that there is no room.
      for (let written = 0; written < line.length; ) written += writeSync(fd, line, written)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    if (isNew) syncFolder(path)
  } catch (error) {
    throw new OrdersError('ORDERS_UNWRITABLE', path, (error as NodeJS.ErrnoException).code ?? 'unknown error')
  }
  return given
}

/** Something that changes whenever the file does; empty when there is none. */
function statOf(path: string): string {
  try {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
    return stat === undefined ? '' : `${stat.ino}.${stat.size}.${stat.mtimeNs}`
  } catch (error) {
    throw new OrdersError('ORDERS_UNREADABLE', path, (error as NodeJS.ErrnoException).code ?? 'unknown error')
  }
}

/** The last order of each scope, in the order of the file. */
function parse(path: string): readonly OwnerOrder[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new OrdersError('ORDERS_UNREADABLE', path, (error as NodeJS.ErrnoException).code ?? 'unknown error')
  }
  const holding = new Map<string, OwnerOrder>()
  const lines = text.split('\n')
  for (const [index, raw] of lines.entries()) {
    // What has no end of line was cut off before whoever gave it was told that it holds.
    if (raw === '' || index === lines.length - 1) continue
    const order = parseLine(raw)
    if (order === null) {
      // Closed by the next writer: a torn line that nobody was told of.
      if (isTorn(raw)) continue
      throw new OrdersError('ORDERS_CORRUPT', path, `line ${index + 1}`)
    }
    if (order.scope === 'all' && order.state === 'active') holding.clear()
    const key = keyOf(order.scope)
    holding.delete(key)
    holding.set(key, order)
  }
  return [...holding.values()]
}

function parseLine(raw: string): OwnerOrder | null {
  try {
    const result = line.safeParse(JSON.parse(raw))
    return result.success ? result.data : null
  } catch {
    // No JSON: torn, or edited. The caller tells which.
    return null
  }
}

/** Whether it is the beginning of an object, and no more: its outermost brace is never closed. */
function isTorn(raw: string): boolean {
  const structure = raw.replace(/"(?:[^"\\]|\\.)*(?:"|\\?$)/g, '')
  let depth = 0
  for (const char of structure) {
    if (char === '{') depth += 1
    else if (char === '}') depth -= 1
    if (depth === 0) return false
  }
  return depth > 0
}

const keyOf = (whom: TradingScope): string =>
  whom === 'all' ? 'all' : 'agent' in whom ? `agent ${whom.agent}` : `account ${whom.account.toLowerCase()}`

function concerns(whom: TradingScope, target: OrderTarget): boolean {
  if (whom === 'all') return true
  if ('agent' in whom) return whom.agent === target.agent
  return target.account !== undefined && isAddressEqual(whom.account, target.account)
}

function syncFolder(path: string): void {
  const fd = openSync(dirname(path), 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
