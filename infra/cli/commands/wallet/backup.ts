import { resolve } from 'node:path'
import { Command } from 'commander'
import { InvalidInputError } from '../../../../runtime/core/errors.ts'
import { writeBackup } from '../../../wallet/backup.ts'
import type { Terminal } from '../../terminal.ts'
import { type BackupOptions, backupOptions, obtainBackupPassphrase } from './backupPassphrase.ts'
import { findWallet, type WalletOptions, walletOptions, withKeystore } from './openWallet.ts'

type Options = WalletOptions & BackupOptions & { readonly out: string; readonly label?: string }

/** `rialto wallet backup`: one encrypted file, proven by restoring it. */
export function backupCommand(terminal: Terminal): Command {
  return backupOptions(
    walletOptions(
      new Command('backup')
        .description('write the keys to one encrypted file, and prove it by opening every key in it')
        .requiredOption('--out <file>', 'the file to write; one that is there is never overwritten')
        .option('--label <agent>', 'only the key of this label'),
    ),
  ).action(async (options: Options) => {
    const wallet = await findWallet(options)
    const label = options.label ?? null
    if (label === null ? wallet.keys.length === 0 : !wallet.keys.some((key) => key.label === label))
      throw new InvalidInputError(
        label === null ? `There is no key in ${wallet.folder}.` : `There is no key labelled "${label}".`,
        { fix: 'See the keys with rialto wallet list.' },
      )
    const path = resolve(options.out)
    const passphrase = await obtainBackupPassphrase(options, true)
    const keys = await withKeystore(wallet, (keystore) => {
      try {
        return writeBackup(keystore, { path, passphrase, label })
      } finally {
        passphrase.fill(0)
      }
    })
    if (options.json === true) return terminal.out(JSON.stringify({ file: path, proven: true, keys }))
    for (const key of keys) terminal.out(`${key.label}  ${key.address}`)
    terminal.out(
      `${path} holds ${keys.length === 1 ? 'this key' : `these ${keys.length} keys`}: each was read back and opened.`,
    )
    terminal.out('Keep it and its passphrase apart. rialto wallet restore --prove-only proves it again.')
  })
}
