import { Command, Option } from 'commander'
import { InvalidInputError } from '../../../../runtime/core/errors.ts'
import { startNode } from '../../../inference/node/startNode.ts'
import { requestQuote } from '../../../inference/protocol/attestation/requestQuote.ts'
import type { Identity } from '../../../inference/protocol/network/identity.ts'
import type { Terminal } from '../../terminal.ts'
import { each, httpUrl, identityText, type RoleOptions, roleName, roleOptions, whole } from './arguments.ts'
import { identityIn } from './identity.ts'
import { roleLogger, runRole } from './runRole.ts'

type Options = RoleOptions & {
  readonly state: string
  readonly name: string
  readonly operator: string
  readonly gateway: readonly Identity[]
  readonly upstream: string
  readonly model: readonly string[]
  readonly upstreamModel?: string
  readonly privacy: 'private' | 'attested' | 'anonymized'
  readonly context: number
  readonly pricePrompt: number
  readonly priceCompletion: number
  readonly serves: readonly ('chat' | 'embeddings')[]
  readonly attestationCommand?: string
}

/** Dearer than any model: payment tokens for a million of its own. */
const MOST = 1_000_000_000

/** `rialto inference node`: an adapter in front of a model server. */
export function nodeCommand(terminal: Terminal): Command {
  const command = new Command('node').description(
    'run a node in front of an OpenAI-compatible server: it reads prompts, learns nothing of who asks, and keeps nothing',
  )
  for (const option of roleOptions('node', 4704)) command.addOption(option)
  const variable = (name: string) => `RIALTO_NODE_${name}`
  return command
    .addOption(
      new Option('--state <folder>', 'where its identity is kept')
        .env(variable('STATE'))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--name <name>', 'of the node')
        .env(variable('NAME'))
        .argParser(roleName)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--operator <name>', 'who runs it')
        .env(variable('OPERATOR'))
        .argParser(roleName)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--gateway <identity>', 'a gateway whose requests it serves; may be given several times')
        .env(variable('GATEWAYS'))
        .argParser(each(identityText))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--upstream <url>', 'the model server, with its /v1; its key in RIALTO_UPSTREAM_KEY')
        .env(variable('UPSTREAM'))
        .argParser(httpUrl)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--model <name>', 'a model to offer; may be given several times')
        .env(variable('MODELS'))
        .argParser(each((text) => text))
        .makeOptionMandatory(),
    )
    .addOption(new Option('--upstream-model <name>', 'its name at the model server, where it is another'))
    .addOption(
      new Option(
        '--privacy <word>',
        'what is promised: anonymized means that the server is an outside provider',
      )
        .choices(['private', 'attested', 'anonymized'])
        .env(variable('PRIVACY'))
        .default('private'),
    )
    .addOption(
      new Option('--context <n>', 'the context window in tokens')
        .argParser(whole('a number of tokens', 1, 100_000_000))
        .default(8_192),
    )
    .addOption(
      new Option('--price-prompt <n>', 'payment tokens for a million prompt tokens')
        .argParser(whole('a price', 0, MOST))
        .default(250),
    )
    .addOption(
      new Option('--price-completion <n>', 'payment tokens for a million completion tokens')
        .argParser(whole('a price', 0, MOST))
        .default(1_000),
    )
    .addOption(
      new Option('--serves <what...>', 'which of its interfaces')
        .choices(['chat', 'embeddings'])
        .default(['chat']),
    )
    .addOption(
      new Option(
        '--attestation-command <command>',
        'prints a TDX quote with its collateral as JSON; gets the report data as its last argument',
      ).env(variable('ATTESTATION_COMMAND')),
    )
    .action(async (options: Options) => {
      if (options.upstreamModel !== undefined && options.model.length > 1)
        throw new InvalidInputError('--upstream-model is the name of one model, and several are offered.', {
          fix: 'Run a node for each, or leave it out.',
        })
      const { attestationCommand } = options
      if (options.privacy === 'attested' && attestationCommand === undefined)
        throw new InvalidInputError('A node that promises "attested" needs a quote to show.', {
          fix: 'Name the command that makes one with --attestation-command.',
        })
      const identity = await identityIn(options.state)
      const key = process.env.RIALTO_UPSTREAM_KEY
      await runRole(terminal, {
        role: 'node',
        json: options.json === true,
        start: () =>
          startNode({
            host: options.host,
            port: options.port,
            name: options.name,
            operator: options.operator,
            identity,
            gateways: options.gateway,
            upstream: { url: options.upstream, ...(key === undefined ? {} : { key }) },
            models: options.model.map((id) => ({
              id,
              ...(options.upstreamModel === undefined ? {} : { upstreamModel: options.upstreamModel }),
              privacy: options.privacy,
              context: options.context,
              price: { prompt: options.pricePrompt, completion: options.priceCompletion },
              serves: [...options.serves],
            })),
            ...(attestationCommand === undefined
              ? {}
              : {
                  attestation: (reportData) =>
                    requestQuote({
                      command: ['/bin/sh', '-c', `${attestationCommand} "$1"`, 'sh'],
                      reportData,
                    }),
                }),
            logger: roleLogger('node', options.log),
            withProcessMetrics: true,
          }),
        describe: () => ({
          name: options.name,
          identity: identity.identity.text,
          models: options.model.join(','),
        }),
      })
    })
}
