import { join } from 'node:path'
import { InvalidInputError } from '../../../runtime/core/errors.ts'
import type { PassphraseConfig } from '../../config/loadConfig.ts'
import { connectSigner } from '../../signer/connectSigner.ts'
import {
  type CreateSignerProcessParameters,
  createSignerProcess,
  type SignerProcess,
} from '../../signer/createSignerProcess.ts'
import { SignerError } from '../../signer/errors.ts'
import { requirePrivate } from '../../signer/keystore/files.ts'
import type { SignerPassphrase } from '../../signer/keystore/handOver.ts'
import { isWorldLabel, listKeys } from '../../signer/keystore/openKeystore.ts'
import { hasMadePassphrase, requireDescriptor } from '../../signer/keystore/passphrase.ts'
import { canAsk } from '../askSecret.ts'
import { obtainPassphrase, takeGiven } from '../passphrase.ts'

const keystoreOf = (directory: string): string => join(directory, 'keystore')
const OTHER_WAYS = '--passphrase-file <path>, --passphrase-fd <n>, or signer.passphrase in the configuration'

/**
 * Finds out where the passphrase of a real chain's keys comes from, before anything is started, and asks for it where
 * it is to be asked for.
 *
 * Without a word about it, it is asked for on the terminal. A keystore with keys of value whose passphrase lies beside
 * them, as earlier versions made it, goes on working.
 *
 * @param labels of the keys that are needed
 * @param said on the command line or in the configuration
 * @throws {InvalidInputError} saying what to do, when there is no key, or nobody to ask; `KEYSTORE` when what was said
 * cannot be read.
 */
export async function findPassphrase(
  directory: string,
  labels: readonly string[],
  said: PassphraseConfig | null,
): Promise<SignerPassphrase> {
  const folder = keystoreOf(directory)
  const keys = listKeys(folder).filter(({ label }) => !isWorldLabel(label))
  const missing = labels.filter((label) => !keys.some((key) => key.label === label))
  if (labels.length === 0) return { kind: 'made' }
  if (said?.kind === 'file') {
    await takeGiven(() => requirePrivate(said.path))
    return said
  }
  if (said?.kind === 'fd') {
    await takeGiven(() => requireDescriptor(said.fd))
    return said
  }
  const isMade = hasMadePassphrase(folder)
  // No key of value is ever made under a passphrase that lies beside it.
  if (said === null && missing.length > 0 && (keys.length === 0 || isMade || !canAsk()))
    throw new InvalidInputError(
      `There is no key for ${missing.map((label) => `"${label}"`).join(' and ')}.`,
      {
        code: 'NO_KEY',
        fix: `Make one with rialto wallet create --label ${missing[0]}, or bring one in with rialto wallet import.`,
      },
    )
  if (said === null && isMade) return { kind: 'made' }
  return { kind: 'bytes', bytes: await ask(keys.length === 0) }
}

/** Whether a signer runs for the folder already: "rialto signer", or one that outlived its runtime. */
export async function signerRuns(directory: string): Promise<boolean> {
  try {
    await (await connectSigner({ directory })).close()
    return true
  } catch (error) {
    if (error instanceof SignerError) return false
    throw error
  }
}

/**
 * Starts the signer of a real chain, or takes over the one that runs.
 *
 * @param passphrase as {@link findPassphrase} gave it; null when a signer runs, and has its keys open
 * @param warn is told what it means that a passphrase lies beside the keys
 * @throws {SignerError}
 */
export async function openChainSigner(
  parameters: Omit<CreateSignerProcessParameters, 'passphrase'>,
  passphrase: SignerPassphrase | null,
  warn: (line: string) => void,
): Promise<SignerProcess> {
  if (passphrase === null) return takeOver(parameters)
  if (passphrase.kind !== 'made' || parameters.accounts.length === 0)
    return createSignerProcess({ ...parameters, passphrase })
  try {
    const signer = await createSignerProcess({ ...parameters, passphrase })
    const path = join(keystoreOf(parameters.directory), 'passphrase')
    warn(
      `The passphrase of the keys lies beside them (${path}): whoever can read the folder has the keys. To give them one of your own: rialto wallet backup --out <file> --passphrase-file ${path}, then rialto wallet restore into an empty RIALTO_DIR.`,
    )
    return signer
  } catch (error) {
    // That passphrase is the local world's alone, and these keys have another.
    if (!(error instanceof SignerError) || error.details.reason !== 'passphrase') throw error
    return createSignerProcess({ ...parameters, passphrase: { kind: 'bytes', bytes: await ask(false) } })
  }
}

/** One that was started otherwise was told to end, and nobody gave a passphrase to start another with. */
async function takeOver(
  parameters: Omit<CreateSignerProcessParameters, 'passphrase'>,
): Promise<SignerProcess> {
  try {
    return await createSignerProcess(parameters)
  } catch (error) {
    if (!(error instanceof SignerError) || error.code !== 'KEYSTORE') throw error
    throw new InvalidInputError(
      'The signer that ran was started from another configuration, and was ended.',
      {
        code: 'SIGNER_OTHER',
        fix: 'Start "rialto signer" with this configuration, or start again and give the passphrase.',
      },
    )
  }
}

const ask = (isNew: boolean): Promise<Buffer> =>
  obtainPassphrase({ kind: 'prompt' }, { of: 'the keystore', isNew, options: OTHER_WAYS })
