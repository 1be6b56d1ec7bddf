import { setTimeout as delay } from 'node:timers/promises'
import { Command } from 'commander'
import { InvalidInputError } from '../../../runtime/core/errors.ts'
import { openChain } from '../../chain/openChain.ts'
import { type Config, loadConfig } from '../../config/loadConfig.ts'
import { loadEnvironment } from '../../config/loadEnvironment.ts'
import { prepareDirectory } from '../../directory.ts'
import { type ConnectedSigner, connectSigner } from '../../signer/connectSigner.ts'
import { takePassphrase } from '../../signer/keystore/passphrase.ts'
import { openLog } from '../openLog.ts'
import {
  type PassphraseOptions,
  passphraseFdOption,
  passphraseFileOption,
  passphraseSource,
} from '../passphrase.ts'
import { createEndings } from '../start/endings.ts'
import { interruption } from '../start/interruption.ts'
import { requireMemberKeys } from '../start/requireMemberKeys.ts'
import { keystoreLabels, signerAccounts } from '../start/signerAccounts.ts'
import { findPassphrase, openChainSigner } from '../start/signerPassphrase.ts'
import { paint, type Terminal } from '../terminal.ts'

type Options = PassphraseOptions & { readonly config?: string; readonly json?: boolean }

/** `rialto signer`: the one process with keys by itself, so that the runtime is started and stopped without them. */
export function signerCommand(terminal: Terminal): Command {
  return new Command('signer')
    .description(
      'open the keys of the configuration once and keep the signer running, for a "rialto start" that is given no passphrase; here alone the passphrase may come from RIALTO_KEYSTORE_PASSPHRASE',
    )
    .option('--config <file>', 'the configuration (default: rialto.config.ts in this folder)')
    .addOption(passphraseFileOption())
    .addOption(passphraseFdOption())
    .option('--json', 'print what it serves as one JSON object')
    .action(async (options: Options) => {
      // Taken out of the environment before anything else could see it.
      const given = takePassphrase(process.env)
      try {
        await keep(await loadConfig(options.config, loadEnvironment(process.env)), options, given, terminal)
      } finally {
        given?.fill(0)
      }
    })
}

async function keep(
  config: Config,
  options: Options,
  given: Buffer | null,
  terminal: Terminal,
): Promise<void> {
  const { chain: settings, directory, agents } = config
  if (settings.kind === 'world')
    throw new InvalidInputError('The local world has a signer of its own.', {
      fix: 'Name a chain in the configuration.',
    })
  const source = passphraseSource(options, config.signer.passphrase)
  if (given !== null && source !== null)
    throw new InvalidInputError('The passphrase is given twice: by the environment, and otherwise.', {
      fix: 'Unset RIALTO_KEYSTORE_PASSPHRASE, or leave the other out.',
    })
  const endings = createEndings(terminal.note)
  const stop = interruption()
  endings.add(() => stop.dispose())
  try {
    requireMemberKeys(config)
    await prepareDirectory(directory)
    const logger = openLog(directory, terminal)
    endings.add(() => logger.close())
    const passphrase =
      given === null
        ? await findPassphrase(directory, keystoreLabels(agents), source)
        : { kind: 'bytes' as const, bytes: given }
    const chain = await openChain(settings, logger)
    const signer = await openChainSigner(
      {
        directory,
        chainId: settings.chainId,
        genesisHash: await chain.genesisHash(),
        book: settings.addressBook,
        logger,
        accounts: signerAccounts(agents),
      },
      passphrase,
      (line) => terminal.note(`  ${paint('yellow', '!')} ${line}`),
    )
    // Held by a second hand while the first lets go: a runtime that starts becomes its owner.
    const held = await connectSigner({ directory })
    endings.add(() => held.close())
    await signer.close()
    const { accounts } = signer.started
    if (options.json === true) terminal.out(JSON.stringify({ chainId: settings.chainId, accounts }))
    else
      terminal.note(
        `signing for ${accounts.map(({ label, address }) => `${label} ${address}`).join(', ')} on chain ${settings.chainId}, until Ctrl-C`,
      )
    await untilEither(stop.signal, held)
  } finally {
    await endings.run()
  }
}

/** Milliseconds between two looks at whether the signer is still there. */
const LOOK_EVERY = 1_000

/** Ends when it is told to, or when the signer has ended without it: a runtime of another configuration ends it. */
async function untilEither(signal: AbortSignal, signer: Pick<ConnectedSigner, 'accounts'>): Promise<void> {
  while (!signal.aborted) {
    await signer.accounts()
    // Being told to end is no failure of the pause.
    await delay(LOOK_EVERY, undefined, { signal }).catch(() => undefined)
  }
}
