import { type AttemptId, attemptId, type Hash, type IntentId } from '../../core/ids.ts'
import { type Plan, planHash, senderOf } from '../../core/lifecycle.ts'
import type { BlockRef } from '../../core/snapshot.ts'
import { type Wei, wei } from '../../core/units.ts'
import type { Policy } from '../../guards/policy.ts'
import type { Fees } from '../fees.ts'
import type { Runtime } from '../runtime.ts'
import { waitedBlocks } from '../slot.ts'

/** Gas of a transaction that only uses its nonce: 21,000, and room for what a delegated account runs on it. */
const EMPTY_GAS = 50_000n
/** What a signer lets an empty transaction have at most. */
const MOST_GAS = 100_000n

/** The most that a unit of gas may cost where a whole account waits for it: what the policy allows a rescue. */
export const freeCap = ({ gas, riskReducing }: Policy): Wei =>
  gas.maxFeePerGas > riskReducing.gas.maxFeePerGas ? gas.maxFeePerGas : riskReducing.gas.maxFeePerGas

/** A plan without calls: an empty transaction of the sender to itself, which uses up one nonce and does nothing. */
export async function emptyPlan(
  runtime: Runtime,
  policy: Policy,
  head: BlockRef,
  fees: Fees,
  of: Pick<Plan, 'intentId' | 'chainId' | 'account' | 'via'>,
): Promise<{ readonly plan: Plan; readonly planHash: Hash }> {
  const draft: Plan = {
    intentId: of.intentId,
    chainId: of.chainId,
    account: of.account,
    ...(of.via === undefined ? {} : { via: of.via }),
    calls: [],
    delegateTo: null,
    gasLimit: EMPTY_GAS,
    ...fees,
    block: { number: head.number, hash: head.hash },
    lastValidBlock: head.number + BigInt(policy.lastValidBlocks),
    policyVersion: policy.version,
  }
  const plan = { ...draft, gasLimit: await emptyGas(runtime, draft, head) }
  return { plan, planHash: planHash(plan) }
}

/** An account with code runs it, whatever that is; one that reverts, or runs out of gas, uses its nonce as well. */
async function emptyGas(runtime: Runtime, plan: Plan, head: BlockRef): Promise<bigint> {
  const sender = senderOf(plan)
  if ((await runtime.chain.code(sender, head.hash)) === '0x') return EMPTY_GAS
  const [call] = await runtime.chain.simulate({
    on: head,
    timestamp: head.timestamp + runtime.blockSeconds,
    baseFeePerGas: head.baseFeePerGas,
    code: [],
    calls: [{ from: sender, to: sender, value: wei(0n), data: '0x' }],
  })
  const needed = call?.status === 'success' ? (call.gasUsed * 13n) / 10n : 0n
  return needed > EMPTY_GAS && needed <= MOST_GAS ? needed : EMPTY_GAS
}

/**
 * The id of the next attempt under a name: after all that the journal knows, dropped ones included.
 *
 * @returns null when the signer refused the last one a moment ago: the more often it did, the longer it is left in peace
 */
export async function nextAttemptId(
  runtime: Runtime,
  intentId: IntentId,
  head: BlockRef,
): Promise<AttemptId | null> {
  const earlier = (await runtime.journal.attempts()).filter(({ plan }) => plan.intentId === intentId)
  const refused = earlier.filter(({ status }) => status === 'dropped')
  const last = refused.at(-1)
  if (last !== undefined && waitedBlocks(last, head, runtime.blockSeconds) < BigInt(refused.length))
    return null
  const numbers = earlier.map(({ id }) => Number(id.slice(id.lastIndexOf('.') + 1)))
  return attemptId(intentId, Math.max(0, ...numbers) + 1)
}
