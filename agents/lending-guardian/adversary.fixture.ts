/**
 * For tests: whoever reads prompts and knows all that is public.
 *
 * They hold every borrower's collateral, debt and wallet, the prices, pools, fees and parameters of each block, the
 * source of the guardian, and its default options. From these they make the prompt that each borrower's guardian
 * would send, and compare.
 */

import { enumerateCandidates } from './candidates.ts'
import type { LendingGuardianOptions } from './options.ts'
import { type GuardianSettings, settle } from './options.ts'
import {
  type Borrower,
  observe,
  type PublicBlock,
  populationAssets,
  populationNative,
  publicState,
} from './population.fixture.ts'
import { buildPrompt } from './prompt.ts'
import { gather } from './scene.ts'
import type { Situation } from './schema.ts'
import { describeSituation } from './situation.ts'
import { raiseAlarm } from './trigger.ts'

/** The situation that a borrower's guardian would ask about; null where it would not ask. */
export function situationAt(
  borrower: Borrower,
  state: ReturnType<typeof publicState>,
  options: Omit<LendingGuardianOptions, 'account' | 'assets' | 'pools' | 'wrappedNative'>,
): Situation | null {
  const settings: GuardianSettings = settle({
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
  if (raiseAlarm({ ...scene, ...settings }) === null) return null
  const situation = describeSituation(scene, enumerateCandidates(scene, settings), settings)
  return situation.candidates.length > 1 ? situation : null
}

export const promptOf = (situation: Situation): string =>
  buildPrompt(situation)
    .map(({ text }) => text)
    .join('\n')

/** Every borrower's prompt at every block, by block and borrower; null where none is sent. */
export const promptsOf = (
  population: readonly Borrower[],
  blocks: readonly PublicBlock[],
  options: Parameters<typeof situationAt>[2],
): readonly (readonly (string | null)[])[] =>
  blocks.map((block) => {
    const state = publicState(block)
    return population.map((borrower) => {
      const situation = situationAt(borrower, state, options)
      return situation && promptOf(situation)
    })
  })
