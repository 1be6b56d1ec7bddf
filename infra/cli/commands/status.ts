import { Command } from 'commander'
import { fetchStatus } from '../../api/client.ts'
import type { Status } from '../../api/status.ts'
import { findDirectory } from '../../config/findDirectory.ts'
import { loadEnvironment } from '../../config/loadEnvironment.ts'
import { money } from '../money.ts'
import type { Terminal } from '../terminal.ts'

/** `rialto status`: what the running runtime says of itself. */
export function statusCommand(terminal: Terminal): Command {
  return new Command('status')
    .description('say what the running runtime is doing')
    .option(
      '--config <file>',
      'the configuration that was started (default: rialto.config.ts in this folder)',
    )
    .option('--json', 'print it as one JSON object')
    .action(async ({ json, config }: { json?: boolean; config?: string }) => {
      const directory = await findDirectory(loadEnvironment(process.env), config)
      const status = await fetchStatus(directory)
      if (status === null) {
        process.exitCode = 1
        if (json === true) terminal.out(JSON.stringify({ running: false, directory }))
        else terminal.note(`Nothing runs on ${directory}. Start it with "rialto start".`)
        return
      }
      terminal.out(json === true ? JSON.stringify({ running: true, ...status }) : render(status))
    })
}

function render(status: Status): string {
  const { scenario } = status
  return [
    `rialto ${status.version}, process ${status.pid}: ${status.phase}, chain ${status.chainId}, block ${status.block ?? 'unknown'}`,
    ...(scenario === null
      ? []
      : [
          `scenario ${scenario.name}, seed ${scenario.seed}, ${scenario.blocks} blocks` +
            (scenario.passed === null ? '' : scenario.passed ? ': passed' : ': failed'),
        ]),
    ...status.agents.flatMap((agent) => [
      `${agent.id} for ${agent.account}: ${agent.tradingState}, health factor ${agent.healthFactor ?? 'unknown'}, equity ${agent.equityUsd === null ? 'unknown' : `$${money(agent.equityUsd)}`}`,
      ...(agent.graduation === undefined
        ? []
        : [
            `  step ${agent.graduation.step + 1} of ${agent.graduation.of}, in mode ${agent.graduation.mode}` +
              (agent.graduation.nextInDays === null
                ? ''
                : `; the next in ${agent.graduation.nextInDays} days without a denial or deviation`) +
              (agent.graduation.signerDays === null
                ? ''
                : `, by the signer's count of ${agent.graduation.signerDays}`),
          ]),
      ...(agent.lastDecision === null
        ? []
        : [
            `  block ${agent.lastDecision.block}: ${agent.lastDecision.intent}, ${agent.lastDecision.reason}`,
          ]),
    ]),
    `in flight: ${status.inFlight}`,
  ].join('\n')
}
