import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import { createFileOnce } from '../disk/createFileOnce.ts'
import { createAccountKey, readAccountKey } from './client/mint.ts'
import { openWallet, type Wallet } from './tokens/wallet/openWallet.ts'

/** A file beside a wallet that cannot be used. */
export class PurseError extends InvalidInputError {
  override readonly name = 'PurseError'
  constructor(path: string, problem: string, fix: string, cause?: unknown) {
    super(`${path} ${problem}.`, { code: 'INFERENCE_PURSE', fix, details: { path }, cause })
  }
}

/** What one user of a network keeps: a wallet, the account that it buys tokens with, and the epochs that it saw. */
export type Purse = {
  readonly wallet: Wallet
  /** Known to the mint alone. */
  readonly account: string
  /** Where the highest epoch of each gateway is remembered. */
  readonly memory: string
  close(): Promise<void>
}

/** A passphrase that is made here has 256 bits: it needs no costly stretching. */
const SCRYPT_COST = 2 ** 14

/**
 * Opens the purse of that name, or makes one. One process holds it at a time.
 *
 * The wallet is encrypted with `RIALTO_WALLET_PASSPHRASE` where that is set. Else a passphrase is made and kept in a
 * file beside it, for its owner's eyes only: that protects a copy of the wallet, not against who reads the folder.
 *
 * @param parameters.directory such as `.rialto/inference/purses`
 * @param parameters.seed of a wallet that is made anew, to recover a lost one; 32 bytes
 * @throws {PurseError} when a file beside the wallet is damaged, or readable by others
 * @throws {TokenError} `LOG_LOCKED` when another process holds it, `WALLET_SECRET` for a wrong passphrase
 */
export async function openPurse(parameters: {
  readonly directory: string
  readonly name: string
  readonly passphrase?: string
  readonly seed?: Uint8Array
}): Promise<Purse> {
  const { directory, name, seed } = parameters
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const at = (extension: string) => join(directory, `${name}.${extension}`)
  const made = parameters.passphrase === undefined
  if (made && existsSync(at('wallet')) && !existsSync(at('passphrase')))
    throw new PurseError(
      at('wallet'),
      'was made with a passphrase of your own',
      'Set RIALTO_WALLET_PASSPHRASE to it.',
    )
  const passphrase =
    parameters.passphrase ?? (await secretIn(at('passphrase'), () => randomBytes(32).toString('base64url')))
  const account = await secretIn(at('account'), createAccountKey)
  try {
    readAccountKey(account)
  } catch (cause) {
    throw new PurseError(at('account'), 'holds no account key', 'Restore it from a backup.', cause)
  }
  const wallet = await openWallet({
    path: at('wallet'),
    secret: { kind: 'passphrase', passphrase },
    ...(made ? { scryptCost: SCRYPT_COST } : {}),
    ...(seed === undefined ? {} : { seed }),
  })
  return { wallet, account, memory: at('epochs'), close: () => wallet.close() }
}

/** The secret in a file; made, and durable, when there is none. */
async function secretIn(path: string, make: () => string): Promise<string> {
  try {
    const text = (await readFile(path, 'utf8')).trim()
    if (((await stat(path)).mode & 0o077) !== 0)
      throw new PurseError(path, 'can be read by others', `Run: chmod 600 ${path}`)
    if (text === '') throw new PurseError(path, 'is empty', 'Restore it from a backup.')
    return text
  } catch (error) {
    if (error instanceof PurseError) throw error
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new PurseError(path, 'cannot be read', 'Make it readable for its owner.', error)
  }
  const secret = make()
  try {
    // Another process may have made one in the meantime.
    return (await createFileOnce(path, `${secret}\n`)) ? secret : await secretIn(path, make)
  } catch (error) {
    if (error instanceof PurseError) throw error
    throw new PurseError(path, 'cannot be written', 'Make room on the disk and the folder writable.', error)
  }
}
