import { Command } from 'commander'
import type { Terminal } from '../../terminal.ts'
import { type ApprovalsOptions, approvalsOptions, atDesk, summary } from './openApprovals.ts'
import { renderLine } from './render.ts'

/** `rialto approvals list`: what people are asked. */
export function listCommand(terminal: Terminal): Command {
  return approvalsOptions(
    new Command('list')
      .description('list the plans that wait for a person')
      .option('--all', 'those that have ended, too'),
  ).action(async (options: ApprovalsOptions & { readonly all?: boolean }) => {
    const views = await atDesk(options, (desk) => desk.list(options.all === true))
    if (options.json === true) return terminal.out(JSON.stringify({ approvals: views.map(summary) }))
    for (const view of views) terminal.out(renderLine(view))
    if (views.length === 0)
      terminal.out(options.all === true ? 'Nobody was ever asked.' : 'Nobody is asked about anything.')
  })
}
