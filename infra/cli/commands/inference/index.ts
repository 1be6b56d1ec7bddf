import { Command } from 'commander'
import type { Terminal } from '../../terminal.ts'
import { askCommand } from './ask.ts'
import { gatewayCommand } from './gateway.ts'
import { identityCommand } from './identity.ts'
import { mintCommand } from './mint.ts'
import { nodeCommand } from './node.ts'
import { proxyCommand } from './proxy.ts'
import { relayCommand } from './relay.ts'
import { verifyCommand } from './verify.ts'
import { walletCommand } from './wallet.ts'

/** `rialto inference`: the private network, its use and each of its roles. */
export function inferenceCommand(terminal: Terminal): Command {
  const command = new Command('inference').description(
    'the private inference network: use it, check it, or run one of its roles',
  )
  for (const make of [
    askCommand,
    proxyCommand,
    verifyCommand,
    walletCommand,
    relayCommand,
    gatewayCommand,
    mintCommand,
    nodeCommand,
    identityCommand,
  ])
    command.addCommand(make(terminal))
  return command
}
