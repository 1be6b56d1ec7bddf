import {
  type Address,
  type Hex,
  hashTypedData,
  isAddressEqual,
  recoverTypedDataAddress,
  type TypedDataDomain,
} from 'viem'
import { type Canonical, canonicalHash } from './canonical.ts'
import type { Hash } from './ids.ts'
import { type Effects, type Plan, planHash, type SignedApproval } from './lifecycle.ts'

/** What an owner signs, before anybody has. */
export type PlanApproval = Omit<SignedApproval, 'signatures'>

/** What a policy says of approvals. */
export type ApprovalRules = {
  /** Whose signatures count. */
  readonly owners: readonly Address[]
  /** How many different owners have to sign. */
  readonly threshold: number
  /** How far ahead an approval may expire. */
  readonly expirySeconds: number
}

const types = {
  PlanApproval: [
    { name: 'planHash', type: 'bytes32' },
    { name: 'effectsHash', type: 'bytes32' },
    { name: 'policyVersion', type: 'string' },
    { name: 'expiresAt', type: 'uint64' },
  ],
} as const

/**
 * What an owner's wallet is asked to sign (EIP-712): the exact plan, what it was shown to do, the policy it was judged
 * by, and until when. The domain names the account that acts, so an approval holds for one account on one chain.
 *
 * @example await owner.signTypedData(approvalTypedData(plan, { planHash, effectsHash, policyVersion, expiresAt }))
 */
export function approvalTypedData(plan: Pick<Plan, 'chainId' | 'account'>, approval: PlanApproval) {
  const { planHash, effectsHash, policyVersion, expiresAt } = approval
  const domain = {
    name: 'Rialto',
    version: '1',
    chainId: plan.chainId,
    verifyingContract: plan.account,
  } as const satisfies TypedDataDomain
  return {
    domain,
    types,
    primaryType: 'PlanApproval',
    message: { planHash, effectsHash, policyVersion, expiresAt },
  } as const
}

/** By what was signed and the signature: curves are slow, and a request that waits is looked at in every block. */
const recovered = new Map<string, Address>()
const REMEMBERED = 1_000

/**
 * Whose signature over an approval it is.
 *
 * @param signature 65 bytes
 * @throws whatever viem throws for what nobody can have signed.
 */
export async function recoverApprover(
  typedData: ReturnType<typeof approvalTypedData>,
  signature: Hex,
): Promise<Address> {
  const key = `${hashTypedData(typedData)}${signature.toLowerCase()}`
  const known = recovered.get(key)
  if (known !== undefined) return known
  const signer = await recoverTypedDataAddress({ ...typedData, signature })
  if (recovered.size >= REMEMBERED) recovered.clear()
  recovered.set(key, signer)
  return signer
}

/** What the effects that owners are shown are signed under. The spelling of an address does not change it. */
export const effectsHash = (effects: Effects): Hash =>
  canonicalHash(inLowerCase(effects as unknown as Canonical))

function inLowerCase(value: Canonical): Canonical {
  if (typeof value === 'string') return value.toLowerCase()
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return (value as readonly Canonical[]).map(inLowerCase)
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, inLowerCase(member)]))
}

/**
 * How many different owners signed an approval of a plan. Anything that is no signature of an owner over exactly this
 * counts nothing, and two of one owner count once.
 */
export async function countValidSignatures(
  plan: Pick<Plan, 'chainId' | 'account'>,
  approval: SignedApproval,
  owners: readonly Address[],
): Promise<number> {
  const typedData = approvalTypedData(plan, approval)
  const signers = new Set<string>()
  for (const signature of approval.signatures) {
    // 65 bytes, and nothing that a decoder would make the same of.
    if (!/^0x[0-9a-f]{130}$/i.test(signature)) continue
    try {
      const signer = await recoverApprover(typedData, signature)
      if (owners.some((owner) => isAddressEqual(owner, signer))) signers.add(signer.toLowerCase())
    } catch {
      // What nobody can have signed throws, and counts nothing.
    }
  }
  return signers.size
}

/**
 * What keeps an approval from letting a plan through, as one line for a person; null when it does. `effectsHash` is
 * not looked at here: whoever can simulate compares it with what the plan does now.
 *
 * @param now seconds since 1970
 * @example await approvalFault(plan, approval, policy.approvals, now) // 'it expired 30 seconds ago'
 */
export async function approvalFault(
  plan: Plan,
  approval: SignedApproval,
  { owners, threshold, expirySeconds }: ApprovalRules,
  now: bigint,
): Promise<string | null> {
  if (approval.planHash.toLowerCase() !== planHash(plan)) return 'it is for another plan'
  if (approval.policyVersion !== plan.policyVersion) return 'it is for another policy'
  if (approval.expiresAt <= now) return `it expired ${now - approval.expiresAt} seconds ago`
  const furthest = now + BigInt(expirySeconds)
  if (approval.expiresAt > furthest) return `it expires ${approval.expiresAt - furthest} seconds too late`
  const valid = await countValidSignatures(plan, approval, owners)
  if (valid < threshold)
    return `it has ${valid} valid signatures of owners, and the policy asks for ${threshold}`
  return null
}
