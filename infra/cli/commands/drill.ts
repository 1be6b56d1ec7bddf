import { join, resolve } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { type DrillReport, runDrill } from '../../drill/runDrill.ts'
import { type DrillTarget, drillTargets } from '../../drill/targets.ts'
import { packageRoot } from '../../process/packageRoot.ts'
import { paint, type Terminal } from '../terminal.ts'

type Options = {
  readonly kill: readonly DrillTarget[]
  readonly policy?: string
  readonly within: number
  readonly json?: boolean
}

/** `rialto drill`: rehearses failures, and measures in blocks how long protection took. */
export function drillCommand(terminal: Terminal): Command {
  return new Command('drill')
    .description(
      'rehearse: kill what you name under a running agent on a local world, let the price fall under the hard floor, and count the blocks until the position is protected again',
    )
    .option(
      '--kill <targets>',
      `what to kill, by commas: ${drillTargets.join(', ')}, or all of them`,
      targets,
      drillTargets,
    )
    .option('--policy <file>', 'the policy that is rehearsed (default: the one that ships)')
    .option('--within <blocks>', 'blocks in which protection has to come', whole, 5)
    .option('--json', 'print a JSON array of what each rehearsal showed')
    .action(async (options: Options) => {
      const policyPath =
        options.policy === undefined
          ? join(packageRoot(import.meta.url), 'policies', 'lending-guardian.json')
          : resolve(options.policy)
      const reports: DrillReport[] = []
      for (const target of options.kill) {
        terminal.note(`${paint('bold', target)}`)
        const report = await runDrill({
          kill: target,
          policyPath,
          patience: options.within,
          onEvent: (line) => terminal.note(`  ${line}`),
        })
        reports.push(report)
        if (options.json !== true) terminal.out(describe(report))
      }
      if (options.json === true) terminal.out(JSON.stringify(reports))
      if (reports.some((report) => !report.protected)) process.exitCode = 1
    })
}

function targets(text: string): readonly DrillTarget[] {
  if (text === 'all') return drillTargets
  const named = text.split(',').map((name) => name.trim())
  const stranger = named.find((name) => !drillTargets.some((target) => target === name))
  if (stranger !== undefined)
    throw new InvalidArgumentError(`"${stranger}" is none of ${drillTargets.join(', ')}.`)
  return named as DrillTarget[]
}

function whole(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= 100) return value
  throw new InvalidArgumentError('It must be a whole number of blocks from 1 to 100.')
}

function describe({ killed, by, blocks, liquidatable, healthFactors }: DrillReport): string {
  const lowest = healthFactors.toSorted((a, b) => Number(a) - Number(b))[0]?.slice(0, 6)
  const fate = liquidatable ? 'it could have been liquidated meanwhile' : 'it could never be liquidated'
  return blocks === null
    ? `${killed}: NOT protected after ${healthFactors.length - 1} blocks; ${fate}`
    : `${killed}: protected by the ${by} ${blocks} block${blocks === 1 ? '' : 's'} after the fall, at ${lowest} at the lowest; ${fate}`
}
