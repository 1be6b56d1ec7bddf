import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import * as Keystore from 'ox/Keystore'
import { type Address, getAddress, type Hex } from 'viem'
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { z } from 'zod'
import { SignerError } from './errors.ts'

/** Where a keystore's passphrase is. */
export type PassphraseSource = {
  readonly kind: 'file'
  /** `passphrase` in the keystore's folder when absent. */
  readonly path?: string
}

/** What scrypt costs. A key of value takes 2^17, about a third of a second; one of the local world 2^12. */
export const SCRYPT_COST = { real: 2 ** 17, local: 2 ** 12 } as const

/** A folder of keys in web3 secret storage version 3, one a file, named by address. */
export type KeystoreFolder = {
  /** The key with a label; null when there is none. */
  load(label: string): PrivateKeyAccount | null
  /** Stores a key under a label that is free, and returns when it is on the disk. */
  store(label: string, privateKey: Hex, cost: number): PrivateKeyAccount
  /** Stores a new random key. */
  create(label: string): PrivateKeyAccount
}

const hexText = z.string().regex(/^[0-9a-fA-F]+$/)
const keyFile = z.object({
  // Not in the standard, but written by geth and others; what the key is called is ours.
  address: z.string().regex(/^(?:0x)?[0-9a-fA-F]{40}$/),
  label: z.string(),
  version: z.literal(3),
  id: z.string(),
  crypto: z.object({
    cipher: z.literal('aes-128-ctr'),
    ciphertext: hexText,
    cipherparams: z.object({ iv: hexText }),
    kdf: z.enum(['scrypt', 'pbkdf2']),
    kdfparams: z.record(z.string(), z.union([z.string(), z.number()])),
    mac: hexText,
  }),
})
type KeyFile = z.output<typeof keyFile>

/**
 * Opens a keystore, and makes it with a passphrase of 256 random bits if there is none.
 *
 * Keys and passphrase lie in one folder by default. That protects against one thing only, a key file that is copied
 * somewhere by accident; against whoever can read the folder it protects nothing.
 *
 * @throws {SignerError} `KEYSTORE`
 */
export function openKeystore(folder: string, source: PassphraseSource = { kind: 'file' }): KeystoreFolder {
  guarded(folder, () => mkdirSync(folder, { recursive: true, mode: 0o700 }))
  requirePrivate(folder)
  const files = new Map(readKeyFiles(folder).map((file) => [file.label, file]))
  const passphrase = readPassphrase(source.path ?? join(folder, 'passphrase'), files.size === 0)

  function store(label: string, privateKey: Hex, cost: number): PrivateKeyAccount {
    const account = privateKeyToAccount(privateKey)
    const [key, options] = Keystore.scrypt({ password: passphrase, n: cost, r: 8, p: 1 })
    const file = {
      address: account.address.slice(2).toLowerCase(),
      label,
      ...Keystore.encrypt(privateKey, key, options),
    }
    writeDurably(join(folder, `${account.address.toLowerCase()}.json`), `${JSON.stringify(file, null, 2)}\n`)
    files.set(label, keyFile.parse(file))
    return account
  }

  return {
    load(label) {
      const file = files.get(label)
      return file === undefined ? null : decrypt(file, passphrase)
    },
    store,
    create: (label) => store(label, generatePrivateKey(), SCRYPT_COST.real),
  }
}

function decrypt(file: KeyFile, passphrase: string): PrivateKeyAccount {
  const address = addressOf(file)
  const account = decryptKey(file, passphrase)
  if (account.address === address) return account
  throw new SignerError('KEYSTORE', `The key file of ${address} holds the key of ${account.address}.`, {
    fix: 'Restore the file from a backup.',
  })
}

function decryptKey(file: KeyFile, passphrase: string): PrivateKeyAccount {
  try {
    const keystore = file as unknown as Keystore.Keystore
    return privateKeyToAccount(Keystore.decrypt(keystore, Keystore.toKey(keystore, { password: passphrase })))
  } catch {
    // The library's error says less, and must not carry what it worked on.
    throw new SignerError('KEYSTORE', `The passphrase does not open the key file of ${addressOf(file)}.`, {
      fix: 'Restore the passphrase that belongs to the keystore.',
    })
  }
}

const addressOf = (file: KeyFile): Address => getAddress(`0x${file.address.replace(/^0x/, '')}`)

function readKeyFiles(folder: string): readonly KeyFile[] {
  const names = guarded(folder, () => readdirSync(folder)).filter((name) => name.endsWith('.json'))
  const files = names.map((name) => readKeyFile(join(folder, name)))
  const labels = files.map(({ label }) => label)
  const twice = labels.find((label, index) => labels.indexOf(label) !== index)
  if (twice === undefined) return files
  throw new SignerError('KEYSTORE', `Two key files in ${folder} are labelled "${twice}".`, {
    fix: 'Move the one that is not wanted elsewhere.',
  })
}

function readKeyFile(path: string): KeyFile {
  requirePrivate(path)
  const text = guarded(path, () => readFileSync(path, 'utf8'))
  const result = keyFile.safeParse(parseJson(text))
  if (result.success) return result.data
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

function readPassphrase(path: string, mayCreate: boolean): string {
  const exists = guarded(path, () => statSync(path, { throwIfNoEntry: false }) !== undefined)
  if (!exists && !mayCreate)
    throw new SignerError('KEYSTORE', `The passphrase ${path} is missing, and there are keys that need it.`, {
      fix: 'Restore the file.',
    })
  if (!exists) writeDurably(path, `${randomBytes(32).toString('base64url')}\n`)
  requirePrivate(path)
  const passphrase = guarded(path, () => readFileSync(path, 'utf8')).trim()
  if (passphrase !== '') return passphrase
  throw new SignerError('KEYSTORE', `The passphrase ${path} is empty.`, { fix: 'Restore the file.' })
}

/** Others on the machine must not read it. Windows has no such mode to check. */
function requirePrivate(path: string): void {
  const { mode } = guarded(path, () => statSync(path))
  if (process.platform === 'win32' || (mode & 0o077) === 0) return
  throw new SignerError('KEYSTORE', `Others than its owner may use ${path}.`, {
    fix: `Run chmod go= ${path}`,
  })
}

/** Writes a file whole or not at all, under a name that nothing else has. */
function writeDurably(path: string, text: string): void {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  guarded(path, () => {
    const fd = openSync(temporary, 'wx', 0o600)
    try {
      writeSync(fd, text)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, path)
    const folder = openSync(dirname(path), 'r')
    try {
      fsyncSync(folder)
    } finally {
      closeSync(folder)
    }
  })
}

function guarded<T>(path: string, operation: () => T): T {
  try {
    return operation()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new SignerError('KEYSTORE', `The keystore cannot use ${path} (${code ?? 'unknown error'}).`, {
      fix: 'Make the folder readable and writable, and make room on the disk.',
    })
  }
}
