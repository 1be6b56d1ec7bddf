import type { Address } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { Chain } from '../../runtime/core/ports.ts'
import { observeEvacuee } from '../../runtime/evacuation/observeEvacuee.ts'
import { type OwnerPlan, planForOwners } from '../../runtime/evacuation/planForOwners.ts'
import { evacuationPolicy } from '../../runtime/guards/evacuation.ts'
import { decodeRevert } from '../chain/decodeRevert.ts'
import type { Rpc } from '../chain/rpc.ts'
import { openStateReader } from '../chain/stateReader.ts'
import type { AgentConfig, SafeConfig } from '../config/loadConfig.ts'
import { readSafe, type SafeState } from '../safe/readSafe.ts'
import { type SafeTransaction, safeTransactionOf } from '../safe/safeTransaction.ts'
import type { RunningSearch, Unsearched } from './searchApprovals.ts'
import { type OwnersSimulation, simulateOwners } from './simulateOwners.ts'

/** A Safe to evacuate. */
export type SafeEvacuee = {
  readonly config: AgentConfig
  readonly safe: SafeConfig
  readonly account: Address
  /** Null: what it has is withdrawn into the Safe, and stays its owners'. */
  readonly destination: Address | null
}

/** What the owners of a Safe would sign, and what it was shown to do. */
export type SafeEvacuation = {
  readonly evacuee: SafeEvacuee
  readonly block: bigint
  readonly plan: OwnerPlan
  readonly state: SafeState
  /** Null: there is nothing to sign. */
  readonly transaction: SafeTransaction | null
  /** As it would be in the next block. */
  readonly soon: OwnersSimulation | null
  /** As it would be in its last valid block, if nothing but interest changed. */
  readonly late: OwnersSimulation | null
  readonly unsearched: Unsearched | null
}

/**
 * Makes one transaction of a Safe out of its whole evacuation, and executes it as its owners will, now and as late as it
 * may be mined.
 *
 * One transaction, and all of it the owners': what the role lets the agent do of it would go through a key that may be
 * what they flee from, a part at a time, within its daily allowances. The owners have to sign the rest anyway, and so
 * there is no state between.
 *
 * @param validBlocks within which the owners are expected to sign
 * @throws {RialtoError} when the chain cannot be read.
 */
export async function prepareSafe(
  evacuee: SafeEvacuee,
  {
    chain,
    rpc,
    book,
    blockSeconds,
    validBlocks,
    search,
  }: {
    readonly chain: Chain
    readonly rpc: Rpc
    readonly book: AddressBook
    readonly blockSeconds: number
    readonly validBlocks: bigint
    readonly search: RunningSearch
  },
): Promise<SafeEvacuation> {
  const { config, safe, account, destination } = evacuee
  const unsearched = await search.end
  const head = await chain.head()
  const options = {
    chain,
    book,
    agent: config.id,
    account,
    policy: evacuationPolicy(config.policy, book, destination),
    search,
    blockSeconds: BigInt(blockSeconds),
    explainRevert: decodeRevert,
  }
  const plan = await planForOwners({ ...options, validBlocks }, head)
  const state = await readSafe(await openStateReader(rpc), account)
  const prepared = { evacuee, block: head.number, plan, state, unsearched }
  if (plan.calls.length === 0) return { ...prepared, transaction: null, soon: null, late: null }
  const transaction = safeTransactionOf(plan.calls, safe.multiSend, state.nonce)
  const { snapshot } = await observeEvacuee(options, head)
  const simulateAt = (blocks: bigint) =>
    simulateOwners(chain, {
      ...{ snapshot, book, state, transaction, destination },
      timestamp: head.timestamp + blocks * options.blockSeconds,
    })
  const [soon, late] = await Promise.all([simulateAt(1n), simulateAt(validBlocks)])
  return { ...prepared, transaction, soon, late }
}

/** Why a prepared transaction cannot be signed; null when it can. */
export function whyNot({ soon, late }: Pick<SafeEvacuation, 'soon' | 'late'>): string | null {
  if (soon?.ok === false) return `it fails: ${soon.reason}`
  if (late?.ok === false) return `it would fail if it were mined as late as it may be: ${late.reason}`
  return null
}
