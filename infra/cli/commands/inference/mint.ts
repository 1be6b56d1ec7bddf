import { resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { z } from 'zod'
import { ConfigError } from '../../../config/errors.ts'
import { readJsonFile } from '../../../config/readJsonFile.ts'
import { shownPath } from '../../../config/shownPath.ts'
import { startMint } from '../../../inference/mint/startMint.ts'
import type { Identity } from '../../../inference/protocol/network/identity.ts'
import type { Terminal } from '../../terminal.ts'
import { each, pinnedUrl, type RoleOptions, roleName, roleOptions, whole } from './arguments.ts'
import { roleLogger, runRole } from './runRole.ts'

type Witnessed = { readonly name: string; readonly url: string; readonly identity: Identity }

type Options = RoleOptions & {
  readonly state: string
  readonly name: string
  readonly faucet?: number
  readonly accounts?: string
  readonly witness?: readonly Witnessed[]
}

/** `name=url#identity`. */
function witnessed(text: string): Witnessed {
  const at = text.indexOf('=')
  if (at < 0)
    throw new InvalidArgumentError('It must be a gateway, like gate=https://gate.example.org#<identity>.')
  return { name: roleName(text.slice(0, at)), ...pinnedUrl(text.slice(at + 1)) }
}

const accountsFile = z.record(
  z.string().regex(/^[0-9a-f]{64}$/, { error: 'is no SHA-256 of an account key in hex' }),
  z.int().min(0).max(1_000_000_000),
)

async function loadAccounts(path: string): Promise<Readonly<Record<string, number>>> {
  const shown = shownPath(path)
  const json = await readJsonFile(
    'the accounts',
    path,
    (issue, cause) => new ConfigError([issue], shown, cause),
  )
  const parsed = accountsFile.safeParse(json.value)
  if (parsed.success) return parsed.data
  throw new ConfigError(
    parsed.error.issues.map(({ path: at, message }) => ({
      path: at as (string | number)[],
      message,
      line: json.lineOf(at as (string | number)[]),
    })),
    shown,
  )
}

/** `rialto inference mint`: sells tokens that it does not recognise when they are spent. */
export function mintCommand(terminal: Terminal): Command {
  const command = new Command('mint').description(
    'run a mint: it learns who buys how many tokens, and not where they are spent',
  )
  for (const option of roleOptions('mint', 4703)) command.addOption(option)
  const variable = (name: string) => `RIALTO_MINT_${name}`
  return command
    .addOption(
      new Option('--state <folder>', 'where its keys and accounts are kept')
        .env(variable('STATE'))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--name <name>', 'of the mint: a token is for one mint and gateway')
        .env(variable('NAME'))
        .argParser(roleName)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--faucet <n>', 'tokens that an account gets when it is first seen (default: none)')
        .env(variable('FAUCET'))
        .argParser(whole('a number of tokens', 1, 1_000_000_000)),
    )
    .addOption(
      new Option(
        '--accounts <file>',
        'JSON: how many tokens each account was sold, by the SHA-256 of its key',
      ).env(variable('ACCOUNTS')),
    )
    .addOption(
      new Option(
        '--witness <name=url#identity>',
        'a gateway whose directory it keeps for clients to compare; may be given several times',
      )
        .env(variable('WITNESS'))
        .argParser(each(witnessed)),
    )
    .action(async (options: Options) => {
      const { faucet, witness = [] } = options
      const accounts = options.accounts === undefined ? undefined : await loadAccounts(options.accounts)
      await runRole(terminal, {
        role: 'mint',
        json: options.json === true,
        start: () =>
          startMint({
            host: options.host,
            port: options.port,
            state: resolve(options.state),
            name: options.name,
            ...(faucet === undefined ? {} : { faucet }),
            ...(accounts === undefined ? {} : { accounts }),
            witness: Object.fromEntries(witness.map(({ name, ...where }) => [name, where])),
            logger: roleLogger('mint', options.log),
            withProcessMetrics: true,
          }),
        describe: () => ({ name: options.name, faucet: String(faucet ?? 0) }),
      })
    })
}
