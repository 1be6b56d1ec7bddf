import { privateKeyToAccount } from 'viem/accounts'
import { type CreateSignerParameters, createSigner } from '../../infra/signer/createSigner.ts'
import { deriveKey } from '../../infra/signer/deriveKey.ts'
import type { SignerAccount } from '../../infra/signer/messages.ts'
import { createSigningHistory, type SigningHistory } from '../../infra/signer/signingHistory.ts'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { Signer } from '../../runtime/core/ports.ts'

export type MemorySignerParameters = {
  readonly book: AddressBook
  readonly accounts: readonly SignerAccount[]
  /** Seconds since 1970. Default: the system's clock; a test with a clock of its own hands that. */
  readonly now?: () => bigint
  /** Milliseconds that its process has run. Default: it is not known. */
  readonly uptime?: () => number
  /**
   * What was signed before. Handed from one signer to the next it is what a ledger is to a process: it outlives a
   * restart. Default: nothing.
   */
  readonly history?: SigningHistory
  /** What the owner ordered. Default: nothing. */
  readonly orders?: CreateSignerParameters['orders']
}

/**
 * A signer within the process, whose ledger is a history in memory: for tests of what is around the signer. The rules
 * are the real ones; keys are always derived.
 *
 * @example
 * const history = createSigningHistory()
 * const start = () => memorySigner({ book, accounts, now: () => clock.seconds, history })
 * const signer = start() // and after a crash, start() again: it knows what was signed
 */
export function memorySigner(parameters: MemorySignerParameters): Signer {
  const {
    book,
    accounts,
    now = systemTime,
    uptime,
    history = createSigningHistory(),
    orders = noOrders,
  } = parameters
  return createSigner({
    book,
    accounts: accounts.map(({ label, key, policies, safe, protects, evacuateTo }) => {
      if (key.kind !== 'derived') throw new InvariantError('The twin has no keystore.', { label })
      const account = privateKeyToAccount(deriveKey({ label, seed: key.seed }))
      return {
        label,
        account,
        policies,
        ...(safe === undefined ? {} : { safe }),
        ...(protects === undefined ? {} : { protects }),
        ...(evacuateTo === undefined ? {} : { evacuateTo }),
      }
    }),
    history,
    // The signer itself adds to the history what it has signed: here that is all there is to outlive it.
    append: () => {},
    now,
    ...(uptime === undefined ? {} : { uptime }),
    orders,
  })
}

const systemTime = () => BigInt(Math.floor(Date.now() / 1_000))

const noOrders: CreateSignerParameters['orders'] = { stateFor: () => 'active', evacuates: () => false }
