import { Command, Option } from 'commander'
import { z } from 'zod'
import { RialtoError } from '../../../../runtime/core/errors.ts'
import type { PathReport } from '../../../inference/client/pathReport.ts'
import { joinNetwork } from '../../../inference/joinNetwork.ts'
import type { Privacy } from '../../../inference/protocol/network/privacy.ts'
import { problemSchema } from '../../../inference/protocol/network/problem.ts'
import { LOOPBACK_CAVEAT } from '../../../inference/startLoopbackNetwork.ts'
import { paint, printable, type Terminal } from '../../terminal.ts'
import { whole } from './arguments.ts'
import { findOrStartNetwork, type NetworkSelection, networkOptions, privacyOption } from './network.ts'

type Options = NetworkSelection & {
  readonly model?: string
  readonly privacy: Exclude<Privacy, 'local'>
  readonly maxTokens: number
  readonly json?: boolean
}

/** The network answered with a refusal. */
class AskError extends RialtoError {
  override readonly name = 'AskError'
}

const completion = z.object({
  model: z.string(),
  choices: z
    .array(z.object({ message: z.object({ content: z.string().nullish(), refusal: z.string().nullish() }) }))
    .min(1),
})

/** `rialto inference ask`: one question, and who learned what of it. */
export function askCommand(terminal: Terminal): Command {
  return networkOptions(
    new Command('ask')
      .description('ask one question, and show the path that it took, what each role saw, and what it cost')
      .argument('<question>', 'what to ask')
      .option('--model <name>', 'which model (default: the only one that is served)')
      .addOption(privacyOption())
      .addOption(
        new Option('--max-tokens <n>', 'the longest answer, in tokens of the model')
          .argParser(whole('a number of tokens', 1, 1_000_000))
          .default(512),
      )
      .option('--json', 'print answer, path and what was seen as one JSON object'),
  ).action(async (question: string, options: Options) => {
    const found = await findOrStartNetwork(options, terminal)
    try {
      const reports: PathReport[] = []
      const { walletPassphrase } = found.environment
      const network = await joinNetwork({
        directory: found.directory,
        purse: 'ask',
        network: found.network,
        privacy: options.privacy,
        ...(walletPassphrase === undefined ? {} : { passphrase: walletPassphrase }),
        onPath: (report) => reports.push(report),
      })
      try {
        await network.ready()
        const model = options.model ?? onlyModel((await network.catalogue()).map((entry) => entry.model))
        const response = await network.fetch('http://private.invalid/v1/chat/completions', {
          method: 'POST',
          body: JSON.stringify({
            model,
            messages: [{ role: 'user', content: question }],
            max_tokens: options.maxTokens,
          }),
        })
        const answer = readAnswer(response.status, await response.text())
        const report = reports.at(-1)
        if (report === undefined) throw new AskError('ASK_NO_PATH', 'The network told of no path.')
        const { ready } = await network.balance()
        const seen = whatEachSaw(report)
        if (options.json === true)
          terminal.out(
            JSON.stringify({ answer, path: report, seen, balance: ready, anonymous: !found.isLoopback }),
          )
        else {
          terminal.out(printable(answer))
          terminal.note(render(report, seen, ready))
          if (found.isLoopback) terminal.note(`\n  ${paint('yellow', LOOPBACK_CAVEAT)}`)
        }
      } finally {
        await network.close()
      }
    } finally {
      await found.close()
    }
  })
}

function onlyModel(models: readonly string[]): string {
  const [only, ...others] = new Set(models)
  if (only !== undefined && others.length === 0) return only
  throw new AskError(
    'ASK_MODEL',
    models.length === 0
      ? 'The network serves no model now.'
      : 'The network serves several models, and none is named.',
    {
      fix:
        models.length === 0
          ? 'Try again later.'
          : `Name one with --model: ${[...new Set(models)].join(', ')}.`,
    },
  )
}

/** @throws {AskError} with the network's own words for a refusal */
function readAnswer(status: number, text: string): string {
  const body = parse(text)
  const answered = completion.safeParse(body)
  const message = answered.data?.choices[0]?.message
  if (status === 200 && message !== undefined) return message.content ?? message.refusal ?? ''
  const problem = problemSchema.safeParse(body).data?.error
  throw new AskError('ASK_REFUSED', problem?.message ?? `The network answered with status ${status}.`, {
    details: { status, code: problem?.code },
    ...(problem?.rialto?.spent === undefined
      ? {}
      : { fix: `${problem.rialto.spent} tokens were spent, ${problem.rialto.returned ?? 0} came back.` }),
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

type Seen = Readonly<Record<'relay' | 'gateway' | 'node' | 'mint', { sees: string; never: string }>>

/** What each role saw of this one request. */
function whatEachSaw({ sizes, model, node, tries }: PathReport): Seen {
  const paid = tries.reduce((sum, each) => sum + each.paid, 0)
  const used = tries.reduce((sum, each) => sum + each.paid - each.returned, 0)
  return {
    relay: {
      sees: `your address, the time, ${sizes.outer} bytes out and ${sizes.answer} back`,
      never: 'model, tokens, node, question, answer',
    },
    gateway: {
      sees: `${model} at ${node ?? 'no node'}, ${paid} anonymous token${paid === 1 ? '' : 's'}, ${used} used, ${sizes.inner} sealed bytes`,
      never: 'your address or account, question, answer',
    },
    node: { sees: 'question and answer', never: 'your address, account, payments' },
    mint: {
      sees: 'how many tokens your account buys and when, and that your address compared keys just now',
      never: 'where any token is spent',
    },
  }
}

function render(report: PathReport, seen: Seen, balance: number): string {
  const dim = (text: string) => paint('dim', text)
  const host = (url: string | null) => (url === null ? 'none' : new URL(url).host)
  const rows = Object.entries(seen).map(
    ([role, { sees, never }]) => `           ${role.padEnd(8)} ${sees}; ${dim(`never ${never}`)}`,
  )
  return [
    '',
    `  ${dim('path')}     you → relay ${host(report.relay)} → gateway ${report.gateway} → ${report.node} (${report.operator})`,
    `  ${dim('model')}    ${report.model}, ${report.privacy}`,
    `  ${dim('seen by')}`,
    ...rows,
    `  ${dim('cost')}     ${report.spent} token${report.spent === 1 ? '' : 's'}, ${report.returned} came back as change; receipt ${report.receipt}; ${balance} left`,
    `  ${dim('time')}     ${report.firstByteMs ?? '?'} ms until the answer began`,
  ].join('\n')
}
