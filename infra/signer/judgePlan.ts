import { type Address, isAddressEqual } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { Call, Plan } from '../../runtime/core/lifecycle.ts'
import { MAX_UINT256 } from '../../runtime/core/units.ts'
import type { DenialCode } from '../../runtime/core/verdict.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import { contractName } from '../../runtime/protocols/contracts.ts'
import { type DecodedCall, decodeCall } from '../../runtime/protocols/decodeCall.ts'
import { SignerError } from './errors.ts'
import { type CallRule, inTime, type Need, nothingLeft, type RuleContext, ruleOf } from './planRules.ts'

/**
 * The most gas that the signer lets a transaction have. Several times what the dearest plan of ours takes; with the
 * policy's fee cap it bounds what a plan can burn.
 */
export const MAX_GAS_LIMIT = 3_000_000n

/** An allowance from here on counts as one without a limit. */
const UNLIMITED = MAX_UINT256 / 2n

type Step = { readonly call: Call; readonly read: DecodedCall; readonly rule: CallRule }

/**
 * Judges a plan by the signer's own copy of policy and address book, and by the bytes of its calls alone: whoever
 * made it may be compromised.
 *
 * A plan is one action with the approvals that it uses up, and then assertions. What this cannot judge, because it
 * takes the state of the chain, is whether the action is *good*: that is what the guards and the simulation are for.
 *
 * @throws {SignerError} `PLAN_REFUSED`, with the guard's denial code in `details.denial`.
 */
export function judgePlan(plan: Plan, policy: Policy, book: AddressBook): void {
  const context: RuleContext = { book, policy, account: plan.account }
  judgeFrame(plan, policy, book)
  const steps = plan.calls.map((call) => readStep(call, context))
  const actions = steps.filter(({ rule }) => rule.kind !== null)
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

  const feeCap = max(policy.gas.maxFeePerGas, policy.riskReducing.gas.maxFeePerGas)
  if (plan.maxFeePerGas > feeCap)
    refuse('GAS_CAP', `It pays up to ${plan.maxFeePerGas} wei per gas; the limit is ${feeCap}.`)
  if (plan.maxPriorityFeePerGas > plan.maxFeePerGas)
    refuse('GAS_CAP', 'Its priority fee is higher than its fee cap.')
  if (plan.gasLimit > MAX_GAS_LIMIT)
    refuse('GAS_CAP', `Its gas limit is ${plan.gasLimit}; the signer's is ${MAX_GAS_LIMIT}.`)
  const furthest = plan.block.number + BigInt(policy.lastValidBlocks)
  if (plan.lastValidBlock > furthest)
    refuse('EXPIRY_TOO_FAR', `It may be mined until block ${plan.lastValidBlock}; the limit is ${furthest}.`)
}

function readStep(call: Call, context: RuleContext): Step {
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
  const rule = ruleOf(read, context)
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

function refuse(denial: DenialCode, why: string): never {
  throw new SignerError('PLAN_REFUSED', `The signer refuses the plan (${denial}): ${why}`, {
    fix: 'Guards and signer must be given the same policy; a plan that only the signer refuses means that one of them is compromised or wrong.',
    details: { denial },
  })
}
