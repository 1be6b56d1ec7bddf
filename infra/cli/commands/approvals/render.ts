import { formatUnits } from 'viem'
import type { AddressBook } from '../../../../runtime/core/addressBook.ts'
import type { ApprovalRecord } from '../../../../runtime/core/approvalRecords.ts'
import { plainLine } from '../../../../runtime/core/plainLine.ts'
import { formatUsd } from '../../../../runtime/core/units.ts'
import { describeEffects, describePlan, nameAddress } from '../../../approvals/describePlan.ts'
import type { ApprovalView } from '../../../approvals/view.ts'
import { money } from '../../money.ts'

/** The most that is shown of an agent's own words, and of why a request ended. */
const MAX_REASON = 300
/** The most that a configuration takes for a name. */
const MAX_NAME = 63
/** A hash has 66 characters. */
const MAX_VERSION = 80

/** Who asks, as the journal has it: whoever can write there must not write what looks like a part of the plan. */
const nameOf = ({ agent }: Pick<ApprovalRecord, 'agent'>): string => plainLine(agent, MAX_NAME)

const time = (seconds: bigint): string =>
  new Date(Number(seconds) * 1_000).toISOString().replace('.000Z', ' UTC').replace('T', ' ')

/** @example standingOf(view) // 'pending, 1 of 2 signatures' */
export function standingOf({ record, intent }: ApprovalView): string {
  const { status, signatures, threshold, reason } = record
  const count = `${status}, ${signatures.length} of ${threshold} signature${threshold === 1 ? '' : 's'}`
  if (reason !== null) return `${count}: ${plainLine(reason, MAX_REASON)}`
  return intent === 'proposed' ? count : `${count}; its intent is ${intent}`
}

/** One request as one line. */
export const renderLine = (view: ApprovalView): string => {
  const { id, plan, expiresAt } = view.record
  return `${id}  ${nameOf(view.record)}, chain ${plan.chainId}  ${standingOf(view)}  until ${time(expiresAt)}`
}

/** Everything that a person signs, told from the plan itself. */
export function renderRequest(view: ApprovalView, book: AddressBook): string {
  const { record, reason } = view
  const { plan, effects, account } = record
  const ether = (amount: bigint) => formatUnits(amount, 18)
  return [
    `${record.id}: ${standingOf(view)}`,
    `  ${nameOf(record)} for ${account} on chain ${plan.chainId}, under policy ${plainLine(record.policyVersion, MAX_VERSION)}`,
    `  asked ${time(record.requestedAt)}; no signature helps after ${time(record.expiresAt)}`,
    `  the agent's own words, which nobody vouches for: "${plainLine(reason, MAX_REASON)}"`,
    '',
    `What is signed: one transaction of these calls, all of them or none, in block ${plan.lastValidBlock} at the latest`,
    ...describePlan(plan, book).map((line) => `  ${line}`),
    ...(plan.delegateTo === null
      ? []
      : [`  The account is made to run the code of ${nameAddress(plan.delegateTo, account, book)}.`]),
    ...(plan.via === undefined
      ? []
      : [`  ${plan.via.sender} sends it for the Safe, through the role modifier ${plan.via.modifier}.`]),
    '',
    `What it did when it was simulated on block ${plan.block.number} (${plan.block.hash})`,
    ...describeEffects(effects, account, book).map((line) => `  ${line}`),
    '',
    'What it may cost',
    `  ${effects.gasUsed} gas then, at most ${plan.gasLimit} at ${formatUnits(plan.maxFeePerGas, 9)} gwei: ${ether(plan.gasLimit * plan.maxFeePerGas)} of the native coin at most`,
    `  $${money(formatUsd(record.reserved))} at most, with the loss above`,
    '',
    `Who may approve it (${record.threshold} of ${record.owners.length} have to)`,
    ...owners(record),
  ].join('\n')
}

function owners({ owners: named, signatures }: ApprovalRecord): readonly string[] {
  if (named.length === 0)
    return ['  nobody: the policy names no owners (approvals.owners), so it can only expire or be rejected']
  return named.map((owner) => {
    const signature = signatures.find(({ signer }) => signer === owner)
    return `  ${owner}  ${signature === undefined ? 'has not signed' : `signed ${time(signature.signedAt)}`}`
  })
}
