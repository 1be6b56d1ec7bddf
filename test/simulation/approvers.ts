import type { Address, Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { type ApprovalRecord, approvalOf } from '../../runtime/core/approvalRecords.ts'
import { approvalTypedData } from '../../runtime/core/approvals.ts'
import { RialtoError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Journal } from '../../runtime/core/journal.ts'
import { WETH } from '../../runtime/protocols/sampleSnapshot.fixture.ts'
import { priceIn } from '../twins/chain/marketState.ts'
import type { MemoryChain } from '../twins/memoryChain.ts'
import type { FaultPlan } from './faults.ts'
import type { Random } from './random.ts'

const keys = ['0xa1', '0xb2'].map((key) => privateKeyToAccount(`0x${key.slice(2).repeat(32)}`))

/** The people whose leave the policy asks for. */
export const approvers: readonly Address[] = keys.map(({ address }) => address)

/** How somebody answers what he is asked. */
const ways = [
  'approves',
  'approves late',
  'approves twice',
  'rejects',
  'never answers',
  'approves after expiry',
  'approves after a drift',
] as const
type Way = (typeof ways)[number]

export type Approvers = {
  /** A block time passes. */
  tick(journal: Journal): Promise<readonly string[]>
  /** How many different owners have signed for a plan, whatever became of their signatures, and until when it holds. */
  given(plan: Hash): { readonly signers: number; readonly expiresAt: bigint }
}

type Asked = {
  readonly way: Way
  /** The first block at which there is an answer. */
  readonly from: bigint
  readonly price: bigint
  readonly signers: Set<Address>
  expiresAt: bigint
}

/**
 * Owners with real keys, who sign real EIP-712 approvals: at once, after some blocks, twice, after the request expired,
 * or once prices have moved since it was made. Some say no, some say nothing. What the journal loses of their answers
 * in a power cut they give again when they are asked again.
 */
export function createApprovers(random: Random, faults: FaultPlan, chain: MemoryChain): Approvers {
  const asked = new Map<Hash, Asked>()
  const answers = new Map<string, Hex>()
  const price = () => priceIn(chain.head().state, WETH)

  function ask({ id, expiresAt }: ApprovalRecord): Asked {
    const known = asked.get(id)
    if (known !== undefined) return known
    const way = random.pick([...ways, 'approves', 'approves'] as const)
    const after = way === 'approves late' ? random.between(2, 5) : random.between(0, 1)
    const from = chain.head().number + BigInt(after)
    const fresh: Asked = { way, from, price: price(), signers: new Set(), expiresAt }
    asked.set(id, fresh)
    return fresh
  }

  function isDue({ way, from, price: before }: Asked, request: ApprovalRecord): boolean {
    const { number, timestamp } = chain.head()
    if (way === 'never answers' || number < from) return false
    if (way === 'approves after expiry') return timestamp >= request.expiresAt
    if (way === 'approves after a drift') return price() !== before
    return true
  }

  async function sign(journal: Journal, one: Asked, request: ApprovalRecord): Promise<void> {
    const { timestamp } = chain.head()
    for (const key of keys.slice(0, request.threshold)) {
      const name = `${request.id}/${key.address}`
      const signature =
        answers.get(name) ?? (await key.signTypedData(approvalTypedData(request.plan, approvalOf(request))))
      answers.set(name, signature)
      one.signers.add(key.address)
      one.expiresAt = request.expiresAt
      await journal.addApproval(request.id, signature, timestamp)
    }
  }

  async function answer(journal: Journal, request: ApprovalRecord): Promise<string | null> {
    const one = ask(request)
    const isSigned = request.status === 'approved' && one.way !== 'approves twice'
    if (isSigned || !isDue(one, request)) return null
    try {
      if (one.way === 'rejects') await journal.endApproval(request.id, 'rejected', 'no')
      else await sign(journal, one, request)
      faults.count(one.way)
      return `${request.id.slice(0, 10)}: an owner ${one.way}`
    } catch (error) {
      // Too late for a request that ended: he is told so.
      if (!(error instanceof RialtoError)) throw error
      faults.count(one.way)
      return `${request.id.slice(0, 10)}: an owner ${one.way}, in vain (${error.code})`
    }
  }

  return {
    async tick(journal) {
      const lines: string[] = []
      // Of what was asked, those who come too late have only their memory.
      for (const request of await journal.approvals()) {
        const one = asked.get(request.id)
        const isOpen = request.status === 'pending' || request.status === 'approved'
        const isLate = one?.way === 'approves after expiry' && one.signers.size === 0
        if (!isOpen && !isLate) continue
        if (one === undefined && ask(request).way === 'never answers') faults.count('never answers')
        const line = await answer(journal, request)
        if (line !== null) lines.push(line)
      }
      return lines
    },
    given: (plan) => {
      const one = asked.get(plan)
      return { signers: one?.signers.size ?? 0, expiresAt: one?.expiresAt ?? 0n }
    },
  }
}
