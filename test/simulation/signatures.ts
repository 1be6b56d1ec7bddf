import type { Hash } from '../../runtime/core/ids.ts'
import type { Plan } from '../../runtime/core/lifecycle.ts'
import type { SubmissionRoute } from '../../runtime/core/ports.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import type { Block } from '../twins/chain/execution.ts'
import { accountIn } from '../twins/chain/marketState.ts'
import { selector } from '../twins/chain/words.ts'
import type { MemoryChain } from '../twins/memoryChain.ts'
import type { Approvers } from './approvers.ts'
import type { Invariant } from './invariants.ts'
import { ACCOUNT, book } from './scene.ts'
import type { SignerHost, Witnessed } from './signerHost.ts'

/** What is held against every signature, and against every byte that leaves. */
export type SignatureChecks = {
  /** Looks at what was signed since it last did. */
  checkNew(): void
  /** Bytes are handed to a node or to a relay. */
  checkSent(hash: Hash, route: SubmissionRoute): void
  /** Remembers the blocks of the chain as it is now. */
  remember(): void
}

export type SignatureParameters = {
  readonly chain: MemoryChain
  readonly signer: SignerHost
  /** As it was written, whatever the product makes of it. */
  readonly policy: Policy
  readonly approvers: Approvers
  readonly graceBlocks: bigint | null
  readonly violate: (invariant: Invariant, what: string) => void
}

/** What only somebody does who takes more risk. */
const RISKING = new Set([
  selector('withdraw(address,uint256,address)'),
  selector('borrow(address,uint256,uint256,uint16,address)'),
])
const isEmpty = ({ calls }: Plan): boolean => calls.length === 0
const reducesRisk = ({ calls }: Plan): boolean =>
  calls.every(({ data }) => !RISKING.has(data.slice(0, 10) as Hash))

/**
 * The invariants of signatures, by other means than the signer's: plans are judged by what they call, approvals by what
 * the owners remember to have signed, orders by what was in force, the protector's patience by the blocks themselves.
 */
export function createSignatureChecks(parameters: SignatureParameters): SignatureChecks {
  const { chain, signer, policy, approvers, graceBlocks, violate } = parameters
  const nonceOfIntent = new Map<string, bigint>()
  /** The first block that anything on a nonce was made for. */
  const firstOnNonce = new Map<bigint, bigint>()
  const byHash = new Map<Hash, Witnessed>()
  /** What people have let through: the same for a higher fee needs no other word. */
  const allowed = new Set<string>()
  const blocks = new Map<Hash, Block>()
  let highest = 0n
  let checked = 0

  const isUnderFloor = ({ state }: Block): boolean =>
    accountIn(state, book, ACCOUNT).healthFactor < policy.healthFactor.floor

  function checkNonce({ plan: { intentId }, nonce }: Witnessed): void {
    const known = nonceOfIntent.get(intentId)
    if (known !== undefined && known !== nonce)
      violate('an intent has signatures on one nonce only', `${intentId} on ${known} and ${nonce}`)
    nonceOfIntent.set(intentId, nonce)
  }

  function checkOrders({ plan, attemptId, ordered }: Witnessed): void {
    if (ordered === 'active' || isEmpty(plan) || (ordered === 'reducing' && reducesRisk(plan))) return
    violate("nothing is signed against the owner's orders", `${attemptId} while ${ordered}`)
  }

  function checkApproval({ plan, planHash, attemptId, signedAt }: Witnessed): void {
    const { mode, approvals } = policy
    const isFree = mode !== 'propose' && (approvals.personAbove === null || reducesRisk(plan))
    if (isEmpty(plan) || isFree) return
    const deed = JSON.stringify([plan.intentId, plan.calls.map(({ to, data }) => [to, data])])
    const { signers, expiresAt } = approvers.given(planHash)
    if (signers >= approvals.threshold && expiresAt > signedAt) allowed.add(deed)
    if (!allowed.has(deed))
      violate(
        'nothing that needs a person is signed without one',
        `${attemptId} with ${signers} of ${approvals.threshold}`,
      )
  }

  /** It can only have counted from a block that was under the floor, on whatever fork. */
  function checkGrace({ plan, fence, attemptId }: Witnessed): void {
    if (fence !== 'protector') return
    const { block } = plan
    const own = blocks.get(block.hash)
    const since = [...blocks.values()].some(
      (one) => one.number <= block.number - (graceBlocks ?? 0n) && isUnderFloor(one),
    )
    if (graceBlocks === null || own === undefined || !isUnderFloor(own) || !since)
      violate('the protector leaves time to whoever thinks', `${attemptId} on block ${block.number}`)
  }

  return {
    checkNew() {
      for (const record of signer.signed.slice(checked)) {
        checkNonce(record)
        checkOrders(record)
        checkApproval(record)
        checkGrace(record)
        byHash.set(record.hash, record)
        if (!firstOnNonce.has(record.nonce)) firstOnNonce.set(record.nonce, record.plan.block.number)
      }
      checked = signer.signed.length
    },
    checkSent(hash, route) {
      const { submission } = policy
      const record = byHash.get(hash)
      if (route === 'private' || submission.route === 'public' || record === undefined) return
      const age = highest - (firstOnNonce.get(record.nonce) ?? 0n)
      if (submission.publicAfterBlocks === null || age < BigInt(submission.publicAfterBlocks))
        violate('bytes stay private as long as the policy says', `${record.attemptId} after ${age} blocks`)
    },
    remember() {
      const head = chain.head()
      if (head.number > highest) highest = head.number
      for (let block: Block | null = head; block !== null; block = block.parent) {
        if (blocks.has(block.hash)) return
        blocks.set(block.hash, block)
      }
    },
  }
}
