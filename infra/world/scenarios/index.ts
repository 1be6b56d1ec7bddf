import { stat } from 'node:fs/promises'
import { blackThursday } from './blackThursday.ts'
import { ScenarioOptionsError, UnknownScenarioError } from './errors.ts'
import { oracleGlitch } from './oracleGlitch.ts'
import { loadPriceFile, type PriceFile, type PriceRange } from './priceFile.ts'
import { checkBlocks, type Scenario } from './scenario.ts'
import { slowBleed } from './slowBleed.ts'

/** The scenarios that are built in. A new one is a file of its own and a line here. */
export const scenarios: readonly Scenario[] = [blackThursday, slowBleed, oracleGlitch]

/** How a scenario is to be played. */
export type ScenarioOptions = PriceRange & {
  /** How many blocks; the scenario's own default when absent. */
  readonly blocks?: number
}

/** A scenario that was found, and the number of blocks that was checked against it. */
export type FoundScenario = {
  readonly scenario: Scenario
  readonly blocks: number
  /** What was found in the price file, when it is one. */
  readonly priceFile?: PriceFile
}

/**
 * The scenario of that name, or else the price file at that path. A name wins over a file that is called the
 * same: write `./black-thursday` for the file.
 *
 * @throws {UnknownScenarioError} when it is neither; it names the scenario that was probably meant.
 * @throws {ScenarioBlocksError} when `blocks` lies outside of what the scenario allows.
 * @throws {ScenarioOptionsError} when a range is given for a scenario that has no dates.
 * @throws whatever {@link loadPriceFile} throws.
 * @example (await findScenario('black-thursday')).blocks // 96
 * @example await findScenario('eth-1h.csv', { from: '2022-11-07', to: '2022-11-10' })
 */
export async function findScenario(
  nameOrFile: string,
  options: ScenarioOptions = {},
): Promise<FoundScenario> {
  const { blocks, ...range } = options
  const scenario = scenarios.find(({ name }) => name === nameOrFile)
  if (scenario !== undefined) {
    rejectRange(scenario, range)
    return { scenario, blocks: chooseBlocks(scenario, blocks) }
  }
  if (!(await exists(nameOrFile))) throw unknownScenario(nameOrFile)
  const priceFile = await loadPriceFile(nameOrFile, range)
  return { scenario: priceFile, blocks: chooseBlocks(priceFile, blocks), priceFile }
}

function chooseBlocks(scenario: Scenario, asked: number | undefined): number {
  const blocks = asked ?? scenario.defaultBlocks
  checkBlocks(scenario, blocks)
  return blocks
}

function rejectRange({ name }: Scenario, { from, to }: PriceRange): void {
  if (from === undefined && to === undefined) return
  throw new ScenarioOptionsError(
    `--from and --to choose a part of a price file, and ${name} is none.`,
    'Leave them out, or name a file with --scenario.',
    { scenario: name, from, to },
  )
}

/** Whatever else keeps it from being read is for {@link loadPriceFile} to say. */
async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    return code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'ERR_INVALID_ARG_VALUE'
  }
}

function unknownScenario(asked: string): UnknownScenarioError {
  const names = scenarios.map(({ name }) => name)
  const [closest] = names
    .map((name) => ({ name, distance: editDistance(asked.toLowerCase(), name) }))
    .filter(({ name, distance }) => distance <= name.length / 3)
    .sort((a, b) => a.distance - b.distance)
  return new UnknownScenarioError(asked, names, closest?.name)
}

/** Levenshtein's distance: how many letters to insert, delete or replace. */
function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (const [row, letter] of [...a].entries()) {
    const current = [row + 1]
    for (const [column, other] of [...b].entries()) {
      const replaced = (above[column] ?? 0) + (letter === other ? 0 : 1)
      current.push(Math.min(replaced, (above[column + 1] ?? 0) + 1, (current[column] ?? 0) + 1))
    }
    above = current
  }
  return above[b.length] ?? 0
}
