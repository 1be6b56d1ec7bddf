import { resolve } from 'node:path'
import { Command } from 'commander'
import { openBackup, planRestore, type RestoredKey, restoreBackup } from '../../../wallet/backup.ts'
import type { Terminal } from '../../terminal.ts'
import { type BackupOptions, backupOptions, obtainBackupPassphrase } from './backupPassphrase.ts'
import { findWallet, type WalletOptions, walletOptions, withKeystore } from './openWallet.ts'

type Options = WalletOptions & BackupOptions & { readonly from: string; readonly proveOnly?: boolean }

/** `rialto wallet restore`: the keys of a backup, without taking the place of any other. */
export function restoreCommand(terminal: Terminal): Command {
  return backupOptions(
    walletOptions(
      new Command('restore')
        .description('bring the keys of a backup back; a key that is there is never overwritten')
        .requiredOption('--from <file>', 'the backup')
        .option('--prove-only', 'open every key in memory, say which they are, and change nothing'),
    ),
  ).action(async (options: Options) => {
    const wallet = await findWallet(options)
    const passphrase = await obtainBackupPassphrase(options, false)
    const opened = () => {
      try {
        return openBackup(resolve(options.from), passphrase)
      } finally {
        passphrase.fill(0)
      }
    }
    const keys = opened()
    // Whatever stands against it is said before anybody is asked for another passphrase.
    const plan = planRestore(keys, wallet.keys)
    const isNeeded = options.proveOnly !== true && plan.some(({ outcome }) => outcome === 'new')
    const restored = isNeeded ? await withKeystore(wallet, (keystore) => restoreBackup(keys, keystore)) : plan
    if (options.json === true)
      return terminal.out(JSON.stringify({ proveOnly: options.proveOnly === true, keys: restored }))
    for (const key of restored) terminal.out(`${key.label}  ${key.address}  ${describe(key, !isNeeded)}`)
  })
}

const describe = ({ outcome }: RestoredKey, isProof: boolean): string =>
  outcome === 'there already' ? 'is there already' : isProof ? 'opens, and would be restored' : 'restored'
