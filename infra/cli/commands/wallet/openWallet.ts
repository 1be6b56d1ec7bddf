import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import type { PrivateKeyAccount } from 'viem'
import { InvalidInputError, InvariantError } from '../../../../runtime/core/errors.ts'
import { directoryOf, findDirectory } from '../../../config/findDirectory.ts'
import { type PassphraseConfig, passphraseOf } from '../../../config/loadConfig.ts'
import { loadEnvironment } from '../../../config/loadEnvironment.ts'
import { findConfigFile, readConfigFile } from '../../../config/readConfigFile.ts'
import { prepareDirectory } from '../../../directory.ts'
import { SignerError } from '../../../signer/errors.ts'
import {
  isWorldLabel,
  type KeyEntry,
  type KeystoreFolder,
  listKeys,
  openKeystore,
  requireLabel,
} from '../../../signer/keystore/openKeystore.ts'
import { lockFolder } from '../../../signer/lock.ts'
import {
  obtainPassphrase,
  type PassphraseOptions,
  passphraseFdOption,
  passphraseFileOption,
  passphraseSource,
  refusePassphraseVariable,
} from '../../passphrase.ts'

export type WalletOptions = PassphraseOptions & { readonly config?: string; readonly json?: boolean }

/** A keystore as it was found, with no key opened. */
export type Wallet = {
  /** Rialto's folder, absolute. */
  readonly directory: string
  /** The keystore's folder in it. */
  readonly folder: string
  /** The keys that are there, without those of the local world. */
  readonly keys: readonly KeyEntry[]
  /** Ids of the configured agents; null without a configuration. */
  readonly agents: readonly string[] | null
  readonly passphrase: PassphraseConfig | null
}

/** Adds the options that every command about the keystore has. */
export const walletOptions = (command: Command): Command =>
  command
    .addOption(passphraseFileOption())
    .addOption(passphraseFdOption())
    .option('--config <file>', 'the configuration (default: rialto.config.ts in this folder)')
    .option('--json', 'print the result as JSON')

/**
 * Finds the keystore. The configuration is read for its folder and the ids of its agents alone: a policy that is
 * wrong must not keep anybody from their keys.
 */
export async function findWallet(options: WalletOptions): Promise<Wallet> {
  refusePassphraseVariable(process.env)
  const environment = loadEnvironment(process.env)
  const named = options.config ?? findConfigFile()
  const read = named === null ? null : await readConfigFile(named)
  const directory =
    read === null ? await findDirectory(environment) : directoryOf(environment, read.file, read.content)
  const folder = join(directory, 'keystore')
  return {
    directory,
    folder,
    keys: listKeys(folder).filter(({ label }) => !isWorldLabel(label)),
    agents: read?.content.agents.map(({ id }) => id) ?? null,
    passphrase: passphraseSource(
      options,
      read === null ? null : passphraseOf(read.content, dirname(read.file)),
    ),
  }
}

/**
 * Opens the keystore for one command, alone: the passphrase is asked for before anything is made, and overwritten
 * when the work is done.
 */
export async function withKeystore<T>(
  wallet: Wallet,
  work: (keystore: KeystoreFolder) => T | Promise<T>,
): Promise<T> {
  const passphrase = await obtainPassphrase(wallet.passphrase, {
    of: 'the keystore',
    isNew: wallet.keys.length === 0,
  })
  try {
    await prepareDirectory(wallet.directory, 0)
    const keystore = openKeystore(wallet.folder, passphrase)
    const unlock = await lockKeystore(wallet.folder)
    try {
      return await work(keystore)
    } finally {
      unlock()
    }
  } finally {
    passphrase.fill(0)
  }
}

/**
 * A key of the keystore, with nothing opened.
 *
 * @throws {InvalidInputError} when there is none of that label.
 */
export function findKey(wallet: Wallet, label: string): KeyEntry {
  const key = wallet.keys.find((each) => each.label === label)
  if (key !== undefined) return key
  throw noSuchKey(wallet, label)
}

/**
 * Opens the keystore for what one of its keys signs.
 *
 * @throws {InvalidInputError} when there is no such key, before any passphrase is asked for.
 */
export async function withKey<T>(
  wallet: Wallet,
  label: string,
  work: (key: PrivateKeyAccount) => T | Promise<T>,
): Promise<T> {
  findKey(wallet, label)
  return withKeystore(wallet, (keystore) => {
    const key = keystore.load(label)
    // Somebody may have taken it away meanwhile.
    if (key === null) throw noSuchKey(wallet, label)
    return work(key)
  })
}

const noSuchKey = ({ folder }: Wallet, label: string) =>
  new InvalidInputError(`There is no key labelled "${label}" in ${folder}.`, {
    fix: 'See the labels with rialto wallet list.',
  })

/** Two commands that make a key of one label at once would leave a keystore that nobody can open. */
async function lockKeystore(folder: string): Promise<() => void> {
  try {
    return await lockFolder(join(folder, 'lock'))
  } catch (error) {
    if (!(error instanceof SignerError) || error.code !== 'SIGNER_LOCKED') throw error
    throw new SignerError('KEYSTORE', `Another rialto wallet command uses ${folder}.`, {
      fix: 'Wait until it has ended.',
      retryable: true,
    })
  }
}

/**
 * The label of a new key: the one that was named, else the one agent of the configuration that has no key yet.
 *
 * @throws {InvalidInputError} when none was named and it is not clear which is meant.
 */
export function labelFor(named: string | undefined, { agents, keys }: Wallet): string {
  if (named !== undefined) {
    const label = requireLabel(named)
    const taken = keys.find((key) => key.label === label)
    if (taken === undefined) return label
    throw new InvalidInputError(`The label "${label}" is taken, by the key of ${taken.address}.`, {
      fix: 'Take another label; rialto wallet list shows those that are taken.',
    })
  }
  const without = (agents ?? []).filter((id) => !keys.some(({ label }) => label === id))
  const [only, ...others] = without
  if (only !== undefined && others.length === 0) return only
  throw new InvalidInputError(
    agents === null
      ? 'It is not clear whose key it is: there is no configuration that names an agent.'
      : only === undefined
        ? 'Every agent of the configuration has a key.'
        : `It is not clear whose key it is: ${without.join(' and ')} have none.`,
    { fix: 'Name the id of the agent with --label.' },
  )
}

/** What is public of a key that was just stored. */
export function entryAfter(keystore: KeystoreFolder, label: string): KeyEntry {
  const entry = keystore.entries().find((each) => each.label === label)
  if (entry !== undefined) return entry
  throw new InvariantError('A key that was stored is not in the keystore.', { label })
}
