import { Command } from 'commander'
import { plainLine } from '../../../../runtime/core/plainLine.ts'
import { WHAT_IS_PROVEN } from '../../../safe/checkRole.ts'
import { checkRoleEverywhere } from '../../../safe/requireRole.ts'
import { openRpcs } from '../../start/safeAgents.ts'
import type { Terminal } from '../../terminal.ts'
import { findRole, type PolicyOptions, policyOptions } from './policyTarget.ts'

/** `rialto policy check`: whether what is on-chain is what the policy says. */
export function checkCommand(terminal: Terminal): Command {
  return policyOptions(
    new Command('check').description(
      'compare the policy with what is on-chain, and look for ways around the role; exit code 1 when they differ',
    ),
  ).action(async (options: PolicyOptions) => {
    const { agent, chain, role, protectorRole, otherRoles, book, safe } = await findRole(options)
    const { check, differences, hosts } = await checkRoleEverywhere({
      ...{ rpcs: openRpcs(chain), quorum: chain.quorum, role, protector: protectorRole, book },
      ...{ otherRoles, firstBlock: safe.firstBlock },
    })
    const { block, notes } = check
    const hasProtector = protectorRole.targets.length > 0
    if (differences.length > 0) process.exitCode = 1
    if (options.json === true) {
      const found = differences.map(({ code, line, change }) => ({ code, line, mendable: change !== null }))
      terminal.out(
        JSON.stringify({
          equal: differences.length === 0,
          block: { number: block.number.toString(), hash: block.hash },
          policy: role.policy,
          protector: protectorRole.policy,
          nodes: hosts,
          differences: found,
          notes,
        }),
      )
      return
    }
    for (const { line } of differences) terminal.out(plainLine(line))
    if (differences.length === 0)
      terminal.out(
        `At block ${block.number} the role of ${agent.id} is what its policy says (${role.policy.version}), and ${hasProtector ? 'so is its protector’s' : 'nobody is in a protector’s'}.`,
      )
    for (const note of notes) terminal.note(note)
    terminal.note(`Asked: ${hosts.join(', ')}. ${WHAT_IS_PROVEN}`)
  })
}
