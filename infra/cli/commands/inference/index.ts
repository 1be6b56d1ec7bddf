import { Command } from 'commander'
import { type CommandLoader, loadNamed } from '../../loadNamed.ts'
import type { Terminal } from '../../terminal.ts'

const commands: ReadonlyMap<string, CommandLoader> = new Map<string, CommandLoader>([
  ['ask', async () => (await import('./ask.ts')).askCommand],
  ['proxy', async () => (await import('./proxy.ts')).proxyCommand],
  ['verify', async () => (await import('./verify.ts')).verifyCommand],
  ['wallet', async () => (await import('./wallet.ts')).walletCommand],
  ['relay', async () => (await import('./relay.ts')).relayCommand],
  ['gateway', async () => (await import('./gateway.ts')).gatewayCommand],
  ['mint', async () => (await import('./mint.ts')).mintCommand],
  ['node', async () => (await import('./node.ts')).nodeCommand],
  ['identity', async () => (await import('./identity.ts')).identityCommand],
])

/** `rialto inference`: the private network, its use and each of its roles. */
export async function inferenceCommand(terminal: Terminal, [named]: readonly string[]): Promise<Command> {
  const command = new Command('inference').description(
    'the private inference network: use it, check it, or run one of its roles',
  )
  for (const make of await loadNamed(commands, named)) command.addCommand(await make(terminal, []))
  return command
}
