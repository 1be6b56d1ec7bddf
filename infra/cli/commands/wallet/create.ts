import { Command } from 'commander'
import type { Terminal } from '../../terminal.ts'
import { showNewKey } from './describeKey.ts'
import {
  entryAfter,
  findWallet,
  labelFor,
  type WalletOptions,
  walletOptions,
  withKeystore,
} from './openWallet.ts'

/** `rialto wallet create`: a new random key. */
export function createCommand(terminal: Terminal): Command {
  return walletOptions(
    new Command('create')
      .description('make a new random key for an agent, encrypted under the passphrase of the keystore')
      .option('--label <agent>', 'the id of the agent that signs with it (default: the one without a key)'),
  ).action(async (options: WalletOptions & { readonly label?: string }) => {
    const wallet = await findWallet(options)
    const label = labelFor(options.label, wallet)
    const key = await withKeystore(wallet, (keystore) => {
      keystore.create(label)
      return entryAfter(keystore, label)
    })
    showNewKey(terminal, key, wallet, options.json === true)
  })
}
