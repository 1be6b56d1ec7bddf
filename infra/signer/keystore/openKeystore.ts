import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Address, Hex } from 'viem'
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { SignerError } from '../errors.ts'
import { guarded, requirePrivate, writeOnce } from './files.ts'
import { decryptKey, encryptKey, isOpenedBy, type KeyFile, keyFile, SCRYPT_COST } from './keyFile.ts'
import { requireLong } from './passphrase.ts'

/** What everybody who may read the folder knows of a key. */
export type KeyEntry = {
  readonly label: string
  readonly address: Address
  /** The key file, absolute if the folder's path is. */
  readonly path: string
  /** Where in a mnemonic's tree it came from; null for other keys. */
  readonly derivationPath: string | null
}

/** A folder of keys in web3 secret storage version 3, one a file, named by address. */
export type KeystoreFolder = {
  /** All keys, by label. */
  entries(): readonly KeyEntry[]
  /** The key with a label; null when there is none. */
  load(label: string): PrivateKeyAccount | null
  /** The private key with a label, for a backup. @throws {SignerError} `KEYSTORE` when there is none. */
  reveal(label: string): Hex
  /**
   * Stores a key under a label that is free, and returns when it is on the disk.
   *
   * @throws {SignerError} `KEYSTORE` when label or address are taken, or the passphrase is not that of the others.
   */
  store(key: NewKey): PrivateKeyAccount
  /** Stores a new random key. */
  create(label: string): PrivateKeyAccount
  /** Overwrites the passphrase: nothing can be loaded or stored any more. */
  close(): void
}

export type NewKey = {
  readonly label: string
  readonly privateKey: Hex
  /** Of scrypt. */
  readonly cost: number
  readonly derivationPath?: string
}

/** Keys of the local world are labelled by agent and seed: no agent's id has a dot. */
export const isWorldLabel = (label: string): boolean => label.includes('.')

/** @throws {SignerError} `KEYSTORE` when the text cannot name a key. */
export function requireLabel(label: string): string {
  if (/^[a-z0-9][a-z0-9-]{0,62}$/i.test(label)) return label
  throw new SignerError('KEYSTORE', `"${label.slice(0, 80)}" cannot name a key.`, {
    fix: 'Take the id of an agent: letters, digits and dashes.',
  })
}

/**
 * What lies in a keystore, without opening any key.
 *
 * @returns nothing when there is no such folder
 * @throws {SignerError} `KEYSTORE` when a file is damaged, or others may read it.
 */
export function listKeys(folder: string): readonly KeyEntry[] {
  const isThere = guarded(folder, () => statSync(folder, { throwIfNoEntry: false }) !== undefined)
  return isThere ? readKeyFiles(folder).map(entryOf) : []
}

/**
 * Opens a keystore, and makes its folder if there is none.
 *
 * @param passphrase the keystore's from now on: `close` overwrites it
 * @throws {SignerError} `KEYSTORE`
 */
export function openKeystore(folder: string, passphrase: Buffer): KeystoreFolder {
  guarded(folder, () => mkdirSync(folder, { recursive: true, mode: 0o700 }))
  const files = new Map(readKeyFiles(folder).map((file) => [file.label, file]))

  let isTheOne = false

  const decrypt = (file: KeyFile) =>
    decryptKey(`the key file of ${file.address}`, file, passphrase, file.address)

  function store({ label, privateKey, cost, derivationPath }: NewKey): PrivateKeyAccount {
    const account = privateKeyToAccount(privateKey)
    requireRoom(label, account.address)
    requireOnePassphrase(label)
    const file = {
      address: account.address.slice(2).toLowerCase(),
      label,
      ...(derivationPath === undefined ? {} : { derivationPath }),
      ...encryptKey(privateKey, passphrase, cost),
    }
    const path = join(folder, `${account.address.toLowerCase()}.json`)
    writeOnce(path, `${JSON.stringify(file, null, 2)}\n`)
    files.set(label, { ...keyFile.parse(file), path })
    return account
  }

  function requireRoom(label: string, address: Address): void {
    const same = [...files.values()].find((file) => file.label === label || file.address === address)
    if (same === undefined) return
    throw new SignerError(
      'KEYSTORE',
      same.label === label
        ? `The label "${label}" is taken, by the key of ${same.address}.`
        : `The key of ${address} is there already, labelled "${same.label}".`,
      {
        fix: same.label === label ? 'Take another label.' : `Use it as "${same.label}".`,
        details: { label: same.label, address: same.address },
      },
    )
  }

  /** A passphrase that was mistyped once would lock a key away for good. */
  function requireOnePassphrase(label: string): void {
    if (isTheOne || isWorldLabel(label)) return
    const other = [...files.values()].find((file) => !isWorldLabel(file.label))
    if (other === undefined) requireLong(passphrase)
    isTheOne = other === undefined || isOpenedBy(other, passphrase)
    if (isTheOne || other === undefined) return
    throw new SignerError(
      'KEYSTORE',
      `The passphrase does not open the key that is there, of ${other.address}.`,
      {
        fix: 'Give the passphrase of the keystore: all its keys have the same one.',
        details: { reason: 'passphrase' },
      },
    )
  }

  return {
    entries: () => [...files.values()].map(entryOf),
    load(label) {
      const file = files.get(label)
      return file === undefined ? null : privateKeyToAccount(decrypt(file).privateKey)
    },
    reveal(label) {
      const file = files.get(label)
      if (file !== undefined) return decrypt(file).privateKey
      throw new SignerError('KEYSTORE', `There is no key labelled "${label}" in ${folder}.`, {
        fix: 'See the labels with rialto wallet list.',
      })
    },
    store,
    create: (label) => store({ label, privateKey: generatePrivateKey(), cost: SCRYPT_COST.real }),
    close: () => passphrase.fill(0),
  }
}

type HeldFile = KeyFile & { readonly path: string }

const entryOf = ({ label, address, path, derivationPath }: HeldFile): KeyEntry => ({
  label,
  address,
  path,
  derivationPath: derivationPath ?? null,
})

function readKeyFiles(folder: string): readonly HeldFile[] {
  requirePrivate(folder)
  const names = guarded(folder, () => readdirSync(folder)).filter((name) => name.endsWith('.json'))
  const files = names.map((name) => readKeyFile(join(folder, name)))
  const labels = files.map(({ label }) => label)
  const twice = labels.find((label, index) => labels.indexOf(label) !== index)
  if (twice !== undefined)
    throw new SignerError('KEYSTORE', `Two key files in ${folder} are labelled "${twice}".`, {
      fix: 'Move the one that is not wanted elsewhere.',
    })
  return files.toSorted((one, other) => (one.label < other.label ? -1 : 1))
}

function readKeyFile(path: string): HeldFile {
  requirePrivate(path)
  const text = guarded(path, () => readFileSync(path, 'utf8'))
  const result = keyFile.safeParse(parseJson(text))
  if (result.success) return { ...result.data, path }
  throw new SignerError('KEYSTORE', `${path} is no key file of version 3 with an address and a label.`, {
    fix: 'Restore it from a backup, or move it elsewhere.',
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // What is no JSON is no key file either: the schema says so in better words.
    return null
  }
}
