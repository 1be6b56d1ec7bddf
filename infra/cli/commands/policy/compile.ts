import { Command } from 'commander'
import { flatten } from '../../../safe/conditions.ts'
import { describeRole, roleToJson } from '../../../safe/describeRole.ts'
import type { Terminal } from '../../terminal.ts'
import { findRole, type PolicyOptions, policyOptions } from './policyTarget.ts'

/** `rialto policy compile`: a policy as a role. It asks no chain. */
export function compileCommand(terminal: Terminal): Command {
  return policyOptions(
    new Command('compile').description(
      'print the role that the policy comes to: what may be called, with what, and how much of each token',
    ),
  ).action(async (options: PolicyOptions) => {
    const { role, book } = await findRole(options)
    // What no modifier can hold is said now, and not when it is applied.
    for (const { functions } of role.targets) for (const { condition } of functions) flatten(condition)
    terminal.out(
      options.json === true ? JSON.stringify(roleToJson(role, book)) : describeRole(role, book).join('\n'),
    )
  })
}
