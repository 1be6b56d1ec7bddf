import { join, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { InvalidInputError } from '../../../../runtime/core/errors.ts'
import { startGateway } from '../../../inference/gateway/startGateway.ts'
import { openSpendStores } from '../../../inference/openSpendStores.ts'
import type { Identity } from '../../../inference/protocol/network/identity.ts'
import type { Terminal } from '../../terminal.ts'
import { each, namedUrl, pinnedUrl, type RoleOptions, roleName, roleOptions } from './arguments.ts'
import { identityIn } from './identity.ts'
import { roleLogger, runRole } from './runRole.ts'

type Options = RoleOptions & {
  readonly state: string
  readonly name: string
  readonly mint: readonly { readonly name: string; readonly url: string }[]
  readonly node: readonly { readonly url: string; readonly identity: Identity }[]
  readonly database?: string
  readonly redis?: string
}

/** `rialto inference gateway`: takes tokens, hands sealed requests to nodes, gives change. */
export function gatewayCommand(terminal: Terminal): Command {
  const command = new Command('gateway').description(
    'run a gateway: it learns which model and which tokens, and neither who asks nor what',
  )
  for (const option of roleOptions('gateway', 4702)) command.addOption(option)
  const variable = (name: string) => `RIALTO_GATEWAY_${name}`
  return command
    .addOption(
      new Option('--state <folder>', 'where its identity, change keys and spent tokens are kept')
        .env(variable('STATE'))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--name <name>', 'of the gateway')
        .env(variable('NAME'))
        .argParser(roleName)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--mint <name=url>', 'a mint whose tokens are taken; may be given several times')
        .env(variable('MINTS'))
        .argParser(each(namedUrl))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--node <url#identity>', 'a node to hand requests to; may be given several times')
        .env(variable('NODES'))
        .argParser(each(pinnedUrl))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option(
        '--database <url>',
        'PostgreSQL for spent tokens, shared by the processes of one gateway',
      ).env('DATABASE_URL'),
    )
    .addOption(
      new Option(
        '--redis <url>',
        'Redis for replays and answers, shared by the processes of one gateway',
      ).env('REDIS_URL'),
    )
    .action(async (options: Options) => {
      const { database, redis } = options
      if ((database === undefined) !== (redis === undefined))
        throw new InvalidInputError(
          'Processes that share a gateway need PostgreSQL and Redis, and one is missing.',
          {
            fix: 'Give --database and --redis, or neither.',
          },
        )
      const state = resolve(options.state)
      const identity = await identityIn(state)
      const logger = roleLogger('gateway', options.log)
      const stores = await openSpendStores({
        directory: state,
        identity,
        ...(database === undefined || redis === undefined ? {} : { shared: { database, redis } }),
      })
      await runRole(terminal, {
        role: 'gateway',
        json: options.json === true,
        start: async () => {
          const gateway = await startGateway({
            host: options.host,
            port: options.port,
            state: join(state),
            name: options.name,
            identity,
            mints: options.mint,
            nodes: options.node,
            ...stores.parts,
            logger,
            withProcessMetrics: true,
          })
          return {
            url: gateway.url,
            close: async (grace?: number) => {
              await gateway.close(grace)
              await stores.close()
            },
          }
        },
        describe: () => ({ name: options.name, identity: identity.identity.text }),
      })
    })
}
