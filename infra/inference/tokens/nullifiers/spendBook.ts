import { InvariantError } from '../../../../runtime/core/errors.ts'
import { requireLength, toHex } from '../bytes.ts'
import { judgeSpend, requireSpend, type Spend } from '../change/spend.ts'
import { TokenError } from '../errors.ts'
import type { NullifierStore } from './nullifierStore.ts'

/** Something that is to be recorded. Hexadecimal, as it is written. */
export type SpendEntry =
  | { readonly kind: 'reserved'; readonly binding: string; readonly nullifiers: readonly string[] }
  | { readonly kind: 'settled'; readonly nullifier: string; readonly change: number }

type Held = Spend & { recorded: Promise<void>; change: number | null; changeRecorded: Promise<void> }

const RECORDED = Promise.resolve()

/**
 * The index of all spends in memory, in front of a record that makes them durable.
 *
 * Every decision is made and entered here **before** the record is awaited, in one go. Between a look and an entry
 * with an await between them, two spends of one token would both find it unspent.
 *
 * @param record resolves when an entry is durable
 */
export function createSpendBook(record: (entry: SpendEntry) => Promise<void>): {
  readonly store: Omit<NullifierStore, 'close'>
  /** Enters what was recorded before. @throws {TokenError} when it contradicts what was entered already. */
  restore(entry: SpendEntry): void
} {
  const byNullifier = new Map<string, Held>()

  function hold(spend: Spend, recorded: Promise<void>): Held {
    const held: Held = { ...spend, recorded, change: null, changeRecorded: RECORDED }
    for (const nullifier of spend.nullifiers) byNullifier.set(toHex(nullifier), held)
    return held
  }

  function holder(nullifiers: readonly Uint8Array[]): (Held | undefined)[] {
    return nullifiers.map((nullifier) => byNullifier.get(toHex(nullifier)))
  }

  return {
    store: {
      async reserve(given) {
        requireSpend(given)
        const holders = holder(given.nullifiers)
        if (judgeSpend(holders, given) === 'fresh') {
          const spend = copyOf(given)
          const recorded = record({
            kind: 'reserved',
            binding: toHex(spend.binding),
            nullifiers: spend.nullifiers.map(toHex),
          })
          const held = hold(spend, recorded)
          await recorded
          held.recorded = RECORDED
          return { kind: 'fresh' }
        }
        const held = requireHeld(holders[0])
        await Promise.all([held.recorded, held.changeRecorded])
        return { kind: 'repeated', change: held.change }
      },
      async settle(spend, change) {
        requireSpend(spend)
        const holders = holder(spend.nullifiers)
        if (holders.includes(undefined) || judgeSpend(holders, spend) !== 'repeated') throw unknown()
        const held = requireHeld(holders[0])
        if (!Number.isInteger(change) || change < 0 || change > held.nullifiers.length)
          throw new InvariantError('Change is at most what was spent.', { change })
        if (held.change === null) {
          held.change = change
          held.changeRecorded = record({ kind: 'settled', nullifier: firstOf(held), change })
        } else if (held.change !== change)
          throw new TokenError('SPEND_SETTLED', `The spend was settled with ${held.change} tokens already.`, {
            fix: 'Return the change that was recorded first.',
            details: { recorded: held.change, given: change },
          })
        await Promise.all([held.recorded, held.changeRecorded])
        held.changeRecorded = RECORDED
      },
      async isSpent(nullifier) {
        requireLength('nullifier', nullifier, 32)
        const held = byNullifier.get(toHex(nullifier))
        await held?.recorded
        return held !== undefined
      },
    },
    restore(entry) {
      if (entry.kind === 'reserved') {
        const spend = {
          binding: Buffer.from(entry.binding, 'hex'),
          nullifiers: entry.nullifiers.map((nullifier) => Buffer.from(nullifier, 'hex')),
        }
        requireSpend(spend)
        if (judgeSpend(holder(spend.nullifiers), spend) !== 'fresh')
          throw new InvariantError('A spend was recorded twice.')
        hold(spend, RECORDED)
        return
      }
      const held = byNullifier.get(entry.nullifier)
      if (held === undefined) throw unknown()
      if (held.change !== null || entry.change > held.nullifiers.length)
        throw new InvariantError('A settlement was recorded that does not fit its spend.')
      held.change = entry.change
    },
  }
}

/** The caller's buffers may be views of a socket's, which are written over. */
const copyOf = ({ nullifiers, binding }: Spend): Spend => ({
  nullifiers: nullifiers.map((nullifier) => Uint8Array.from(nullifier)),
  binding: Uint8Array.from(binding),
})

const firstOf = ({ nullifiers }: Spend): string => toHex(nullifiers[0] ?? new Uint8Array())

function requireHeld(held: Held | undefined): Held {
  if (held === undefined) throw new InvariantError('A repeated spend has a holder.')
  return held
}

const unknown = (): TokenError =>
  new TokenError('SPEND_UNKNOWN', 'What is to be settled was never reserved.', {
    fix: 'Reserve the tokens before work begins.',
  })
