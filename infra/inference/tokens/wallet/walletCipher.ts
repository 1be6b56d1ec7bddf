import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { z } from 'zod'
import { concat, sha256, uint } from '../bytes.ts'
import { TokenError } from '../errors.ts'

/** What opens a wallet. */
export type WalletSecret =
  /** The file then holds the seed, under a key that scrypt makes of the passphrase. */
  | { readonly kind: 'passphrase'; readonly passphrase: string }
  /** 32 bytes. The file then does not hold it, and its key derives from it. */
  | { readonly kind: 'seed'; readonly seed: Uint8Array }

const base64 = z.string().regex(/^[A-Za-z0-9+/]{22,44}={0,2}$/)
// The costs are bounded, so that an edited header cannot make opening a wallet take all memory or all day.
const scryptParameters = z.strictObject({
  kind: z.literal('scrypt'),
  salt: base64,
  cost: z
    .int()
    .min(2 ** 10)
    .max(2 ** 20),
  blockSize: z.literal(8),
  parallelization: z.literal(1),
})

/** The first line of a wallet's file, which is not secret. Every record below is bound to it. */
export const walletHeader = z.strictObject({
  format: z.literal('rialto-wallet'),
  version: z.literal(1),
  key: z.discriminatedUnion('kind', [scryptParameters, z.strictObject({ kind: z.literal('seed') })]),
  /** New for each file, and so is the key that encrypts. */
  salt: base64,
})
export type WalletHeader = z.output<typeof walletHeader>
export type KeySource = WalletHeader['key']

/** What scrypt costs for a new wallet: 128 MiB and a third of a second (2^17, r 8, p 1). */
export const WALLET_SCRYPT_COST = 2 ** 17

/** How the key of a new wallet is made. */
export const newKeySource = (secret: WalletSecret, cost: number): KeySource =>
  secret.kind === 'seed'
    ? { kind: 'seed' }
    : { kind: 'scrypt', salt: randomBytes(16).toString('base64'), cost, blockSize: 8, parallelization: 1 }

export const newHeader = (key: KeySource): WalletHeader => ({
  format: 'rialto-wallet',
  version: 1,
  key,
  salt: randomBytes(32).toString('base64'),
})

/**
 * The key that a wallet's file keys derive from.
 *
 * @throws {TokenError} `WALLET_SECRET` when the secret is not of the kind that the wallet was made with.
 */
export async function deriveMasterKey(secret: WalletSecret, source: KeySource): Promise<Uint8Array> {
  if (source.kind === 'seed' && secret.kind === 'seed')
    return Buffer.from(hkdfSync('sha256', secret.seed, '', 'rialto wallet v1 master', 32))
  if (source.kind !== 'scrypt' || secret.kind !== 'passphrase')
    throw wrongSecret(`is opened with a ${source.kind === 'seed' ? 'seed' : 'passphrase'}`)
  const { salt, cost, blockSize, parallelization } = source
  return await promisify<string, Buffer, number, object, Buffer>(scrypt)(
    secret.passphrase.normalize('NFKC'),
    Buffer.from(salt, 'base64'),
    32,
    { cost, blockSize, parallelization, maxmem: 256 * cost * blockSize },
  )
}

/** Encrypts the lines of one file with AES-256-GCM. */
export type LineCipher = {
  seal(index: number, text: string): string
  /** @returns null when the line is not what was sealed there. */
  open(index: number, line: string): string | null
}

/**
 * The cipher of one file. Its key is HKDF-SHA256 of the master key with the salt in the header; the nonce of a line is
 * its number, and the header's digest is authenticated with each. So no line can be changed, moved to another place
 * or taken over from another file.
 *
 * A key and number must never seal two texts. Therefore a file is only ever continued by the process that made it:
 * every opening writes a new file, with a new salt.
 */
export function createLineCipher(master: Uint8Array, header: WalletHeader): LineCipher {
  const key = Buffer.from(
    hkdfSync('sha256', master, Buffer.from(header.salt, 'base64'), 'rialto wallet v1 file', 32),
  )
  const bound = sha256(Buffer.from(JSON.stringify(header)))
  return {
    seal(index, text) {
      const cipher = createCipheriv('aes-256-gcm', key, uint(index, 12)).setAAD(bound)
      return Buffer.from(concat(cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag())).toString(
        'base64',
      )
    },
    open(index, line) {
      const bytes = Buffer.from(line, 'base64')
      if (bytes.length < 16) return null
      const decipher = createDecipheriv('aes-256-gcm', key, uint(index, 12), { authTagLength: 16 })
      decipher.setAAD(bound).setAuthTag(bytes.subarray(-16))
      const text = decipher.update(bytes.subarray(0, -16))
      try {
        return Buffer.concat([text, decipher.final()]).toString('utf8')
      } catch {
        // The only thing that final() has to say: the tag does not fit.
        return null
      }
    },
  }
}

export const wrongSecret = (problem: string): TokenError =>
  new TokenError('WALLET_SECRET', `The wallet ${problem}.`, {
    fix: 'Give the passphrase or the seed that it was made with.',
  })
