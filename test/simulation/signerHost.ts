import type { Address } from 'viem'
import type { OwnerOrders } from '../../infra/orders/ownerOrders.ts'
import { createSigner, type LedgerEntry } from '../../infra/signer/createSigner.ts'
import {
  createSigningHistory,
  type SignedRecord,
  type SigningHistory,
} from '../../infra/signer/signingHistory.ts'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { Signer } from '../../runtime/core/ports.ts'
import type { TradingState } from '../../runtime/core/verdict.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import { cheapKeyHolder } from '../twins/chain/transactions.ts'

/** A signature, and what held when it was made. */
export type Witnessed = SignedRecord & {
  /** What the owner had ordered, whatever anybody made of it. */
  readonly ordered: TradingState
}

/** The signer's process and its ledger, which outlives it. */
export type SignerHost = {
  readonly port: Signer
  /** Everything that was ever signed, in order. */
  readonly signed: readonly Witnessed[]
  /** Ends the process and starts another on the same ledger. */
  restart(): void
}

/**
 * The real rules of the signer on a ledger in memory, which loses nothing: it is synced before the signer answers.
 * Only the curve is left out (see `cheapKeyHolder`).
 */
export function createSignerHost(parameters: {
  readonly book: AddressBook
  readonly account: Address
  readonly policies: readonly Policy[]
  readonly now: () => number
  /** What the signer reads of the owner's orders. */
  readonly orders: Pick<OwnerOrders, 'stateFor' | 'evacuates'>
  readonly inForce: () => TradingState
  /** A defect: what the ledger has of the past when its process starts. Default: everything. */
  readonly remembers?: ((ledger: readonly LedgerEntry[]) => readonly LedgerEntry[]) | undefined
  /** A defect: what its rules make of the past. Default: as it is. */
  readonly rules?: ((history: SigningHistory) => SigningHistory) | undefined
}): SignerHost {
  const { book, account, policies, now, orders, inForce } = parameters
  const { remembers = (ledger) => ledger, rules = (history) => history } = parameters
  const ledger: LedgerEntry[] = []
  const signed: Witnessed[] = []

  function start(): Signer {
    const history = createSigningHistory()
    for (const entry of remembers(ledger)) {
      if (entry.kind === 'signed') history.addSigned(entry)
      else if (entry.kind === 'fence') history.addFence(entry.account, entry.fence)
      else if (entry.kind === 'abandoned') history.addAbandoned(entry.account, entry.attemptId)
      else history.addStanding(entry)
    }
    return createSigner({
      book,
      accounts: [{ label: 'simulated', account: cheapKeyHolder(account), policies }],
      history: rules(history),
      append(entry) {
        ledger.push(entry)
        if (entry.kind === 'signed') signed.push({ ...entry, ordered: inForce() })
      },
      now: () => BigInt(Math.floor(now() / 1_000)),
      orders,
    })
  }

  let signer = start()
  const port: Signer = {
    accounts: () => signer.accounts(),
    sign: (request) => signer.sign(request),
    lookup: (of, attempt) => signer.lookup(of, attempt),
    abandon: (of, attempt) => signer.abandon(of, attempt),
    signedFrom: (of, nonce) => signer.signedFrom(of, nonce),
    goodFor: (of) => signer.goodFor(of),
    time: () => signer.time(),
  }
  return {
    port,
    signed,
    restart() {
      signer = start()
    },
  }
}
