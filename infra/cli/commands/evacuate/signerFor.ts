import type { Chain, Logger, Signer } from '../../../../runtime/core/ports.ts'
import type { ChainConfig, Config } from '../../../config/loadConfig.ts'
import { connectSigner } from '../../../signer/connectSigner.ts'
import { SignerError } from '../../../signer/errors.ts'
import { type PassphraseOptions, passphraseSource } from '../../passphrase.ts'
import type { Endings } from '../../start/endings.ts'
import { keystoreLabels, signerAccounts } from '../../start/signerAccounts.ts'
import { findPassphrase, openChainSigner } from '../../start/signerPassphrase.ts'
import { paint, type Terminal } from '../../terminal.ts'

/** The signer that runs, whoever started it; else one of our own. */
export async function signerFor(
  config: Config,
  settings: Extract<ChainConfig, { kind: 'rpc' }>,
  options: PassphraseOptions,
  parts: {
    readonly chain: Chain
    readonly logger: Logger
    readonly endings: Endings
    readonly terminal: Terminal
  },
): Promise<Signer> {
  const { directory, agents } = config
  const { chain, logger, endings, terminal } = parts
  try {
    const signer = await connectSigner({ directory })
    endings.add(() => signer.close())
    return signer
  } catch (error) {
    if (!(error instanceof SignerError) || error.code !== 'SIGNER_GONE') throw error
  }
  const source = passphraseSource(options, config.signer.passphrase)
  const passphrase = await findPassphrase(directory, keystoreLabels(agents), source)
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
  endings.add(() => signer.close())
  return signer
}
