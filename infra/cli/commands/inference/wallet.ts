import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import { InvalidInputError } from '../../../../runtime/core/errors.ts'
import { findDirectory } from '../../../config/findDirectory.ts'
import { loadEnvironment } from '../../../config/loadEnvironment.ts'
import { recoverWallet } from '../../../inference/client/recoverWallet.ts'
import { joinNetwork } from '../../../inference/joinNetwork.ts'
import { openPurse } from '../../../inference/openPurse.ts'
import type { Terminal } from '../../terminal.ts'
import { roleName } from './arguments.ts'
import { findOrStartNetwork, type NetworkSelection, networkOptions } from './network.ts'

type Options = NetworkSelection & { readonly purse: string; readonly json?: boolean }

const purseOption = (): Option =>
  new Option('--purse <name>', 'whose: agents, proxy or ask').argParser(roleName).default('agents')

/** `rialto inference wallet`: the tokens that pay for inference. */
export function walletCommand(terminal: Terminal): Command {
  return new Command('wallet')
    .description('look at the tokens of a purse, back them up and recover them')
    .addCommand(balanceCommand(terminal))
    .addCommand(seedCommand(terminal))
    .addCommand(recoverCommand(terminal))
}

function balanceCommand(terminal: Terminal): Command {
  return networkOptions(
    new Command('balance')
      .description('how many tokens are ready, requested, being spent and spent')
      .addOption(purseOption())
      .option('--json', 'print it as one JSON object'),
  ).action(async (options: Options) => {
    const found = await findOrStartNetwork(options, terminal)
    try {
      const { walletPassphrase } = found.environment
      const network = await joinNetwork({
        directory: found.directory,
        purse: options.purse,
        network: found.network,
        privacy: 'private',
        ...(walletPassphrase === undefined ? {} : { passphrase: walletPassphrase }),
      })
      try {
        const { ready, requested, spending, spent } = await network.balance()
        terminal.out(
          options.json === true
            ? JSON.stringify({ purse: options.purse, ready, requested, spending, spent })
            : `${options.purse}: ${ready} ready, ${requested} requested, ${spending} being spent, ${spent} spent`,
        )
      } finally {
        await network.close()
      }
    } finally {
      await found.close()
    }
  })
}

function seedCommand(terminal: Terminal): Command {
  return new Command('seed')
    .description('print the seed, from which all tokens can be recovered: who has it can spend them')
    .addOption(purseOption())
    .option('--config <file>', 'the configuration (default: rialto.config.ts in this folder)')
    .action(async (options: { readonly purse: string; readonly config?: string }) => {
      const environment = loadEnvironment(process.env)
      const directory = join(await findDirectory(environment, options.config), 'inference', 'purses')
      if (!existsSync(join(directory, `${options.purse}.wallet`)))
        throw new InvalidInputError(`There is no purse ${options.purse} in ${directory}.`, {
          fix: 'Name one that is there with --purse.',
        })
      const { walletPassphrase } = environment
      const purse = await openPurse({
        directory,
        name: options.purse,
        ...(walletPassphrase === undefined ? {} : { passphrase: walletPassphrase }),
      })
      terminal.out(Buffer.from(purse.wallet.exportSeed()).toString('hex'))
      terminal.note(
        `Keep ${options.purse}.account beside it: the mint gives tokens again to that account alone.`,
      )
      await purse.close()
    })
}

function recoverCommand(terminal: Terminal): Command {
  return networkOptions(
    new Command('recover')
      .description('find the tokens of a lost wallet again, from its seed and its account file')
      .addOption(purseOption())
      .requiredOption('--seed-file <file>', 'holds the seed in hex, as "wallet seed" printed it')
      .option('--json', 'print what was found as one JSON object'),
  ).action(async (options: Options & { readonly seedFile: string }) => {
    const seed = await readSeed(options.seedFile)
    const found = await findOrStartNetwork(options, terminal)
    try {
      const { walletPassphrase } = found.environment
      const purse = await openPurse({
        directory: join(found.directory, 'inference', 'purses'),
        name: options.purse,
        seed,
        ...(walletPassphrase === undefined ? {} : { passphrase: walletPassphrase }),
      })
      try {
        if (!Buffer.from(purse.wallet.exportSeed()).equals(seed))
          throw new InvalidInputError(`The purse ${options.purse} is there, and has another seed.`, {
            fix: 'Name a purse that is not there, with --purse, or move the other one away.',
          })
        const { network } = found
        const { bought, change } = await recoverWallet({
          relay: network.relays,
          gateway: network.gateway,
          wallet: purse.wallet,
          mint: { ...network.mint, account: purse.account },
          privacy: 'private',
        })
        terminal.out(
          options.json === true
            ? JSON.stringify({ purse: options.purse, bought, change })
            : `${options.purse}: found ${bought} tokens that were bought and ${change} that came back as change`,
        )
      } finally {
        await purse.close()
      }
    } finally {
      await found.close()
    }
  })
}

/** @throws {InvalidInputError} which never holds what the file holds */
async function readSeed(path: string): Promise<Buffer> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new InvalidInputError(`The seed file ${path} cannot be read.`, {
      fix: 'Name a file that can be read.',
      cause,
    })
  })
  if (!/^[0-9a-f]{64}$/.test(text.trim()))
    throw new InvalidInputError(`${path} holds no seed: 64 hex digits.`, {
      fix: 'Give the file that "rialto inference wallet seed" was written to.',
    })
  return Buffer.from(text.trim(), 'hex')
}
