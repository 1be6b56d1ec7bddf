import type { Address, Hex } from 'viem'
import { type Canonical, canonicalHash } from './canonical.ts'
import { InvariantError } from './errors.ts'
import type { Hash, IntentId } from './ids.ts'
import type { AccountData } from './snapshot.ts'
import type { Usd, Wad, Wei } from './units.ts'
import type { Verdict } from './verdict.ts'

/** One call of a batch. */
export type Call = { readonly to: Address; readonly value: Wei; readonly data: Hex }

/**
 * One transaction that carries out an intent: a batch that the account sends to itself through `BatchAccount`,
 * whose last calls are assertions.
 */
export type Plan = {
  readonly intentId: IntentId
  readonly chainId: number
  readonly account: Address
  readonly calls: readonly Call[]
  /** The contract that the account has to delegate to in the same transaction; null when it already does. */
  readonly delegateTo: Address | null
  readonly gasLimit: bigint
  readonly maxFeePerGas: Wei
  readonly maxPriorityFeePerGas: Wei
  /** The block it was simulated on. */
  readonly block: { readonly number: bigint; readonly hash: Hash }
  /** The last block in which it may be mined, enforced on-chain. */
  readonly lastValidBlock: bigint
  readonly policyVersion: string
  /** How the account is made to act. Absent: it is an EOA that sends the batch to itself. */
  readonly via?: RolesRoute
}

/**
 * The account is a Safe, and somebody who is a member of a role acts for it through a Zodiac Roles modifier: `sender`
 * calls `execTransactionWithRole`, which has the Safe delegate to MultiSend. Nonces are those of `sender`.
 */
export type RolesRoute = {
  readonly kind: 'roles'
  readonly modifier: Address
  readonly multiSend: Address
  readonly roleKey: Hash
  readonly sender: Address
}

/** Whose nonces a plan uses. */
export const senderOf = (plan: Plan): Address => plan.via?.sender ?? plan.account

/** What a plan is signed under: everything it does, and the block, limits and policy it was judged with. */
export const planHash = (plan: Plan): Hash =>
  canonicalHash({
    intentId: plan.intentId,
    chainId: plan.chainId,
    account: plan.account.toLowerCase(),
    calls: plan.calls.map((call) => ({ to: call.to.toLowerCase(), value: call.value, data: call.data })),
    delegateTo: plan.delegateTo?.toLowerCase() ?? null,
    gasLimit: plan.gasLimit,
    maxFeePerGas: plan.maxFeePerGas,
    maxPriorityFeePerGas: plan.maxPriorityFeePerGas,
    block: { number: plan.block.number, hash: plan.block.hash },
    lastValidBlock: plan.lastValidBlock,
    policyVersion: plan.policyVersion,
    ...(plan.via === undefined
      ? {}
      : {
          via: {
            kind: plan.via.kind,
            modifier: plan.via.modifier.toLowerCase(),
            multiSend: plan.via.multiSend.toLowerCase(),
            roleKey: plan.via.roleKey,
            sender: plan.via.sender.toLowerCase(),
          },
        }),
  } satisfies Canonical)

/** A measured balance. `token` null is the chain's native coin. Amounts in the token's smallest unit. */
export type BalanceDelta = {
  readonly account: Address
  readonly token: Address | null
  readonly before: bigint
  readonly after: bigint
}

/** A measured allowance. */
export type AllowanceDelta = {
  readonly token: Address
  readonly owner: Address
  readonly spender: Address
  readonly before: bigint
  readonly after: bigint
}

/** What a transaction does, as measured before and after it, at every account it touches. */
export type Effects = {
  readonly gasUsed: bigint
  readonly balances: readonly BalanceDelta[]
  readonly allowances: readonly AllowanceDelta[]
  /** The owner's lending position. */
  readonly position: { readonly before: AccountData; readonly after: AccountData }
  /**
   * Equity at oracle prices: wallet and collateral less debt, gas not counted, 8 decimals. Below zero where the debt
   * is more than all else, so that the fall of it is always the whole loss.
   */
  readonly equity: { readonly before: bigint; readonly after: bigint }
  /** Logs it emitted. A batch that emits none did nothing: a stale authorisation succeeds silently. */
  readonly logCount: number
}

declare const simulated: unique symbol
/** A plan that ran to its end in a simulation. Only the simulate stage makes one. */
export type SimulatedPlan = Plan & {
  readonly hash: Hash
  readonly effects: Effects
  readonly [simulated]: true
}

declare const allowed: unique symbol
/** A simulated plan that every guard and, where the policy asks, a person allowed. Only the approve stage makes one. */
export type AllowedPlan = SimulatedPlan & {
  readonly verdict: Verdict
  readonly approval: Approval
  readonly [allowed]: true
}

/** Who let the plan through: the policy alone, or a person bound to this very hash. */
export type Approval =
  | { readonly by: 'policy' }
  | { readonly by: 'person'; readonly planHash: Hash; readonly signed: SignedApproval }

/** What owners signed (EIP-712): the exact plan, what it was shown to do, the policy it was judged by, and until when. */
export type SignedApproval = {
  readonly planHash: Hash
  /** Over the decoded effects that the owners were shown. */
  readonly effectsHash: Hash
  readonly policyVersion: string
  /** Seconds since 1970. */
  readonly expiresAt: bigint
  /** 65 bytes each, by different owners. */
  readonly signatures: readonly Hex[]
}

// The types above keep honest code honest; these sets keep a cast from getting past `sign`.
const simulatedPlans = new WeakSet<object>()
const allowedPlans = new WeakSet<object>()

/** For the simulate stage only (`test/architecture` holds that). */
export function sealSimulated(plan: Plan, effects: Effects): SimulatedPlan {
  const sealed = Object.freeze({ ...plan, hash: planHash(plan), effects }) as SimulatedPlan
  simulatedPlans.add(sealed)
  return sealed
}

/**
 * For the approve stage only (`test/architecture` holds that).
 *
 * @throws {InvariantError} when the plan was not simulated or the verdict does not allow it.
 */
export function sealAllowed(plan: SimulatedPlan, verdict: Verdict, approval: Approval): AllowedPlan {
  if (!simulatedPlans.has(plan)) throw new InvariantError('A plan that was not simulated cannot be allowed.')
  if (!verdict.allowed || verdict.phase !== 'effect')
    throw new InvariantError('Only a verdict on the effect that allows can let a plan through.')
  if (approval.by === 'person' && approval.planHash !== plan.hash)
    throw new InvariantError('The approval is for another plan.')
  const sealed = Object.freeze({ ...plan, verdict, approval }) as AllowedPlan
  allowedPlans.add(sealed)
  return sealed
}

/** @throws {InvariantError} unless the approve stage made this very object and its hash still holds. */
export function assertAllowed(plan: AllowedPlan): void {
  if (!allowedPlans.has(plan)) throw new InvariantError('Only a simulated and allowed plan can be signed.')
  if (planHash(plan) !== plan.hash) throw new InvariantError('The plan changed after it was simulated.')
}

/** What an action is expected to do, or did: the few figures that promise and outcome are compared by. */
export type Outcome = {
  readonly healthFactor: Wad
  readonly totalCollateral: Usd
  readonly totalDebt: Usd
  readonly equity: Usd
  readonly gasUsed: bigint
  /** Gas used times the effective price. In a promise: times the price expected. */
  readonly gasCost: Wei
  /** Change of the account's own balances, smallest units, native coin as the zero address. */
  readonly balanceChanges: readonly { readonly token: Address; readonly change: bigint }[]
}
