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
    const { role, protectorRole, book } = await findRole(options)
    const roles = protectorRole.targets.length === 0 ? [role] : [role, protectorRole]
    // What no modifier can hold is said now, and not when it is applied.
    for (const { targets } of roles)
      for (const { functions } of targets) for (const { condition } of functions) flatten(condition)
    const [, second = null] = roles
    terminal.out(
      options.json === true
        ? JSON.stringify({
            ...roleToJson(role, book),
            protector: second === null ? null : roleToJson(second, book),
          })
        : roles.flatMap((each) => describeRole(each, book)).join('\n'),
    )
  })
}
