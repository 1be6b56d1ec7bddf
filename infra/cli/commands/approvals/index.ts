import { Command } from 'commander'
import type { Terminal } from '../../terminal.ts'
import { approveCommand } from './approve.ts'
import { listCommand } from './list.ts'
import { rejectCommand } from './reject.ts'
import { showCommand } from './show.ts'

/** `rialto approvals`: what the policy asks a person about. */
export function approvalsCommand(terminal: Terminal): Command {
  return new Command('approvals')
    .description('see the plans that wait for a person, and approve or reject them')
    .addCommand(listCommand(terminal))
    .addCommand(showCommand(terminal))
    .addCommand(approveCommand(terminal))
    .addCommand(rejectCommand(terminal))
}
