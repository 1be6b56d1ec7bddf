import { type Command, Option } from 'commander'
import { fileDescriptor, obtainPassphrase, passphraseSource } from '../../passphrase.ts'

export type BackupOptions = {
  readonly backupPassphraseFile?: string
  readonly backupPassphraseFd?: number
}

/** Adds where the passphrase of a backup comes from. It has one of its own: it is kept elsewhere, and longer. */
export const backupOptions = (command: Command): Command =>
  command
    .option('--backup-passphrase-file <path>', "holds the backup's passphrase; only its owner may read it")
    .addOption(
      new Option(
        '--backup-passphrase-fd <n>',
        "an inherited file descriptor to read the backup's passphrase from",
      )
        .argParser(fileDescriptor)
        .conflicts('backupPassphraseFile'),
    )

/** The passphrase of a backup, to be overwritten when it is used. */
export const obtainBackupPassphrase = (
  { backupPassphraseFile, backupPassphraseFd }: BackupOptions,
  isNew: boolean,
): Promise<Buffer> =>
  obtainPassphrase(
    passphraseSource({
      ...(backupPassphraseFile === undefined ? {} : { passphraseFile: backupPassphraseFile }),
      ...(backupPassphraseFd === undefined ? {} : { passphraseFd: backupPassphraseFd }),
    }),
    {
      of: 'the backup',
      isNew,
      options: '--backup-passphrase-file <path> or --backup-passphrase-fd <n>',
    },
  )
