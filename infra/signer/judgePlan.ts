import { type Address, isAddressEqual } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { Call, Plan, RolesRoute } from '../../runtime/core/lifecycle.ts'
import { MAX_UINT256 } from '../../runtime/core/units.ts'
import type { DenialCode } from '../../runtime/core/verdict.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import { contractName } from '../../runtime/protocols/contracts.ts'
import { type DecodedCall, decodeCall } from '../../runtime/protocols/decodeCall.ts'
import { SignerError } from './errors.ts'
import {
  type CallRule,
  healthFactor,
  inTime,
  type Need,
  nothingLeft,
  type RuleContext,
  ruleOf,
} from './planRules.ts'
import type { PlanContent } from './signingHistory.ts'
import type { Movement } from './spendWindow.ts'

/**
 * The most gas that the signer lets a transaction have. Several times what the dearest plan of ours takes; with the
 * policy's fee cap it bounds what a plan can burn.
 */
export const MAX_GAS_LIMIT = 3_000_000n

/** An allowance from here on counts as one without a limit. */
const UNLIMITED = MAX_UINT256 / 2n

/** The most gas that a transaction to oneself may have: it does nothing. */
export const MAX_EMPTY_GAS_LIMIT = 100_000n

/** A Safe for which a key may act as the member of a role: what `Plan.via` has to say then, but for the sender. */
export type SafeAccount = { readonly account: Address } & Pick<
  RolesRoute,
  'modifier' | 'multiSend' | 'roleKey'
>

/** What the signer reads from a plan that it allows. */
export type Judgement = {
  /** `empty` for a plan without calls. */
  readonly kind: Policy['intents'][number] | 'empty'
  readonly content: PlanContent
  /** What counts against the policy's allowances: what its action moves, and its gas at the fee cap. */
  readonly moved: readonly Movement[]
}

export type JudgePlanOptions = {
  /** Set for a key that acts for a Safe: then it acts for nobody else. */
  readonly safe?: SafeAccount
  /** Blocks by which the last valid block may lie further ahead: a person needs time to approve. Default none. */
  readonly patience?: bigint
  /** Whether the policy is that of an evacuation: then every kind that it allows counts as one that reduces risk. */
  readonly evacuates?: boolean
}

const RISK_REDUCING: ReadonlySet<Judgement['kind']> = new Set(['supply', 'repay', 'deleverage'])

type Step = { readonly call: Call; readonly read: DecodedCall; readonly rule: CallRule }

/**
 * Judges a plan by the signer's own copy of policy and address book, and by the bytes of its calls alone: whoever
 * made it may be compromised.
 *
 * A plan is one action with the approvals that it uses up, and then assertions. What this cannot judge, because it
 * takes the state of the chain, is whether the action is *good*: that is what the guards and the simulation are for.
 *
 * A plan without calls moves nothing: it cancels, or fills a nonce, and only its gas counts.
 *
 * @throws {SignerError} `PLAN_REFUSED`, with the guard's denial code in `details.denial`.
 */
export function judgePlan(
  plan: Plan,
  policy: Policy,
  book: AddressBook,
  { safe, patience = 0n, evacuates = false }: JudgePlanOptions = {},
): Judgement {
  judgeFrame(plan, policy, book)
  judgeRoute(plan, safe)
  const gas: Movement = { token: 'native', amount: plan.gasLimit * plan.maxFeePerGas }
  if (plan.calls.length === 0) {
    judgeEmpty(plan)
    return { kind: 'empty', content: 'empty', moved: [gas] }
  }
  const furthest = plan.block.number + BigInt(policy.lastValidBlocks) + patience
  if (plan.lastValidBlock > furthest)
    refuse('EXPIRY_TOO_FAR', `It may be mined until block ${plan.lastValidBlock}; the limit is ${furthest}.`)
  const context = { book, policy, account: plan.account }
  if (evacuates && plan.calls.some(({ value }) => value !== 0n)) {
    judgeSweep(plan, context)
    return { kind: 'transfer', content: 'riskReducing', moved: [gas] }
  }
  const steps = plan.calls.map((call) => readStep(call, context))
  const actions = actionsOf(steps)
  const [action] = actions
  if (action === undefined || actions.length > 1)
    refuse('EFFECT_UNEXPECTED', `It holds ${actions.length} actions; a plan has exactly one.`)
  if (action.rule.kind === null || !policy.intents.includes(action.rule.kind))
    refuse('INTENT_KIND_NOT_ALLOWED', `The policy allows no ${action.rule.kind}.`)

  const lastDeed = steps.findLastIndex(({ read }) => read.role !== 'rialto.assert')
  const closing = steps.slice(lastDeed + 1).map(({ read }) => read)
  if (steps.slice(0, lastDeed).some(({ read }) => read.role === 'rialto.assert'))
    refuse('EFFECT_UNEXPECTED', 'It asserts something before it is done.')

  const needs: Need[] = [inTime(plan.lastValidBlock), ...action.rule.needs]
  for (const { read, call } of steps) {
    if (read.functionName !== 'approve') continue
    judgeApproval(call.to, read.args[0], read.args[1], action.rule)
    needs.push(nothingLeft(call.to, plan.account, read.args[0]))
  }
  const missing = needs.find(({ holds }) => !closing.some(holds))
  if (missing !== undefined) refuse('ASSERTION_MISSING', `Its last calls do not assert ${missing.what}.`)
  const { kind } = action.rule
  const content = evacuates || RISK_REDUCING.has(kind) ? 'riskReducing' : 'other'
  const fees = (content === 'riskReducing' ? policy.riskReducing : policy).gas
  judgeFeeCap(plan, max(fees.maxFeePerGas, policy.gas.maxFeePerGas))
  return { kind, content, moved: kind === 'revoke' ? [gas] : [movement(action, book), gas] }
}

/**
 * The one plan that sends the native coin: all that is not needed for gas any more, at the end of an evacuation.
 *
 * Only the destination gets anything, by a call without data. And the chain must find no debt left: whoever could have
 * this signed before would take the gas from a rescue, and gain by the liquidation. Without a debt nothing is lost but
 * time.
 */
function judgeSweep({ calls, via, lastValidBlock }: Plan, context: Omit<RuleContext, 'target'>): void {
  const { book, policy, account } = context
  const [sent, ...others] = calls
  if (sent === undefined || via !== undefined || others.some(({ value }) => value !== 0n))
    refuse('RECIPIENT_NOT_ALLOWED', 'It sends the native coin otherwise than an evacuation ends.')
  if (!policy.recipients.some((to) => isAddressEqual(to, sent.to)))
    refuse('RECIPIENT_NOT_ALLOWED', `It sends ${sent.value} wei to ${sent.to}.`)
  if (sent.data !== '0x') refuse('CALLDATA_UNREADABLE', `It calls ${sent.to}, to which it may only send.`)
  const closing = others.map((call) => readStep(call, context).read)
  if (closing.some(({ role }) => role !== 'rialto.assert'))
    refuse('EFFECT_UNEXPECTED', 'It sends the native coin and does something besides.')
  const needs = [inTime(lastValidBlock), healthFactor(book.aaveV3.pool, account, MAX_UINT256)]
  const missing = needs.find(({ holds }) => !closing.some(holds))
  if (missing !== undefined) refuse('ASSERTION_MISSING', `Its last calls do not assert ${missing.what}.`)
}

/** What a plan does. One that takes an allowance back and does nothing else is a revoke. */
function actionsOf(steps: readonly Step[]): readonly Step[] {
  const actions = steps.filter(({ rule }) => rule.kind !== null)
  const [deed, another] = steps.filter(({ read }) => read.role !== 'rialto.assert')
  const isRevoke =
    (deed?.read.functionName === 'approve' || deed?.read.functionName === 'approveDelegation') &&
    deed.read.args[1] === 0n &&
    another === undefined
  return isRevoke ? [{ ...deed, rule: { ...deed.rule, kind: 'revoke' } }] : actions
}

/** Who acts: an account for itself, or the member of a role for the one Safe that the signer knows it to act for. */
function judgeRoute({ account, calls, via, delegateTo }: Plan, safe: SafeAccount | undefined): void {
  if (via === undefined) {
    if (safe !== undefined && calls.length > 0)
      refuse('CONTRACT_NOT_ALLOWED', `${account} acts for the Safe ${safe.account} alone.`)
    return
  }
  const isKnown =
    safe !== undefined &&
    isAddressEqual(account, safe.account) &&
    isAddressEqual(via.modifier, safe.modifier) &&
    isAddressEqual(via.multiSend, safe.multiSend) &&
    via.roleKey.toLowerCase() === safe.roleKey.toLowerCase()
  if (!isKnown) refuse('CONTRACT_NOT_ALLOWED', `${via.sender} does not act for ${account} in this way.`)
  if (delegateTo !== null) refuse('CONTRACT_NOT_ALLOWED', 'A Safe delegates its code to nobody.')
}

function judgeEmpty({ delegateTo, gasLimit }: Plan): void {
  if (delegateTo !== null) refuse('CONTRACT_NOT_ALLOWED', 'An empty transaction delegates to nobody.')
  if (gasLimit > MAX_EMPTY_GAS_LIMIT)
    refuse(
      'GAS_CAP',
      `The gas limit of an empty transaction is ${gasLimit}; the signer's is ${MAX_EMPTY_GAS_LIMIT}.`,
    )
}

/** By the token's symbol. A token without one cannot be counted, and so not be moved. */
function movement({ rule, read }: Step, book: AddressBook): Movement {
  const { moves } = rule
  const token =
    moves === null ? undefined : book.tokens.find(({ address }) => isAddressEqual(address, moves.token))
  if (moves === null || token === undefined)
    refuse(
      'TOKEN_UNKNOWN',
      `What ${read.contract}.${read.functionName} moves has no symbol in the address book.`,
    )
  return { token: token.symbol, amount: moves.amount }
}

/** All but the calls: what runs as the account, what it may cost, and how long it holds. */
function judgeFrame(plan: Plan, policy: Policy, book: AddressBook): void {
  if (plan.chainId !== book.chainId)
    refuse('PLAN_MISMATCH', `It is for chain ${plan.chainId}, and this signer's is ${book.chainId}.`)
  if (plan.policyVersion !== policy.version)
    refuse(
      'PLAN_MISMATCH',
      `It was judged under policy ${plan.policyVersion}; the signer's is ${policy.version}.`,
    )
  if (policy.mode === 'observe') refuse('TRADING_HALTED', 'The policy only lets its agent observe.')
  if (book.rialto === undefined)
    refuse('CONTRACT_NOT_ALLOWED', 'Our own contracts are not in the address book, so no plan can be atomic.')
  else if (plan.delegateTo !== null && !isAddressEqual(plan.delegateTo, book.rialto.batchAccount))
    refuse('CONTRACT_NOT_ALLOWED', `The account would run the code of ${plan.delegateTo}.`)

  judgeFeeCap(plan, max(policy.gas.maxFeePerGas, policy.riskReducing.gas.maxFeePerGas))
  if (plan.maxPriorityFeePerGas > plan.maxFeePerGas)
    refuse('GAS_CAP', 'Its priority fee is higher than its fee cap.')
  if (plan.gasLimit > MAX_GAS_LIMIT)
    refuse('GAS_CAP', `Its gas limit is ${plan.gasLimit}; the signer's is ${MAX_GAS_LIMIT}.`)
}

function judgeFeeCap({ maxFeePerGas }: Plan, cap: bigint): void {
  if (maxFeePerGas > cap) refuse('GAS_CAP', `It pays up to ${maxFeePerGas} wei per gas; the limit is ${cap}.`)
}

function readStep(call: Call, context: Omit<RuleContext, 'target'>): Step {
  const { book, policy } = context
  const contract = contractName(call.to, book)
  if (contract === null)
    refuse('CONTRACT_NOT_ALLOWED', `It calls ${call.to}, which is not in the address book.`)
  if (call.value !== 0n) refuse('RECIPIENT_NOT_ALLOWED', `It sends ${call.value} wei to ${contract}.`)
  const read = decodeCall(call, book)
  if (read === null) refuse('CALLDATA_UNREADABLE', `What it calls ${contract} with cannot be read.`)
  const functions = Object.hasOwn(policy.contracts, contract) ? policy.contracts[contract] : undefined
  if (functions === undefined)
    refuse('CONTRACT_NOT_ALLOWED', `It calls ${contract}, which the policy does not allow.`)
  if (!functions.includes(read.functionName))
    refuse('SELECTOR_NOT_ALLOWED', `It calls ${contract}.${read.functionName}.`)
  const rule = ruleOf(read, { ...context, target: call.to })
  if (rule === null)
    refuse('NOT_JUDGEABLE', `${contract}.${read.functionName} with these arguments has no place in a plan.`)
  for (const { named, allowed } of rule.parties)
    if (!allowed.some((address) => isAddressEqual(address, named)))
      refuse('RECIPIENT_NOT_ALLOWED', `${contract}.${read.functionName} names ${named}.`)
  return { call, read, rule }
}

/** An approval takes back, or is for exactly what the plan's one action takes. */
function judgeApproval(token: Address, spender: Address, amount: bigint, { pulls }: CallRule): void {
  if (amount === 0n) return
  if (amount >= UNLIMITED) refuse('APPROVAL_UNLIMITED', `It approves ${spender} without a limit.`)
  if (pulls === null || !isAddressEqual(pulls.token, token) || !isAddressEqual(pulls.spender, spender))
    refuse('RECIPIENT_NOT_ALLOWED', `It approves ${spender}, who takes none of ${token} in this plan.`)
  if (amount !== pulls.amount)
    refuse('APPROVAL_UNLIMITED', `It approves ${amount} of ${token}, and the plan takes ${pulls.amount}.`)
}

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b)

export function refuse(denial: DenialCode, why: string): never {
  throw new SignerError('PLAN_REFUSED', `The signer refuses the plan (${denial}): ${why}`, {
    fix: 'Guards and signer must be given the same policy; a plan that only the signer refuses means that one of them is compromised or wrong.',
    details: { denial },
  })
}
