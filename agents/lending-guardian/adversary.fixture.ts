/**
 * For tests: whoever reads prompts and knows all that is public.
 *
 * They hold every borrower's collateral, debt and wallet to the wei, the prices, pools, fees and parameters of each
 * block, the source of the guardian, and its default options. From these they make the prompt that each borrower's
 * guardian would send, and compare it with the one that they read. They do not know who runs a guardian at all, so
 * that every borrower who would ask is one who might have asked.
 */
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { enumerateCandidates } from './candidates.ts'
import { type LendingGuardianOptions, settle } from './options.ts'
import {
  type Borrower,
  observe,
  type PublicBlock,
  type PublicState,
  populationAssets,
  populationNative,
  publicState,
} from './population.fixture.ts'
import { buildPrompt } from './prompt.ts'
import { gather } from './scene.ts'
import type { Situation } from './schema.ts'
import { describeSituation } from './situation.ts'
import { raiseAlarm } from './trigger.ts'

/** What every guardian of the population is made with. */
export type CommonOptions = Pick<LendingGuardianOptions, 'id' | 'model' | 'thresholds'>

/** What a borrower's guardian observed and would ask about. */
export type Asked = {
  readonly borrower: Borrower
  readonly snapshot: Snapshot
  readonly situation: Situation
}

/** By the guardian's own code, what it would ask about at a block; null where it would not ask. */
export function askAt(borrower: Borrower, state: PublicState, options: CommonOptions): Asked | null {
  const settings = settle({
    ...options,
    account: borrower.account,
    assets: populationAssets,
    pools: state.pools.map(({ address }) => address),
    wrappedNative: populationNative,
  })
  const snapshot = observe(borrower, state)
  const [position] = snapshot.positions
  if (position === undefined) throw new RangeError('no position')
  const scene = gather(snapshot, position, settings)
  if ('obstacle' in scene) throw new RangeError(scene.obstacle)
  const { thresholds, horizonBlocks } = settings
  if (raiseAlarm({ ...scene, thresholds, horizonBlocks }) === null) return null
  const situation = describeSituation(scene, enumerateCandidates(scene, settings), settings)
  return situation.candidates.length > 1 ? { borrower, snapshot, situation } : null
}

/** Everything that a population would ask at a block. */
export function askAll(
  population: readonly Borrower[],
  block: PublicBlock,
  options: CommonOptions,
): readonly Asked[] {
  const state = publicState(block)
  return population.flatMap((borrower) => askAt(borrower, state, options) ?? [])
}

/** What is sent, as one text. */
export const promptOf = ({ situation }: Pick<Asked, 'situation'>): string =>
  buildPrompt(situation)
    .map(({ text }) => text)
    .join('\n')

/** What the adversary reads: by borrower's account. */
export type Prompts = ReadonlyMap<string, string>

export const promptsOf = (asked: readonly Asked[], write: (asked: Asked) => string = promptOf): Prompts =>
  new Map(asked.map((each) => [each.borrower.account, write(each)]))

/**
 * Of each prompt the number of borrowers who would have sent it, its owner included: the anonymity set. Rising, one
 * for each owner.
 *
 * @param blocks the blocks that it may have been sent at, as far as the reader knows; the first is the one it was
 */
export function anonymitySets([sent, ...others]: readonly Prompts[]): readonly number[] {
  if (sent === undefined) return []
  const senders = new Map<string, Set<string>>()
  for (const prompts of [sent, ...others])
    for (const [account, prompt] of prompts) {
      const set = senders.get(prompt) ?? new Set()
      senders.set(prompt, set.add(account))
    }
  return rising([...sent.values()].map((prompt) => senders.get(prompt)?.size ?? 0))
}

/**
 * The same for a reader who knows which prompts of successive blocks come from the same guardian, for those that asked
 * at every one of them.
 */
export function linkedSets(blocks: readonly Prompts[]): readonly number[] {
  const [first] = blocks
  const sequences = [...(first?.keys() ?? [])].flatMap((account) => {
    const sequence = blocks.map((prompts) => prompts.get(account))
    return sequence.includes(undefined) ? [] : [JSON.stringify(sequence)]
  })
  const count = new Map<string, number>()
  for (const sequence of sequences) count.set(sequence, (count.get(sequence) ?? 0) + 1)
  return rising(sequences.map((sequence) => count.get(sequence) ?? 0))
}

const rising = (values: readonly number[]): readonly number[] => values.toSorted((a, b) => a - b)

/** What anonymity sets come to. */
export type Anonymity = {
  /** How many borrowers asked. */
  readonly asked: number
  readonly min: number
  readonly p5: number
  readonly median: number
  /** The part of them whose set is under ten. */
  readonly underTen: number
  /** What a prompt tells of its owner on average: log₂ of the population over the set. */
  readonly bits: number
}

/** @param sets rising */
export function summarise(sets: readonly number[], population: number): Anonymity {
  const at = (part: number) => sets[Math.floor(part * (sets.length - 1))] ?? 0
  return {
    asked: sets.length,
    min: at(0),
    p5: at(0.05),
    median: at(0.5),
    underTen: sets.filter((size) => size < 10).length / sets.length,
    bits: sets.reduce((sum, size) => sum + Math.log2(population / size), 0) / sets.length,
  }
}
