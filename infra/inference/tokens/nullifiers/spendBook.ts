import { InvariantError } from '../../../../runtime/core/errors.ts'
import { requireLength, toHex } from '../bytes.ts'
import { CHANGE_DIGEST_LENGTH } from '../change/changeDigest.ts'
import { copySpend, judgeSpend, requireSpend, type Spend } from '../change/spend.ts'
import type { NullifierStore } from './nullifierStore.ts'
import { requireSettlement, spendSettled, spendUnknown } from './requireSettlement.ts'

/** Something that is to be recorded. Hexadecimal, as it is written. */
export type SpendEntry =
  | {
      readonly kind: 'reserved'
      /** Wall clock in milliseconds since 1970. */
      readonly at: number
      readonly owner: string
      readonly binding: string
      readonly nullifiers: readonly string[]
    }
  /** Of each token of change the digest of what was signed. */
  | { readonly kind: 'settled'; readonly nullifier: string; readonly digests: readonly string[] }

type Held = Spend & {
  readonly at: number
  readonly owner: string
  recorded: Promise<void>
  /** Null until it is settled. */
  digests: readonly string[] | null
  settled: Promise<void>
}

const RECORDED = Promise.resolve()

/**
 * The index of all spends in memory, in front of a record that makes them durable.
 *
 * Every decision is made and entered here **before** the record is awaited, in one go. Between a look and an entry
 * with an await between them, two spends of one token would both find it unspent.
 *
 * @param record resolves when an entry is durable
 * @param now wall clock in milliseconds since 1970
 */
export function createSpendBook(parameters: {
  readonly owner: string
  readonly record: (entry: SpendEntry) => Promise<void>
  readonly now: () => number
}): {
  readonly store: Omit<NullifierStore, 'close'>
  /** Enters what was recorded before. @throws {TokenError} when it contradicts what was entered already. */
  restore(entry: SpendEntry): void
} {
  const { owner, record, now } = parameters
  const byNullifier = new Map<string, Held>()
  /** By digest, what it was signed for; for the first spend, if a client asks for the same token twice. */
  const signedFor = new Map<string, Held>()

  function hold(spend: Spend, by: Pick<Held, 'at' | 'owner' | 'recorded'>): Held {
    const held: Held = { ...spend, ...by, digests: null, settled: RECORDED }
    for (const nullifier of spend.nullifiers) byNullifier.set(toHex(nullifier), held)
    return held
  }

  function enterSettlement(held: Held, digests: readonly string[]): void {
    held.digests = digests
    for (const digest of digests) if (!signedFor.has(digest)) signedFor.set(digest, held)
  }

  function holder(nullifiers: readonly Uint8Array[]): (Held | undefined)[] {
    return nullifiers.map((nullifier) => byNullifier.get(toHex(nullifier)))
  }

  return {
    store: {
      owner,
      async reserve(given) {
        requireSpend(given)
        const holders = holder(given.nullifiers)
        if (judgeSpend(holders, given) === 'fresh') {
          const spend = copySpend(given)
          const at = now()
          const recorded = record({
            kind: 'reserved',
            at,
            owner,
            binding: toHex(spend.binding),
            nullifiers: spend.nullifiers.map(toHex),
          })
          const held = hold(spend, { at, owner, recorded })
          await recorded
          held.recorded = RECORDED
          return { kind: 'fresh' }
        }
        const held = requireHeld(holders[0])
        const { digests } = held
        await Promise.all([held.recorded, held.settled])
        if (digests !== null) return { kind: 'repeated', change: digests.length }
        // A wall clock can be put back.
        return { kind: 'repeated', change: null, age: Math.max(0, now() - held.at), owner: held.owner }
      },
      async settle(spend, change, changeDigests) {
        const digests = requireSettlement(spend, change, changeDigests)
        const holders = holder(spend.nullifiers)
        if (holders.includes(undefined) || judgeSpend(holders, spend) !== 'repeated') throw spendUnknown()
        const held = requireHeld(holders[0])
        if (held.digests === null) {
          held.settled = record({ kind: 'settled', nullifier: firstOf(held), digests })
          enterSettlement(held, digests)
        } else if (held.digests.join() !== digests.join()) throw spendSettled(held.digests.length, change)
        await Promise.all([held.recorded, held.settled])
        held.settled = RECORDED
      },
      async isSpent(nullifier) {
        requireLength('nullifier', nullifier, 32)
        const held = byNullifier.get(toHex(nullifier))
        await held?.recorded
        return held !== undefined
      },
      async wasSigned(digest) {
        requireLength('change digest', digest, CHANGE_DIGEST_LENGTH)
        const held = signedFor.get(toHex(digest))
        await held?.settled
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
        hold(spend, { at: entry.at, owner: entry.owner, recorded: RECORDED })
        return
      }
      const held = byNullifier.get(entry.nullifier)
      if (held === undefined) throw spendUnknown()
      if (held.digests !== null || entry.digests.length > held.nullifiers.length)
        throw new InvariantError('A settlement was recorded that does not fit its spend.')
      enterSettlement(held, entry.digests)
    },
  }
}

const firstOf = ({ nullifiers }: Spend): string => toHex(nullifiers[0] ?? new Uint8Array())

function requireHeld(held: Held | undefined): Held {
  if (held === undefined) throw new InvariantError('A repeated spend has a holder.')
  return held
}
