import { join, resolve } from 'node:path'
import { Command } from 'commander'
import { openIdentity } from '../../../inference/protocol/network/openIdentity.ts'
import type { Terminal } from '../../terminal.ts'

/** The identity of a role, in its folder. */
export const identityIn = (state: string) => openIdentity(join(resolve(state), 'identity'))

/** `rialto inference identity`: what the operators of a network tell one another before anything runs. */
export function identityCommand(terminal: Terminal): Command {
  return new Command('identity')
    .description('print the identity of the role in a folder, and make one where there is none')
    .requiredOption('--state <folder>', 'the folder of a gateway or node')
    .option('--json', 'print it as one JSON object')
    .action(async ({ state, json }: { state: string; json?: boolean }) => {
      const { identity } = await identityIn(state)
      terminal.out(json === true ? JSON.stringify({ identity: identity.text }) : identity.text)
    })
}
