import * as Mnemonic from 'ox/Mnemonic'
import { bytesToHex, type Hex } from 'viem'
import { mnemonicToAccount, privateKeyToAddress } from 'viem/accounts'
import { decryptKey, foreignKeyFile } from '../signer/keystore/keyFile.ts'
import { WalletError } from './errors.ts'

/** Where a wallet's first account is (BIP-44, coin type 60). */
export const FIRST_ACCOUNT = "m/44'/60'/0'/0/0"

/**
 * Reads a private key: 64 hex digits, with or without 0x, and with space around it.
 *
 * @throws {WalletError} `PRIVATE_KEY`, without what was given.
 */
export function parsePrivateKey(text: string): Hex {
  const digits = text.trim().replace(/^0x/i, '')
  if (!/^[0-9a-f]{64}$/i.test(digits))
    throw new WalletError(
      'PRIVATE_KEY',
      'That is no private key: it has 64 hex digits, with or without 0x.',
      {
        fix: 'Check how it was copied.',
      },
    )
  const key: Hex = `0x${digits.toLowerCase()}`
  try {
    privateKeyToAddress(key)
  } catch {
    // The library's error would repeat the key.
    throw new WalletError('PRIVATE_KEY', 'That is no private key: it lies outside the range of the curve.', {
      fix: 'Check how it was copied.',
    })
  }
  return key
}

/**
 * Reads a mnemonic of English words (BIP-39) and derives a key from it (BIP-32), without a further passphrase.
 *
 * @param path which of its keys
 * @throws {WalletError} `MNEMONIC`, without what was given.
 * @example parseMnemonic('test test test test test test test test test test test junk', FIRST_ACCOUNT) // '0xac09…'
 */
export function parseMnemonic(text: string, path: string): Hex {
  const words = text.normalize('NFKD').trim().toLowerCase().split(/\s+/)
  const unknown = words.findIndex((word) => !Mnemonic.english.includes(word))
  const wrong = (why: string) =>
    new WalletError('MNEMONIC', `That is no mnemonic: ${why}.`, { fix: 'Check how it was copied.' })
  if (![12, 15, 18, 21, 24].includes(words.length))
    throw wrong(
      `it has ${words.length === 1 ? 'one word' : `${words.length} words`}, not 12, 15, 18, 21 or 24`,
    )
  // Which word is said, not what it is.
  if (unknown >= 0) throw wrong(`word ${unknown + 1} is not on the English list`)
  const phrase = words.join(' ')
  if (!Mnemonic.validate(phrase, Mnemonic.english))
    throw wrong('its checksum is wrong, so a word is wrong or two have changed places')
  const { privateKey } = mnemonicToAccount(phrase, { path: requirePath(path) }).getHdKey()
  if (privateKey === null) throw wrong('it gives no key at that path')
  return bytesToHex(privateKey)
}

/** @throws {WalletError} `MNEMONIC` */
export function requirePath(path: string): `m/44'/60'/${string}` {
  const parts = /^m((?:\/\d{1,10}'?)+)$/.exec(path)?.[1]?.slice(1).split('/') ?? []
  const isInRange = parts.every((part) => Number(part.replace("'", '')) < 2 ** 31)
  // The library types all paths as Ethereum's; it derives any.
  if (parts.length > 0 && parts.length <= 10 && isInRange) return path as `m/44'/60'/${string}`
  throw new WalletError('MNEMONIC', `"${path.slice(0, 80)}" is no derivation path.`, {
    fix: `Write it like ${FIRST_ACCOUNT}.`,
  })
}

/**
 * Opens a key file of another tool: web3 secret storage version 3, as geth, Clef, MyCrypto and others write it.
 *
 * @param name of the file, for the error
 * @throws {WalletError} `KEY_FILE` when it is none.
 * @throws {SignerError} `KEYSTORE` when the passphrase does not open it, or it holds the key of another address.
 */
export function openForeignFile(name: string, text: string, passphrase: Uint8Array): Hex {
  const parsed = foreignKeyFile.safeParse(parseJson(text))
  if (parsed.success) return decryptKey(name, parsed.data, passphrase, parsed.data.address).privateKey
  const where = parsed.error.issues[0]?.path.join('.') || 'it'
  throw new WalletError('KEY_FILE', `${name} is no key file of version 3: ${where} is missing or wrong.`, {
    fix: 'Export the account again as a JSON keystore (web3 secret storage version 3).',
    details: { where },
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
