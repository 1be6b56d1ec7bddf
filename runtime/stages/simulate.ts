import { type Address, concatHex, formatEther, isAddressEqual } from 'viem'
import type { IntentRecord } from '../core/journal.ts'
import { type Call, type Effects, type Plan, type SimulatedPlan, sealSimulated } from '../core/lifecycle.ts'
import type { SimulatedCall, SimulationRequest } from '../core/ports.ts'
import type { Snapshot } from '../core/snapshot.ts'
import { wei } from '../core/units.ts'
import type { Policy } from '../guards/policy.ts'
import { encodeIntent, IntentNotEncodableError } from '../protocols/encodeIntent.ts'
import { encodeExecute } from '../protocols/rialto/encode.ts'
import { encodeRolesExecution } from '../protocols/safe/encode.ts'
import { ContractsMissingError } from './errors.ts'
import { type Fees, outbid, planFees } from './fees.ts'
import { encodeProbe, measureEffects, type Probe, probesFor } from './probe.ts'
import type { Runtime } from './runtime.ts'

/** What a simulation needs of the world. */
export type SimulationRuntime = Pick<Runtime, 'chain' | 'book' | 'blockSeconds' | 'explainRevert' | 'routeOf'>

/** A plan that ran to its end, or the reason why it did not. */
export type Simulation =
  | { readonly ok: true; readonly plan: SimulatedPlan }
  | { readonly ok: false; readonly reason: string }

/**
 * Makes one transaction of an intent and executes it on the snapshot's block.
 *
 * Two passes of `eth_simulateV1`: the first shows by its logs which accounts and allowances the transaction
 * touches, the second runs it between two readings of every one of them. The imagined block is the next one
 * (its time and its base fee), so that interest accrues as it will.
 *
 * @param intent its agent tells by which route the account acts; without one it acts by itself
 * @param earlier fees that are on the plan's nonce already, which it has to outbid
 * @param patience blocks by which its last valid block lies further ahead, because a person is asked
 */
export async function simulate(
  runtime: SimulationRuntime,
  intent: Pick<IntentRecord, 'id' | 'account' | 'action'> & Partial<Pick<IntentRecord, 'agent'>>,
  snapshot: Snapshot,
  policy: Policy,
  earlier: readonly Fees[] = [],
  patience = 0n,
): Promise<Simulation> {
  const { account } = intent
  const byPolicy = snapshot.block.number + BigInt(policy.lastValidBlocks) + patience
  const { expiresAtBlock } = intent.action
  const lastValidBlock = expiresAtBlock < byPolicy ? expiresAtBlock : byPolicy
  const calls = encodeOrExplain(intent.action, snapshot, runtime.book, {
    minHealthFactor: policy.healthFactor.minAfter,
    lastValidBlock,
  })
  if (typeof calls === 'string') return { ok: false, reason: calls }
  const { batchAccount } = requireContracts(runtime)
  const via = (intent.agent === undefined ? null : runtime.routeOf?.(intent.agent)) ?? null
  const isDelegated =
    snapshot.wallet.delegation !== null && isAddressEqual(snapshot.wallet.delegation, batchAccount)
  // A Safe is a contract already: nothing has to be put in its place.
  const delegateTo = via !== null || isDelegated ? null : batchAccount
  const ran = await run(runtime, { account, calls, delegateTo, via }, snapshot)
  if (!ran.ok) return ran
  const { effects } = ran
  const plan: Plan = {
    intentId: intent.id,
    chainId: snapshot.chainId,
    account,
    calls,
    delegateTo,
    gasLimit: gasLimit(effects.gasUsed),
    ...outbid(planFees(intent.action, snapshot, policy), earlier, policy.replacement.bump),
    block: { number: snapshot.block.number, hash: snapshot.block.hash },
    lastValidBlock,
    policyVersion: policy.version,
    ...(via === null ? {} : { via }),
  }
  const unpaid = via === null ? null : await unaffordable(runtime, plan, via.sender)
  return unpaid === null ? { ok: true, plan: sealSimulated(plan, effects) } : { ok: false, reason: unpaid }
}

/**
 * Why whoever acts for a Safe cannot pay for a plan; null when it can. The guards look at the account's own coins,
 * and a Safe pays no gas.
 */
async function unaffordable(
  { chain }: Pick<Runtime, 'chain'>,
  { gasLimit: gas, maxFeePerGas, block }: Plan,
  sender: Address,
): Promise<string | null> {
  const most = gas * maxFeePerGas
  const held = await chain.balance(sender, block.hash)
  return most <= held
    ? null
    : `its gas costs up to ${formatEther(most)} of the native coin, and ${sender}, who acts for the Safe, holds ${formatEther(held)}`
}

/** What a plan does now, which was simulated on an earlier block. */
export type Repetition =
  | {
      readonly ok: true
      /** The very same plan, under the hash that it had. */
      readonly plan: SimulatedPlan
      /** The same as if it were made on the snapshot's block: what guards can judge. */
      readonly asOfNow: SimulatedPlan
    }
  | { readonly ok: false; readonly reason: string }

/** Executes exactly the same transaction on a newer block: a person may have let it through since. */
export async function simulateAgain(
  runtime: SimulationRuntime,
  plan: Plan,
  snapshot: Snapshot,
): Promise<Repetition> {
  const { account, calls, delegateTo, via = null } = plan
  const ran = await run(runtime, { account, calls, delegateTo, via }, snapshot)
  if (!ran.ok) return ran
  const block = { number: snapshot.block.number, hash: snapshot.block.hash }
  return {
    ok: true,
    plan: sealSimulated(plan, ran.effects),
    asOfNow: sealSimulated({ ...plan, block }, ran.effects),
  }
}

type Transaction = Pick<Plan, 'account' | 'calls' | 'delegateTo'> & { readonly via: Plan['via'] | null }

type Ran = { readonly ok: true; readonly effects: Effects } | { readonly ok: false; readonly reason: string }

/** Executes a transaction on the snapshot's block, and measures all that it touches. */
async function run(
  runtime: SimulationRuntime,
  { account, calls, delegateTo, via }: Transaction,
  snapshot: Snapshot,
): Promise<Ran> {
  const transaction =
    via === null || via === undefined
      ? { from: account, to: account, value: wei(0n), data: encodeExecute(calls) }
      : { from: via.sender, ...encodeRolesExecution(calls, via) }
  const scene = (inner: SimulationRequest['calls']): SimulationRequest => ({
    on: snapshot.block,
    timestamp: snapshot.block.timestamp + runtime.blockSeconds,
    baseFeePerGas: snapshot.block.baseFeePerGas,
    // Simulated before the key is asked: the delegation is put in place as code.
    code: delegateTo === null ? [] : [{ address: account, code: concatHex(['0xef0100', delegateTo]) }],
    calls: inner,
  })

  const [first] = await runtime.chain.simulate(scene([transaction]))
  if (first === undefined || first.status === 'reverted')
    return { ok: false, reason: reasonOf(runtime, first) }

  const probe: Probe = probesFor(snapshot, runtime.book, account, first.logs)
  // By whoever pays for the transaction: some nodes charge gas in a simulation.
  const reading = { from: transaction.from, value: wei(0n), ...encodeProbe(probe, runtime.book) }
  const [before, middle, after] = await runtime.chain.simulate(scene([reading, transaction, reading]))
  if (before?.status !== 'success' || middle?.status !== 'success' || after?.status !== 'success')
    return { ok: false, reason: reasonOf(runtime, middle) }

  const measured = measureEffects(probe, before.returnData, after.returnData, snapshot, runtime.book)
  const effects: Effects = {
    ...measured,
    gasUsed: middle.gasUsed + (delegateTo === null ? 0n : AUTHORISATION_GAS),
    logCount: middle.logs.length,
  }
  return { ok: true, effects }
}

/** The calls of an intent, or why it makes none: a proposal that cannot be carried out is denied, and so on record. */
function encodeOrExplain(...parameters: Parameters<typeof encodeIntent>): readonly Call[] | string {
  try {
    return encodeIntent(...parameters)
  } catch (error) {
    if (error instanceof IntentNotEncodableError) return error.message.replace(/\.$/, '')
    throw error
  }
}

/** An EIP-7702 authorisation costs 25,000 gas and gives 12,500 back when the account exists already. */
const AUTHORISATION_GAS = 12_500n

/**
 * Gas can turn out higher than measured: interest accrues first when a reserve was not touched in the block, and
 * refunds only count at the end. Of four plans sent with the bare estimate four ran out of gas; with 1.3 of it none.
 */
const gasLimit = (gasUsed: bigint): bigint => (gasUsed * 13n) / 10n

function reasonOf(runtime: Pick<Runtime, 'explainRevert'>, call: SimulatedCall | undefined): string {
  return call === undefined ? 'the node gave no result' : runtime.explainRevert(call.returnData)
}

function requireContracts(runtime: Pick<Runtime, 'book'>): NonNullable<Runtime['book']['rialto']> {
  const { rialto } = runtime.book
  if (rialto === undefined) throw new ContractsMissingError(runtime.book.chainId)
  return rialto
}
