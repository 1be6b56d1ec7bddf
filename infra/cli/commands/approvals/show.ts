import { Command } from 'commander'
import { describeCall } from '../../../approvals/describePlan.ts'
import { encodeView } from '../../../approvals/view.ts'
import type { Terminal } from '../../terminal.ts'
import {
  type ApprovalsOptions,
  approvalsOptions,
  atDesk,
  findApproval,
  findBook,
  summary,
} from './openApprovals.ts'
import { renderRequest } from './render.ts'

/** `rialto approvals show`: everything that is signed with an approval, decoded here from the plan itself. */
export function showCommand(terminal: Terminal): Command {
  return approvalsOptions(
    new Command('show')
      .description('show what a plan does, what it costs, and who approved it')
      .argument('<id>', 'the request, or the first digits of its id'),
  ).action(async (id: string, options: ApprovalsOptions) => {
    const view = await atDesk(options, (desk) => findApproval(desk, id))
    const book = await findBook(options, view)
    const { plan } = view.record
    terminal.out(
      options.json === true
        ? JSON.stringify({
            ...summary(view),
            calls: plan.calls.map((call) => describeCall(call, plan, book)),
            request: encodeView(view),
          })
        : renderRequest(view, book),
    )
  })
}
