import { pbkdf2Sync, randomBytes, scryptSync } from 'node:crypto'
import * as Keystore from 'ox/Keystore'
import { type Address, bytesToHex, getAddress, type Hex } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import { z } from 'zod'
import { SignerError } from '../errors.ts'

/** What scrypt costs. A key of value takes 2^17, about a third of a second; one of the local world 2^12. */
export const SCRYPT_COST = { real: 2 ** 17, local: 2 ** 12 } as const

/** What a file may ask for at most: 1 GiB, and about four times the work of the dearest in use (geth's standard). */
const LIMITS = { scryptMemory: 2 ** 30, scryptWork: 2 ** 24, pbkdf2Rounds: 10_000_000 } as const

/** Other tools write them with and without 0x. */
const hexText = (bytes?: number) =>
  z
    .string()
    .regex(/^(?:0x)?(?:[0-9a-fA-F]{2})+$/)
    .transform((text) => text.replace(/^0x/, '').toLowerCase())
    .refine((text) => bytes === undefined || text.length === 2 * bytes)

const positive = z.int().positive()
const shared = { cipher: z.literal('aes-128-ctr'), ciphertext: hexText(), mac: hexText(32) }
const cipherparams = z.object({ iv: hexText(16) })

const scryptSection = z.object({
  ...shared,
  cipherparams,
  kdf: z.literal('scrypt'),
  kdfparams: z
    .object({ dklen: z.int().min(32).max(64), n: positive, p: positive, r: positive, salt: hexText() })
    .refine(({ n }) => n > 1 && Number.isInteger(Math.log2(n)))
    .refine(({ n, r }) => 128 * n * r <= LIMITS.scryptMemory)
    .refine(({ n, r, p }) => n * r * p <= LIMITS.scryptWork),
})
const pbkdf2Section = z.object({
  ...shared,
  cipherparams,
  kdf: z.literal('pbkdf2'),
  kdfparams: z.object({
    c: positive.max(LIMITS.pbkdf2Rounds),
    dklen: z.int().min(32).max(64),
    prf: z.literal('hmac-sha256'),
    salt: hexText(),
  }),
})
const cryptoSection = z.discriminatedUnion('kdf', [scryptSection, pbkdf2Section])

/** Names a key: an agent's id; what follows a dot marks a key of the local world, and is the seed it came from. */
const label = z.string().min(1).max(200)

/** Not in the standard, but written by geth and others. */
const addressText = z
  .string()
  .regex(/^(?:0x)?[0-9a-fA-F]{40}$/)
  .transform((text) => getAddress(`0x${text.replace(/^0x/, '').toLowerCase()}`))

/** A key file of ours: web3 secret storage version 3, with its address, and the label that is ours. */
export const keyFile = z.object({
  address: addressText,
  label,
  /** Where in a mnemonic's tree the key came from. */
  derivationPath: z.string().max(200).optional(),
  version: z.literal(3),
  crypto: cryptoSection,
})
export type KeyFile = z.output<typeof keyFile>

/** A key file of another tool. Some leave the address out, and old ones write "Crypto". */
export const foreignKeyFile = z
  .looseObject({ crypto: z.unknown().optional(), Crypto: z.unknown().optional() })
  .transform(({ crypto, Crypto, ...rest }) => ({ ...rest, crypto: crypto ?? Crypto }))
  .pipe(
    z.object({
      address: addressText.nullish().transform((address) => address ?? null),
      version: z.literal(3),
      crypto: cryptoSection,
    }),
  )

/** The part of a key file that is encrypted. */
export type Encrypted = { readonly crypto: KeyFile['crypto'] }

/**
 * Encrypts a key under a passphrase.
 *
 * @param cost of scrypt, a power of two
 * @returns a key file of version 3 that geth, Clef and others read too
 * @example encryptKey(privateKey, Buffer.from('correct horse battery'), SCRYPT_COST.real).crypto.kdf // 'scrypt'
 */
export function encryptKey(privateKey: Hex, passphrase: Uint8Array, cost: number): Keystore.Keystore {
  const salt = randomBytes(32)
  const kdfparams = { dklen: 32, n: cost, p: 1, r: 8, salt: salt.toString('hex') }
  const derived = scrypt(passphrase, kdfparams)
  try {
    return Keystore.encrypt(privateKey, bytesToHex(derived), {
      kdf: 'scrypt',
      kdfparams,
      iv: new Uint8Array(randomBytes(16)),
    })
  } finally {
    derived.fill(0)
  }
}

/**
 * Decrypts a key. A key whose leading zeros a tool left out is as good as one with them.
 *
 * @param what the file is, for the error: `the key file of 0x…`
 * @param address whose key it has to be; null where the file does not say
 * @throws {SignerError} `KEYSTORE` when the passphrase does not open it, or it holds another key.
 */
export function decryptKey(
  what: string,
  { crypto }: Encrypted,
  passphrase: Uint8Array,
  address: Address | null,
): { readonly privateKey: Hex; readonly address: Address } {
  const privateKey = open(what, crypto, passphrase)
  const held = addressOf(what, privateKey)
  if (address === null || held === address) return { privateKey, address: held }
  throw new SignerError('KEYSTORE', `${capital(what)} holds the key of ${held}.`, {
    fix: 'Restore the file from a backup.',
    details: { address, held },
  })
}

/** Whether a passphrase opens a key file, by its checksum alone: the key stays encrypted. */
export function isOpenedBy({ crypto }: Encrypted, passphrase: Uint8Array): boolean {
  try {
    open('it', crypto, passphrase)
    return true
  } catch (error) {
    if (error instanceof SignerError) return false
    throw error
  }
}

function open(what: string, crypto: KeyFile['crypto'], passphrase: Uint8Array): Hex {
  const derived = derive(crypto, passphrase)
  try {
    const keystore = { crypto, id: '', version: 3 } as const
    const bytes = Keystore.decrypt(keystore, bytesToHex(derived), { as: 'Bytes' })
    return bytesToHex(Buffer.concat([Buffer.alloc(Math.max(0, 32 - bytes.length)), bytes]))
  } catch {
    // The library's error says less, and must not carry what it worked on.
    throw new SignerError('KEYSTORE', `The passphrase does not open ${what}.`, {
      fix: 'Give the passphrase that it was encrypted with; if it is that one, the file is damaged.',
      details: { reason: 'passphrase' },
    })
  } finally {
    derived.fill(0)
  }
}

function addressOf(what: string, privateKey: Hex): Address {
  try {
    return privateKeyToAddress(privateKey)
  } catch {
    // Zero, too long, or beyond the order of the curve. The library's error would repeat it.
    throw new SignerError('KEYSTORE', `${capital(what)} holds something that is no private key.`, {
      fix: 'Restore the file from a backup.',
    })
  }
}

const derive = (crypto: KeyFile['crypto'], passphrase: Uint8Array): Buffer =>
  crypto.kdf === 'scrypt'
    ? scrypt(passphrase, crypto.kdfparams)
    : pbkdf2Sync(passphrase, Buffer.from(crypto.kdfparams.salt, 'hex'), crypto.kdfparams.c, 32, 'sha256')

type ScryptParameters = {
  readonly n: number
  readonly r: number
  readonly p: number
  readonly salt: string
}

/** Of a key that is to be longer, the first 32 bytes are the same, and the rest is of no use. */
function scrypt(passphrase: Uint8Array, { n, r, p, salt }: ScryptParameters): Buffer {
  // RFC 7914 allows n below 2^(16r) only, and OpenSSL insists on it; the published vector and others do not.
  if (Math.log2(n) >= 16 * r) {
    const [key] = Keystore.scrypt({ password: textOf(passphrase), n, r, p, salt: `0x${salt}` })
    return Buffer.from(key().slice(2), 'hex')
  }
  const maxmem = 128 * r * (n + p) + 2 ** 20
  return scryptSync(passphrase, Buffer.from(salt, 'hex'), 32, { N: n, r, p, maxmem })
}

/** What that implementation takes. Nobody types anything that is no text. */
const textOf = (passphrase: Uint8Array): string => Buffer.from(passphrase).toString('utf8')

const capital = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`
