import { Command } from 'commander'
import { scenarios } from '../../world/scenarios/index.ts'
import type { PassRule } from '../../world/scenarios/scenario.ts'
import type { Terminal } from '../terminal.ts'

const RULES: Readonly<Record<PassRule, string>> = {
  'guarded-survives':
    'the guarded position is not liquidated, its twin is, and the guarded owner ends with more equity',
  'no-costly-action': 'the agent does nothing that costs money',
  completes: 'it comes to the last block',
}

/** `rialto scenarios`: what can be played. */
export function scenariosCommand(terminal: Terminal): Command {
  return new Command('scenarios')
    .description('list the price scenarios that "rialto start --scenario" can play')
    .option('--json', 'print them as a JSON array')
    .action(({ json }: { json?: boolean }) => {
      const rows = scenarios.map(({ name, summary, defaultBlocks, minBlocks, maxBlocks, passRule }) => ({
        name,
        summary,
        defaultBlocks,
        minBlocks,
        maxBlocks,
        passes: RULES[passRule],
      }))
      if (json === true) return terminal.out(JSON.stringify(rows))
      for (const row of rows) {
        terminal.out(`${row.name}  (${row.defaultBlocks} blocks)`)
        terminal.out(`  ${row.summary}`)
        terminal.out(`  passes when ${row.passes}`)
      }
      terminal.out('\nFILE.csv  (12 blocks a bar)')
      terminal.out(
        '  A price history of your own: OHLCV with a header. See --from and --to of "rialto start".',
      )
      terminal.out(`  passes when ${RULES.completes}`)
    })
}
