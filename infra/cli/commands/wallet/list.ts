import { Command } from 'commander'
import type { Terminal } from '../../terminal.ts'
import { describeKey } from './describeKey.ts'
import { findWallet, type WalletOptions } from './openWallet.ts'

/** `rialto wallet list`: labels and addresses. It needs no passphrase. */
export function listCommand(terminal: Terminal): Command {
  return new Command('list')
    .description('list the keys that are there, by label and address')
    .option('--config <file>', 'the configuration (default: rialto.config.ts in this folder)')
    .option('--json', 'print them as a JSON array')
    .action(async (options: WalletOptions) => {
      const { keys, agents, folder } = await findWallet(options)
      if (options.json === true) return terminal.out(JSON.stringify(keys))
      for (const key of keys) terminal.out(describeKey(key))
      if (keys.length === 0) terminal.note(`There is no key in ${folder}: rialto wallet create makes one.`)
      const without = (agents ?? []).filter((id) => !keys.some(({ label }) => label === id))
      if (keys.length > 0 && without.length > 0) terminal.note(`Agents without a key: ${without.join(', ')}.`)
    })
}
