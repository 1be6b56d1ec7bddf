import { Command } from 'commander'
import type { Terminal } from '../../terminal.ts'
import { backupCommand } from './backup.ts'
import { createCommand } from './create.ts'
import { importCommand } from './import.ts'
import { listCommand } from './list.ts'
import { restoreCommand } from './restore.ts'

/** `rialto wallet`: the keys that agents sign with. None of its commands ever shows one. */
export function walletCommand(terminal: Terminal): Command {
  return new Command('wallet')
    .description('make, import, list, back up and restore the keys that agents sign with')
    .addCommand(createCommand(terminal))
    .addCommand(importCommand(terminal))
    .addCommand(listCommand(terminal))
    .addCommand(backupCommand(terminal))
    .addCommand(restoreCommand(terminal))
}
