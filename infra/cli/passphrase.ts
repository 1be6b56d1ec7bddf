import { InvalidArgumentError, Option } from 'commander'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import type { PassphraseConfig } from '../config/loadConfig.ts'
import { SignerError } from '../signer/errors.ts'
import { PASSPHRASE_VARIABLE, readPassphrase, requireLong } from '../signer/keystore/passphrase.ts'
import { askSecrets, canAsk } from './askSecret.ts'

/** Where a passphrase comes from, as it was said on the command line. */
export type PassphraseOptions = { readonly passphraseFile?: string; readonly passphraseFd?: number }

export const fileDescriptor = (text: string): number => {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 3 && value <= 1023) return value
  throw new InvalidArgumentError('It must be the number of an inherited file descriptor, from 3.')
}

export const passphraseFileOption = (): Option =>
  new Option('--passphrase-file <path>', "holds the keystore's passphrase; only its owner may read it")

export const passphraseFdOption = (): Option =>
  new Option('--passphrase-fd <n>', "an inherited file descriptor to read the keystore's passphrase from")
    .argParser(fileDescriptor)
    .conflicts('passphraseFile')

/** What was said on the command line, else in the configuration; null when nothing was said. */
export function passphraseSource(
  { passphraseFile, passphraseFd }: PassphraseOptions,
  configured: PassphraseConfig | null = null,
): PassphraseConfig | null {
  if (passphraseFile !== undefined) return { kind: 'file', path: passphraseFile }
  if (passphraseFd !== undefined) return { kind: 'fd', fd: passphraseFd }
  return configured
}

/**
 * A variable is inherited by every child, and lies open in the process table's environment as long as the process
 * lives. It is for a signer that is run by itself.
 *
 * @throws {InvalidInputError} when it is set.
 */
export function refusePassphraseVariable(variables: NodeJS.ProcessEnv): void {
  if (variables[PASSPHRASE_VARIABLE] === undefined) return
  throw new InvalidInputError(
    `${PASSPHRASE_VARIABLE} is set, which only a signer that is run by itself may read.`,
    {
      code: 'PASSPHRASE_IN_ENVIRONMENT',
      fix: 'Unset it, and give --passphrase-file <path> or --passphrase-fd <n>.',
    },
  )
}

/**
 * Takes a passphrase from where somebody said that it is. That it cannot be taken from there, or will not do, is wrong use,
 * which the signer's own error is not.
 *
 * @throws {InvalidInputError} `KEYSTORE` where the signer's error says so.
 */
export async function takeGiven<T>(take: () => T | Promise<T>): Promise<T> {
  try {
    return await take()
  } catch (error) {
    if (!(error instanceof SignerError) || error.code !== 'KEYSTORE') throw error
    const { message, code, fix, details } = error
    throw new InvalidInputError(message, {
      ...{ code, details, cause: error },
      ...(fix === undefined ? {} : { fix }),
    })
  }
}

export type PassphraseQuestion = {
  /** What it opens, or will: `the keystore` */
  readonly of: string
  /** It is asked twice, and has to be long enough. */
  readonly isNew: boolean
  /** How else it can be given, for the error when there is nobody to ask. */
  readonly options?: string
}

/**
 * The passphrase itself, to be overwritten when it is used.
 *
 * @param source null: it is asked for on the terminal
 * @throws {InvalidInputError} when there is no terminal to ask on, or two answers differ; `KEYSTORE` when it cannot be
 * read, is empty, or a new one is too short.
 */
export async function obtainPassphrase(
  source: PassphraseConfig | null,
  { of, isNew, options = '--passphrase-file <path> or --passphrase-fd <n>' }: PassphraseQuestion,
): Promise<Buffer> {
  if (source !== null && source.kind !== 'prompt')
    return takeGiven(async () => {
      const passphrase = await readPassphrase(source)
      if (isNew) requireLong(passphrase)
      return passphrase
    })
  if (!canAsk())
    throw new InvalidInputError(`There is no terminal to ask for the passphrase of ${of} on.`, {
      code: 'NO_TERMINAL',
      fix: `Give it with ${options}.`,
    })
  const [passphrase, again] = await askSecrets(
    isNew ? [`New passphrase of ${of}`, 'Once more'] : [`Passphrase of ${of}`],
  )
  if (passphrase === undefined || passphrase.length === 0)
    throw new InvalidInputError('The passphrase is empty.', { code: 'KEYSTORE', fix: 'Type it again.' })
  if (again === undefined) return passphrase
  const isSame = passphrase.equals(again)
  again.fill(0)
  if (!isSame) throw new InvalidInputError('The two passphrases differ.', { fix: 'Type them again.' })
  await takeGiven(() => requireLong(passphrase))
  return passphrase
}
