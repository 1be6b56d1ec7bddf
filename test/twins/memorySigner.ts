import { privateKeyToAccount } from 'viem/accounts'
import { createSigner } from '../../infra/signer/createSigner.ts'
import { deriveKey } from '../../infra/signer/deriveKey.ts'
import type { SignerAccount } from '../../infra/signer/messages.ts'
import { createSigningHistory } from '../../infra/signer/signingHistory.ts'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { Signer } from '../../runtime/core/ports.ts'

/**
 * A signer within the process, whose ledger is forgotten with it: for tests of what is around the signer. The rules
 * are the real ones; keys are always derived.
 *
 * @example const signer = memorySigner({ book, accounts: [{ label: 'a', key: { kind: 'derived', seed: '1' }, policies }] })
 */
export function memorySigner(parameters: {
  readonly book: AddressBook
  readonly accounts: readonly SignerAccount[]
}): Signer {
  return createSigner({
    book: parameters.book,
    accounts: parameters.accounts.map(({ label, key, policies }) => {
      if (key.kind !== 'derived') throw new InvariantError('The twin has no keystore.', { label })
      return { account: privateKeyToAccount(deriveKey({ label, seed: key.seed })), policies }
    }),
    history: createSigningHistory(),
    append: () => {},
  })
}
