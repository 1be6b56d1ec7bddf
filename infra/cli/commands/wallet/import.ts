import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { isatty } from 'node:tty'
import { Command, Option } from 'commander'
import type { Hex } from 'viem'
import { InvalidInputError } from '../../../../runtime/core/errors.ts'
import { guarded } from '../../../signer/keystore/files.ts'
import { SCRYPT_COST } from '../../../signer/keystore/keyFile.ts'
import {
  FIRST_ACCOUNT,
  openForeignFile,
  parseMnemonic,
  parsePrivateKey,
  requirePath,
} from '../../../wallet/parseKey.ts'
import { askSecrets } from '../../askSecret.ts'
import { fileDescriptor, obtainPassphrase, passphraseSource } from '../../passphrase.ts'
import type { Terminal } from '../../terminal.ts'
import { showNewKey } from './describeKey.ts'
import {
  entryAfter,
  findWallet,
  labelFor,
  type WalletOptions,
  walletOptions,
  withKeystore,
} from './openWallet.ts'

type Options = WalletOptions & {
  readonly label?: string
  readonly keystore?: string
  readonly keystorePassphraseFile?: string
  readonly keystorePassphraseFd?: number
  readonly privateKeyStdin?: boolean
  readonly mnemonicStdin?: boolean
  readonly path?: string
}

/** `rialto wallet import`: a key that was made elsewhere. */
export function importCommand(terminal: Terminal): Command {
  return walletOptions(
    new Command('import')
      .description(
        'bring a key in that another tool made; a secret comes by standard input, never as an argument',
      )
      .option('--label <agent>', 'the id of the agent that signs with it (default: the one without a key)')
      .option('--keystore <file>', 'a JSON keystore of geth, Clef, MyCrypto and others (version 3)')
      .option('--keystore-passphrase-file <path>', 'holds the passphrase of that file')
      .addOption(
        new Option('--keystore-passphrase-fd <n>', 'an inherited file descriptor to read it from')
          .argParser(fileDescriptor)
          .conflicts('keystorePassphraseFile'),
      )
      .addOption(
        new Option('--private-key-stdin', 'a private key in hex, on standard input').conflicts([
          'keystore',
          'mnemonicStdin',
        ]),
      )
      .addOption(new Option('--mnemonic-stdin', 'English words, on standard input').conflicts('keystore'))
      .option('--path <path>', `which key of the mnemonic (default: ${FIRST_ACCOUNT})`),
  ).action(async (options: Options) => {
    requireOrigin(options)
    const wallet = await findWallet(options)
    const label = labelFor(options.label, wallet)
    const derivationPath =
      options.mnemonicStdin === true ? requirePath(options.path ?? FIRST_ACCOUNT) : undefined
    const privateKey = await obtainKey(options, derivationPath)
    const key = await withKeystore(wallet, (keystore) => {
      keystore.store({
        label,
        privateKey,
        cost: SCRYPT_COST.real,
        ...(derivationPath === undefined ? {} : { derivationPath }),
      })
      return entryAfter(keystore, label)
    })
    showNewKey(terminal, key, wallet, options.json === true)
  })
}

async function obtainKey(options: Options, derivationPath: string | undefined): Promise<Hex> {
  if (options.keystore !== undefined) return openFile(options.keystore, options)
  if (options.privateKeyStdin === true) return parsePrivateKey(await readSecret('Private key'))
  return parseMnemonic(await readSecret('Mnemonic'), derivationPath ?? FIRST_ACCOUNT)
}

/** @throws {InvalidInputError} when none is named, or what belongs to another one is. */
function requireOrigin({ keystore, privateKeyStdin, mnemonicStdin, path }: Options): void {
  if (keystore === undefined && privateKeyStdin !== true && mnemonicStdin !== true)
    throw new InvalidInputError('It is not said where the key comes from.', {
      fix: 'Give --keystore <file>, --private-key-stdin or --mnemonic-stdin.',
    })
  if (path !== undefined && mnemonicStdin !== true)
    throw new InvalidInputError('--path can only be used with --mnemonic-stdin.')
}

async function openFile(
  path: string,
  { keystorePassphraseFile, keystorePassphraseFd }: Options,
): Promise<Hex> {
  const text = guarded(path, () => readFileSync(path, 'utf8'))
  const source = passphraseSource({
    ...(keystorePassphraseFile === undefined ? {} : { passphraseFile: keystorePassphraseFile }),
    ...(keystorePassphraseFd === undefined ? {} : { passphraseFd: keystorePassphraseFd }),
  })
  const passphrase = await obtainPassphrase(source, {
    of: basename(path),
    isNew: false,
    options: '--keystore-passphrase-file <path> or --keystore-passphrase-fd <n>',
  })
  try {
    return openForeignFile(path, text, passphrase)
  } finally {
    passphrase.fill(0)
  }
}

/** More than any key or mnemonic. */
const MAX_SECRET = 4096

/** A secret from standard input, which is not shown where that is a terminal. */
async function readSecret(what: string): Promise<string> {
  if (isatty(0)) {
    const [answer] = await askSecrets([what])
    const text = answer?.toString('utf8') ?? ''
    answer?.fill(0)
    return text
  }
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (length > MAX_SECRET) throw new InvalidInputError('What came on standard input is too long.')
  }
  if (length === 0)
    throw new InvalidInputError('Nothing came on standard input.', {
      fix: 'Pipe the secret in from a file or a password manager, or type it on a terminal.',
    })
  return Buffer.concat(chunks).toString('utf8')
}
