import { Command } from 'commander'
import { plainLine } from '../../../../runtime/core/plainLine.ts'
import type { Terminal } from '../../terminal.ts'
import { type ApprovalsOptions, approvalsOptions, atDesk, findApproval, summary } from './openApprovals.ts'

const MAX_REASON = 200

/** `rialto approvals reject`: the plan is never signed. It needs no key: to do nothing is always safe. */
export function rejectCommand(terminal: Terminal): Command {
  return approvalsOptions(
    new Command('reject')
      .description('have a plan never signed; the agent decides anew at the next block')
      .argument('<id>', 'the request, or the first digits of its id')
      .option('--reason <text>', 'why, for the record', 'rejected on the command line'),
  ).action(async (id: string, options: ApprovalsOptions & { readonly reason: string }) => {
    const { approval, changed } = await atDesk(options, async (desk) => {
      const { record } = await findApproval(desk, id)
      return desk.reject(record.id, plainLine(options.reason, MAX_REASON))
    })
    if (options.json === true) return terminal.out(JSON.stringify({ ...summary(approval), changed }))
    terminal.out(`${approval.record.id}: ${changed ? 'rejected' : 'was rejected before'}.`)
  })
}
