import { Command } from 'commander'
import { formatEther } from 'viem'
import { InvalidInputError } from '../../../runtime/core/errors.ts'
import { askQuantity, costOf, requireIdle, sendFromOwner } from '../../chain/sendFromOwner.ts'
import { loadChain } from '../../config/loadConfig.ts'
import { loadEnvironment } from '../../config/loadEnvironment.ts'
import { NotDeployedError } from '../../contracts/errors.ts'
import { type Deployment, planDeployment } from '../../contracts/planDeployment.ts'
import { passphraseFdOption, passphraseFileOption } from '../passphrase.ts'
import type { Terminal } from '../terminal.ts'
import { openRpc } from './policy/policyTarget.ts'
import { findWallet, type WalletOptions, withKey } from './wallet/openWallet.ts'

type Options = WalletOptions & { readonly send?: boolean; readonly label?: string }

/** `rialto contracts`: the contracts of ours that a plan needs, on the configured chain. */
export function contractsCommand(terminal: Terminal): Command {
  return new Command('contracts')
    .description(
      'print where the contracts of Rialto are on the configured chain, and deploy what is missing when told to',
    )
    .option('--send', 'deploy what is missing: sign with the key of --label, which pays, and send')
    .option('--label <label>', 'any key of the keystore that has coins, for --send')
    .addOption(passphraseFileOption())
    .addOption(passphraseFdOption())
    .option('--config <file>', 'the configuration (default: rialto.config.ts in this folder)')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options) => run(terminal, options))
}

async function run(terminal: Terminal, options: Options): Promise<void> {
  if (options.send === true && options.label === undefined)
    throw new InvalidInputError('It is not said with whose key to send.', {
      fix: 'Name a key that has coins with --label; rialto wallet list shows the labels.',
    })
  const chain = await loadChain(options.config, loadEnvironment(process.env))
  if (chain.kind !== 'rpc')
    throw new InvalidInputError('The local world has the contracts of Rialto from its first block.', {
      code: 'LOCAL_WORLD',
      fix: 'Set chain to { kind: "rpc", … }.',
    })
  const rpc = openRpc(chain)
  const { addressBook: book, chainId } = chain
  const before = await planDeployment(rpc, book)
  const { transaction } = before
  if (transaction === null || options.send !== true) {
    show(terminal, options, before, null)
    if (transaction !== null) terminal.note('Nothing was sent. Deploy with --send --label <label>.')
    return
  }
  const wallet = await findWallet(options)
  const hash = await withKey(wallet, options.label ?? '', async (payer) => {
    const refused = (why: string) => new NotDeployedError(why)
    const nextCommand = 'rialto contracts'
    await requireIdle(rpc, payer.address, nextCommand)
    const { gas, maxFeePerGas } = await costOf({ rpc, ...transaction, refused }, payer.address)
    const [most, balance] = [
      gas * maxFeePerGas,
      await askQuantity(rpc, 'eth_getBalance', [payer.address, 'latest']),
    ]
    if (balance < most)
      throw new InvalidInputError(
        `${payer.address} has ${formatEther(balance)} coins, and to deploy takes up to ${formatEther(most)}.`,
        { code: 'NO_COINS', fix: `Send it at least ${formatEther(most - balance)} more.` },
      )
    terminal.note(`${payer.address} pays at most ${formatEther(most)} coins.`)
    return (await sendFromOwner({ rpc, ...transaction, refused, chainId, owner: payer, nextCommand })).hash
  })
  terminal.note(`Transaction ${hash} is mined.`)
  const after = await planDeployment(rpc, book)
  show(terminal, options, after, hash)
  if (after.transaction !== null)
    throw new NotDeployedError(`transaction ${hash} is mined, and some are missing`)
}

function show(
  terminal: Terminal,
  { json }: Options,
  { contracts, transaction }: Deployment,
  hash: string | null,
) {
  if (json === true) {
    terminal.out(JSON.stringify({ contracts, transaction, transactionHash: hash }))
    return
  }
  for (const { name, address, isThere } of contracts)
    terminal.out(`${name.padEnd(12)} ${address} ${isThere ? 'is there' : 'is not deployed yet'}`)
  if (contracts.every(({ isInBook }) => isInBook)) return
  const fields = contracts.map(({ name, address }) => `"${name}": "${address}"`)
  terminal.note(`For the address book: "rialto": { ${fields.join(', ')} }`)
}
