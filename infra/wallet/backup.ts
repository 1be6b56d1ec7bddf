import { createHash } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import type { Address, Hex } from 'viem'
import { z } from 'zod'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import { guarded, writeOnce } from '../signer/keystore/files.ts'
import { decryptKey, encryptKey, keyFile, SCRYPT_COST } from '../signer/keystore/keyFile.ts'
import { isWorldLabel, type KeyEntry, type KeystoreFolder } from '../signer/keystore/openKeystore.ts'
import { requireLong } from '../signer/keystore/passphrase.ts'
import { WalletError } from './errors.ts'

/**
 * A backup: one JSON file with a key file of version 3 for each key, all under one passphrase, so that any of them
 * can also be opened by another tool. The checksum tells a file that was cut off or edited without its passphrase;
 * what proves a key is its address.
 */
const envelope = z.object({
  format: z.literal('rialto-keystore-backup'),
  version: z.literal(1),
  keys: z.array(z.unknown()).min(1).max(1000),
  /** SHA-256 of the keys as JSON without space, hex. */
  checksum: z.string(),
})

/** A key of a backup: what is public of it. */
export type BackedUpKey = Pick<KeyEntry, 'label' | 'address' | 'derivationPath'>

/** A key of a backup, opened. */
export type OpenedKey = BackedUpKey & { readonly privateKey: Hex }

export type WriteBackupParameters = {
  /** Where there is no file yet. */
  readonly path: string
  readonly passphrase: Buffer
  readonly label: string | null
  readonly cost?: number
}

/**
 * Backs keys up into a new file, and proves it: the file is read again, every key in it opened with the passphrase,
 * and compared with the one in the keystore.
 *
 * @param label of the one key to back up; null backs up all of them but those of the local world
 * @param passphrase of the backup
 * @param cost of scrypt
 * @throws {SignerError} `KEYSTORE` when there is no such key, or the file is there already or cannot be written.
 * @throws {WalletError} `BACKUP_UNPROVEN` when what was written is not what was to be.
 */
export function writeBackup(
  keystore: KeystoreFolder,
  { path, passphrase, label, cost = SCRYPT_COST.real }: WriteBackupParameters,
): readonly BackedUpKey[] {
  requireLong(passphrase)
  const chosen = keystore
    .entries()
    .filter((entry) => (label === null ? !isWorldLabel(entry.label) : entry.label === label))
  // Also says so when the one that was named is not there.
  const labels = label === null ? chosen.map((entry) => entry.label) : [label]
  const secrets = labels.map((each) => keystore.reveal(each))
  if (secrets.length === 0)
    throw new InvalidInputError('There is no key to back up.', { fix: 'Make one with rialto wallet create.' })
  const keys = chosen.map(({ label, address, derivationPath }, at) => ({
    address: address.slice(2).toLowerCase(),
    label,
    ...(derivationPath === null ? {} : { derivationPath }),
    ...encryptKey(secrets[at] as Hex, passphrase, cost),
  }))
  const content = { format: 'rialto-keystore-backup', version: 1, keys, checksum: checksumOf(keys) }
  writeOnce(path, `${JSON.stringify(content, null, 2)}\n`)
  const restored = openBackup(path, passphrase)
  const isWhole =
    restored.length === chosen.length &&
    restored.every(
      (key, at) =>
        key.address === chosen[at]?.address &&
        key.label === chosen[at].label &&
        key.privateKey === secrets[at],
    )
  if (!isWhole) {
    rmSync(path)
    throw new WalletError('BACKUP_UNPROVEN', `${path} did not give the keys back, and was removed.`, {
      fix: 'Check the disk, and write the backup elsewhere.',
    })
  }
  return restored.map(({ privateKey: _, ...key }) => key)
}

/**
 * Reads a backup and opens every key in it.
 *
 * @throws {WalletError} `BACKUP_DAMAGED` when it was cut off or edited.
 * @throws {SignerError} `KEYSTORE` when the passphrase does not open it, or a key is not that of its address.
 */
export function openBackup(path: string, passphrase: Uint8Array): readonly OpenedKey[] {
  const damaged = (why: string) =>
    new WalletError('BACKUP_DAMAGED', `${path} is no whole backup: ${why}.`, {
      fix: 'Take another copy of it.',
    })
  const text = guarded(path, () => readFileSync(path, 'utf8'))
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw damaged('it is no JSON, so it may have been cut off')
  }
  const parsed = envelope.safeParse(json)
  if (!parsed.success) throw damaged(`${parsed.error.issues[0]?.path.join('.') || 'it'} is missing or wrong`)
  if (checksumOf(parsed.data.keys) !== parsed.data.checksum)
    throw damaged('its checksum is wrong, so it was edited')
  const keys = parsed.data.keys.map((key) => {
    const file = keyFile.safeParse(key)
    if (file.success) return file.data
    throw damaged('a key in it is no key file of version 3')
  })
  if (new Set(keys.flatMap(({ label, address }) => [label, address])).size !== 2 * keys.length)
    throw damaged('it holds a label or an address twice')
  return keys.map((file) => {
    const { privateKey } = decryptKey(`the key of ${file.address} in ${path}`, file, passphrase, file.address)
    return {
      label: file.label,
      address: file.address,
      derivationPath: file.derivationPath ?? null,
      privateKey,
    }
  })
}

/** What restoring a backup would do, or did. */
export type RestoredKey = BackedUpKey & { readonly outcome: 'new' | 'there already' }

/**
 * Says what a backup would bring to a keystore, without touching it.
 *
 * @throws {WalletError} `BACKUP_CONFLICT` when a label belongs to another key there, or a key has another label.
 */
export function planRestore(
  keys: readonly BackedUpKey[],
  there: readonly Pick<KeyEntry, 'label' | 'address'>[],
): readonly RestoredKey[] {
  return keys.map(({ label, address, derivationPath }) => {
    const known = there.find((entry) => entry.label === label || entry.address === address)
    if (known === undefined) return { label, address, derivationPath, outcome: 'new' }
    if (known.label === label && known.address === address)
      return { label, address, derivationPath, outcome: 'there already' }
    throw new WalletError(
      'BACKUP_CONFLICT',
      known.label === label
        ? `The backup's key of "${label}" is that of ${address}, and the keystore has another, of ${known.address}.`
        : `The key of ${address} is labelled "${label}" in the backup and "${known.label}" in the keystore.`,
      {
        fix: 'Nothing was changed. Restore into an empty folder (RIALTO_DIR), or move the other key file away.',
        details: { label, address: address as Address, there: known },
      },
    )
  })
}

/**
 * Restores the keys of a backup that are not there. Doing it again changes nothing.
 *
 * @param cost of scrypt
 * @throws {WalletError} `BACKUP_CONFLICT`, before anything is written.
 * @throws {SignerError} `KEYSTORE`
 */
export function restoreBackup(
  keys: readonly OpenedKey[],
  keystore: KeystoreFolder,
  cost: number = SCRYPT_COST.real,
): readonly RestoredKey[] {
  const plan = planRestore(keys, keystore.entries())
  for (const [at, { label, privateKey, derivationPath }] of keys.entries())
    if (plan[at]?.outcome === 'new')
      keystore.store({
        label,
        privateKey,
        cost,
        ...(derivationPath === null ? {} : { derivationPath }),
      })
  return plan
}

const checksumOf = (keys: readonly unknown[]): string =>
  createHash('sha256').update(JSON.stringify(keys)).digest('hex')
