import { type Address, type Hex, isAddressEqual } from 'viem'
import { approvalTypedData, effectsHash, type PlanApproval, recoverApprover } from './approvals.ts'
import { InvalidInputError, RialtoError } from './errors.ts'
import type { AgentId, Hash, IntentId } from './ids.ts'
import type { Effects, Plan, SignedApproval } from './lifecycle.ts'
import type { Usd } from './units.ts'

/**
 * Where a request for a person's approval stands.
 *
 * `pending` → `approved` (enough owners signed). Both → `rejected` (a person said no), `expired` (nobody said enough in
 * time), `void` (the plan does not do any more what was shown). What is approved is signed at the next head that it still
 * holds at; the intent says that it was.
 */
export type ApprovalStatus = 'pending' | 'approved' | 'rejected' | 'expired' | 'void'

/** How a request ends without a signature of the account. */
export type ApprovalEnd = Exclude<ApprovalStatus, 'pending' | 'approved'>

/** What a person is asked, exactly as it was when it was asked. It never changes. */
export type ApprovalRequest = {
  /** The plan's hash: one plan is asked about once. */
  readonly id: Hash
  readonly intentId: IntentId
  readonly agent: AgentId
  /** Whose money the plan moves. */
  readonly account: Address
  readonly plan: Plan
  /** What the plan was measured to do on `plan.block`. */
  readonly effects: Effects
  readonly policyVersion: string
  /** The most that it may cost, counted against the caps on spend while it waits. */
  readonly reserved: Usd
  /** Whose signatures count, and of how many different ones, by the policy of that version. */
  readonly owners: readonly Address[]
  readonly threshold: number
  /** Seconds since 1970, by the clock of a machine and not of the chain. */
  readonly requestedAt: bigint
  /**
   * Seconds since 1970, by that clock or the signer's, whichever is ahead, at which no signature helps any more. Part of
   * what is signed.
   */
  readonly expiresAt: bigint
}

/** A signature as it came. */
export type ApprovalSignature = {
  readonly signer: Address
  /** 65 bytes over {@link approvalTypedData}. */
  readonly signature: Hex
  /** Seconds since 1970, by the clock of whoever took it. */
  readonly signedAt: bigint
}

export type ApprovalRecord = ApprovalRequest & {
  readonly status: ApprovalStatus
  /** One for each owner who signed, in the order they came. */
  readonly signatures: readonly ApprovalSignature[]
  /** Why it ended; null while it has not. */
  readonly reason: string | null
}

/** Whether something may still come of a request. */
export const isWaiting = ({ status }: Pick<ApprovalRecord, 'status'>): boolean =>
  status === 'pending' || status === 'approved'

/** What the owners of a request sign. @example approvalTypedData(request.plan, approvalOf(request)) */
export const approvalOf = ({ id, effects, policyVersion, expiresAt }: ApprovalRequest): PlanApproval => ({
  planHash: id,
  effectsHash: effectsHash(effects),
  policyVersion,
  expiresAt,
})

/** What the signer is handed along with the plan. */
export const signedApproval = (record: ApprovalRecord): SignedApproval => ({
  ...approvalOf(record),
  signatures: record.signatures.map(({ signature }) => signature),
})

/** A signature that does not count. */
export class ApprovalSignatureError extends InvalidInputError {
  override readonly name = 'ApprovalSignatureError'
  constructor(why: string, details: Record<string, unknown>) {
    super(`The signature does not count: ${why}.`, {
      code: 'APPROVAL_SIGNATURE',
      fix: 'Sign exactly what "rialto approvals approve --print-typed-data" prints, with the key of one of the owners.',
      details,
    })
  }
}

/** A request that nothing can be done with any more. */
export class ApprovalClosedError extends RialtoError {
  override readonly name = 'ApprovalClosedError'
  constructor(id: Hash, why: string) {
    super('APPROVAL_CLOSED', `The request ${id} cannot be answered any more: ${why}.`, {
      fix: 'See what is asked now with "rialto approvals list".',
      details: { id },
    })
  }
}

/**
 * Whose signature it is.
 *
 * @throws {ApprovalSignatureError} when it is not one of an owner over exactly this request.
 */
export async function signerOf(request: ApprovalRequest, signature: Hex): Promise<Address> {
  const details = { id: request.id }
  if (!/^0x[0-9a-f]{130}$/i.test(signature))
    throw new ApprovalSignatureError('it is not 65 bytes of hex', details)
  const typedData = approvalTypedData(request.plan, approvalOf(request))
  let signer: Address
  try {
    signer = await recoverApprover(typedData, signature)
  } catch {
    throw new ApprovalSignatureError('nobody can have signed it', details)
  }
  if (!request.owners.some((owner) => isAddressEqual(owner, signer)))
    throw new ApprovalSignatureError(`over this plan it is one of ${signer}, who is no owner`, {
      ...details,
      signer,
    })
  return signer
}
