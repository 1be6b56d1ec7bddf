import { Command, Option } from 'commander'
import { startRelay } from '../../../inference/relay/startRelay.ts'
import type { Terminal } from '../../terminal.ts'
import { each, namedUrl, type RoleOptions, roleOptions } from './arguments.ts'
import { roleLogger, runRole } from './runRole.ts'

type Options = RoleOptions & { readonly gateway: readonly ReturnType<typeof namedUrl>[] }

/** `rialto inference relay`: learns who asks, and nothing else. */
export function relayCommand(terminal: Terminal): Command {
  const command = new Command('relay').description(
    'run a relay: it passes sealed requests on to its gateways and learns who asks, when, and a padded size',
  )
  for (const option of roleOptions('relay', 4701)) command.addOption(option)
  return command
    .addOption(
      new Option('--gateway <name=url>', 'a gateway to pass requests on to; may be given several times')
        .env('RIALTO_RELAY_GATEWAYS')
        .argParser(each(namedUrl))
        .makeOptionMandatory(),
    )
    .action((options: Options) =>
      runRole(terminal, {
        role: 'relay',
        json: options.json === true,
        start: () =>
          startRelay({
            host: options.host,
            port: options.port,
            gateways: Object.fromEntries(options.gateway.map(({ name, url }) => [name, url])),
            logger: roleLogger('relay', options.log),
            withProcessMetrics: true,
          }),
        describe: () => ({ gateways: options.gateway.map(({ name }) => name).join(',') }),
      }),
    )
}
