import { randomBytes } from 'node:crypto'
import { open as openFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { requireLength, toHex } from '../bytes.ts'
import { TokenError } from '../errors.ts'
import {
  attempt,
  corrupt,
  type GroupCommitLog,
  type OpenFile,
  openGroupCommitLog,
  readLog,
  syncFolder,
} from '../log/groupCommitLog.ts'
import { SEED_LENGTH } from './deriveSecrets.ts'
import {
  createLineCipher,
  deriveMasterKey,
  newHeader,
  newKeySource,
  WALLET_SCRYPT_COST,
  type WalletHeader,
  type WalletSecret,
  walletHeader,
  wrongSecret,
} from './walletCipher.ts'
import {
  applyEntry,
  emptyState,
  snapshotOf,
  type WalletEntry,
  type WalletState,
  walletEntry,
} from './walletState.ts'

export type WalletFileParameters = {
  readonly path: string
  readonly secret: WalletSecret
  /** The seed of a wallet that is made anew and opened with a passphrase; 32 random bytes when absent. */
  readonly seed?: Uint8Array
  /** What scrypt costs for a wallet that is made anew: a power of two from 2^10 to 2^20. */
  readonly scryptCost?: number
  readonly open?: OpenFile
}

export type WalletFile = {
  readonly seed: Uint8Array
  readonly state: WalletState
  readonly log: GroupCommitLog<WalletEntry>
}

/**
 * Opens a wallet's file, or makes one. The first line is a header; every other is one commit, encrypted.
 *
 * What is read is written to a new file as one snapshot, which then takes the old one's place: so a file stays short,
 * no encryption key is ever continued, and a crash leaves the one file or the other, whole.
 *
 * An older copy of the file cannot be told from the newest: a wallet that is put back in time asks for tokens that it
 * has and offers ones that are spent, which are refused. Nothing is lost by it that recovery does not find.
 *
 * @throws {TokenError} `WALLET_SECRET`, `LOG_CORRUPT` or `LOG_UNWRITABLE`
 */
export async function openWalletFile(parameters: WalletFileParameters): Promise<WalletFile> {
  const { path, secret, scryptCost = WALLET_SCRYPT_COST, open = openFile } = parameters
  if (secret.kind === 'seed') requireLength('seed', secret.seed, SEED_LENGTH)
  if (parameters.seed !== undefined) requireLength('seed', parameters.seed, SEED_LENGTH)
  const lines: string[] = []
  await readLog(path, (line) => lines.push(line), open)
  const [first, ...records] = lines
  const header = first === undefined ? newHeader(newKeySource(secret, scryptCost)) : readHeader(path, first)
  const master = await deriveMasterKey(secret, header.key)
  const state =
    first === undefined
      ? emptyState(secret.kind === 'seed' ? null : toHex(parameters.seed ?? randomBytes(SEED_LENGTH)))
      : readRecords(path, records, master, header)
  const seed = secret.kind === 'seed' ? secret.seed : Buffer.from(state.seed ?? '', 'hex')
  if (seed.length !== SEED_LENGTH) throw corrupt(path, 2)

  const next = newHeader(header.key)
  const cipher = createLineCipher(master, next)
  const content = Buffer.from(
    `${JSON.stringify(next)}\n${cipher.seal(0, JSON.stringify([snapshotOf(state)]))}\n`,
  )
  await attempt(path, async () => {
    const file = await open(`${path}.new`, 'w', 0o600)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(`${path}.new`, path)
    await syncFolder(dirname(path), open)
  })
  let index = 1
  const log = await openGroupCommitLog<WalletEntry>({
    path,
    length: content.length,
    encode: (entries) => cipher.seal(index++, JSON.stringify(entries)),
    open,
  })
  return { seed: Uint8Array.from(seed), state, log }
}

function readHeader(path: string, line: string): WalletHeader {
  try {
    return walletHeader.parse(JSON.parse(line))
  } catch (cause) {
    throw corrupt(path, 1, cause)
  }
}

function readRecords(
  path: string,
  records: readonly string[],
  master: Uint8Array,
  header: WalletHeader,
): WalletState {
  const cipher = createLineCipher(master, header)
  const state = emptyState(null)
  if (records.length === 0) throw corrupt(path, 2)
  records.forEach((record, index) => {
    const text = cipher.open(index, record)
    // The first record is whole in every file, so when it does not open, most likely the key is another.
    if (text === null)
      throw index === 0 ? wrongSecret('does not open with this secret') : corrupt(path, index + 2)
    try {
      for (const entry of walletEntry.array().parse(JSON.parse(text))) applyEntry(state, entry)
    } catch (cause) {
      throw cause instanceof TokenError ? cause : corrupt(path, index + 2)
    }
  })
  return state
}
