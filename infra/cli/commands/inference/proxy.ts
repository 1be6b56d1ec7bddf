import { Command, Option } from 'commander'
import { joinNetwork } from '../../../inference/joinNetwork.ts'
import type { Privacy } from '../../../inference/protocol/network/privacy.ts'
import { startProxy } from '../../../inference/proxy/startProxy.ts'
import type { LogLevel } from '../../../telemetry/createLogger.ts'
import type { Terminal } from '../../terminal.ts'
import { whole } from './arguments.ts'
import { findOrStartNetwork, type NetworkSelection, networkOptions, privacyOption } from './network.ts'
import { roleLogger, runRole } from './runRole.ts'

type Options = NetworkSelection & {
  readonly port: number
  readonly privacy: Exclude<Privacy, 'local'>
  readonly log: LogLevel
  readonly json?: boolean
}

/** `rialto inference proxy`: the network for any OpenAI client on this machine. */
export function proxyCommand(terminal: Terminal): Command {
  return networkOptions(
    new Command('proxy')
      .description('serve the network as an OpenAI-compatible URL on loopback')
      .addOption(
        new Option('--port <n>', '0 takes any that is free')
          .env('RIALTO_PROXY_PORT')
          .argParser(whole('a port', 0, 65_535))
          .default(4700),
      )
      .addOption(privacyOption())
      .addOption(
        new Option('--log <level>', 'how much goes to standard error')
          .choices(['debug', 'info', 'warn', 'error'])
          .default('info'),
      )
      .option('--json', 'print where it listens as one JSON object')
      .addHelpText(
        'after',
        '\nRIALTO_PROXY_KEY makes clients show that key as their API key. Without it any program of this machine may ask.',
      ),
  ).action(async (options: Options) => {
    const found = await findOrStartNetwork(options, terminal)
    try {
      const { walletPassphrase } = found.environment
      const logger = roleLogger('proxy', options.log)
      const key = process.env.RIALTO_PROXY_KEY
      await runRole(terminal, {
        role: 'proxy',
        json: options.json === true,
        start: async () => {
          const network = await joinNetwork({
            directory: found.directory,
            purse: 'proxy',
            network: found.network,
            privacy: options.privacy,
            ...(walletPassphrase === undefined ? {} : { passphrase: walletPassphrase }),
            // Each line says what a request cost and which way it went: to the one who pays, and to nobody else.
            onPath: ({ kind, status, code, model, node, privacy, spent, returned, receipt }) =>
              logger.info(
                // What names no model that a node serves may be anything that somebody pasted.
                { kind, status, code, ...(node && { model }), node, privacy, spent, returned, receipt },
                'request',
              ),
            onNotice: ({ what, error }) =>
              logger.warn({ what, code: (error as { code?: unknown }).code ?? 'unknown' }, 'trouble'),
          })
          try {
            await network.ready()
            const proxy = await startProxy({
              fetch: network.fetch,
              port: options.port,
              ...(key === undefined ? {} : { key }),
            })
            return {
              url: `${proxy.url}/v1`,
              async close(grace?: number) {
                await proxy.close(grace)
                await network.close()
              },
            }
          } catch (error) {
            await network.close()
            throw error
          }
        },
        describe: () => ({ privacy: options.privacy }),
      })
    } finally {
      await found.close()
    }
  })
}
