import { type Address, formatEther, type Hex } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import { describeError } from '../core/errors.ts'
import { type AgentId, agentId, type Hash } from '../core/ids.ts'
import type { Action } from '../core/intent.ts'
import type { Chain, Logger, Signer } from '../core/ports.ts'
import type { BlockRef } from '../core/snapshot.ts'
import type { Policy } from '../guards/policy.ts'
import { createUnaided, type Turn } from '../protector/createUnaided.ts'
import type { Denied } from '../protector/preparePlan.ts'
import { isDeep } from '../stages/confirm/depth.ts'
import type { ApprovalName, ApprovalSearch } from './approvalSearch.ts'
import { type EvacuationScene, isOfValue, nextStep, type Remainder } from './nextStep.ts'
import { observeEvacuee } from './observeEvacuee.ts'
import { prepareSweep } from './prepareSweep.ts'

type Revoke = Extract<Action, { readonly kind: 'revoke' }>

export type EvacuationOptions = {
  readonly chain: Chain
  readonly signer: Pick<Signer, 'sign' | 'signedFrom'>
  readonly logger: Logger
  readonly book: AddressBook
  readonly agent: AgentId
  readonly account: Address
  /** As `evacuationPolicy` derives it: the signer knows the same by the same version. */
  readonly policy: Policy
  /** Who besides the contracts of the address book may take something. */
  readonly search: ApprovalSearch
  /** Whether the owner's order to evacuate holds. To throw is no. */
  readonly isOrdered: () => boolean
  readonly blockSeconds: bigint
  explainRevert(data: Hex): string
}

/**
 * How an evacuation stands after a block.
 *
 * | kind | meaning |
 * |---|---|
 * | `acted` | the next step was signed and sent |
 * | `resent` | the step that is out may still be mined, and was sent again |
 * | `denied` | a guard, the simulation or the signer refuses the next step |
 * | `waiting` | nothing can be done on this block, and something of value is left |
 * | `confirming` | nothing of value is left, in a block that is not deep enough yet |
 * | `done` | nothing of value is left |
 * | `ended` | the owner's order does not hold any more |
 */
export type EvacuationProgress =
  | { readonly kind: 'acted' | 'resent'; readonly reason: string; readonly hash: Hash }
  | Denied
  | { readonly kind: 'waiting' | 'confirming' | 'done'; readonly remains: readonly Remainder[] }
  | { readonly kind: 'ended' }

/** The name under which the intents of an evacuation are made. */
const NAME = agentId('evacuation')

/** Blocks in a row on which a token has to refuse before it is believed: one node's word for one block is no proof. */
const REFUSALS = 3

/**
 * Unwinds an account's position and moves out what is there, one atomic and asserted plan after the other, each made when
 * the last is mined. It needs a chain and a signer and nothing else, and keeps nothing: what comes next is told by the
 * chain, what is out by the signer's ledger, and that it is wanted by the owner's order. So it goes on where it was
 * after a crash, as often as it takes.
 *
 * On the lowest nonce that the chain has not used it outbids whatever was signed there: a worker's attempt at once, and a
 * step of its own when it was not mined in time.
 *
 * @example
 * const evacuation = createEvacuation({ chain, signer, logger, book, agent, account, policy: evacuationPolicy(policy, book, to),
 *   search: noSearch, isOrdered: () => orders.evacuates({ agent, account }), blockSeconds: 12n, explainRevert: decodeRevert })
 * for await (const { head } of watchHeads(chain, options)) await evacuation.atHead(head)
 */
export function createEvacuation(options: EvacuationOptions): {
  atHead(head: BlockRef): Promise<EvacuationProgress>
} {
  const { policy, logger } = options
  const unaided = createUnaided({ ...options, name: NAME, tradingState: 'active' })
  /** The first block of those in which nothing was left. */
  let emptySince: bigint | null = null
  /** What the chain refused to take back, again and again: it must not keep everything else where it is. */
  const unrevokable: (ApprovalName & { readonly why: string })[] = []
  /** What it refused to take back last, and on how many blocks in a row. */
  let refused: (ApprovalName & { readonly at: bigint; readonly times: number }) | null = null

  async function atHead(head: BlockRef): Promise<EvacuationProgress> {
    if (!isOrdered()) return { kind: 'ended' }
    const turn = await unaided.turn(head)
    const latest = turn.rivals.at(-1)
    if (latest?.plan.policyVersion === policy.version && unaided.isFresh(latest.plan, head))
      return { kind: 'resent', reason: await unaided.send(latest.raw, turn, head), hash: latest.hash }

    const scene = await observeEvacuee(options, head)
    const step = nextStep({ ...scene, unrevokable })
    if (step.action === null) return rest(scene, step.remains, turn)
    const { action, reason } = step
    emptySince = null
    const deed = await unaided.act(scene.snapshot, action, turn)
    if (deed.kind === 'denied') {
      // That a guard or the signer refuses says nothing of the token, which may well give it back.
      if (action.kind === 'revoke' && deed.by === 'simulation') countRefusal(action, deed.reason, head)
      else refused = null
      return { ...deed, reason: `${reason}: ${deed.reason}` }
    }
    refused = null
    return { kind: 'acted', reason: `${reason}; ${deed.outcome}`, hash: deed.hash }
  }

  function countRefusal({ asset: token, spender }: Revoke, why: string, { number: at }: BlockRef): void {
    const last = refused?.token === token && refused.spender === spender ? refused : null
    if (last?.at === at) return
    const times = (last?.times ?? 0) + 1
    refused = { token, spender, at, times }
    if (times >= REFUSALS) unrevokable.push({ token, spender, why })
  }

  async function rest(
    { snapshot, isSearching }: EvacuationScene,
    remains: readonly Remainder[],
    turn: Turn,
  ): Promise<EvacuationProgress> {
    const { block: head, wallet } = snapshot
    if (remains.some(isOfValue)) {
      emptySince = null
      return { kind: 'waiting', remains }
    }
    if (emptySince === null || head.number < emptySince) emptySince = head.number
    const isSettled = isSearching !== true && (await isDeep(options, policy, { number: emptySince }, head))
    if (!isSettled) return { kind: 'confirming', remains }
    // Only now: a reorganisation that gives something back must find what moving it again costs.
    const sweep = await prepareSweep(
      { ...options, name: NAME },
      snapshot,
      wallet.native,
      turn.rivals.map(({ plan }) => plan),
    )
    if (sweep.kind === 'stays') return { kind: 'done', remains: withReason(remains, sweep.why) }
    emptySince = null
    const reason = `send ${formatEther(sweep.amount)} of the native coin to ${sweep.plan.calls[0]?.to}`
    const deed = await unaided.carryOut(sweep.plan, sweep.reserved, snapshot, turn)
    if (deed.kind === 'denied') return { kind: 'done', remains: withReason(remains, deed.reason) }
    return { kind: 'acted', reason: `${reason}; ${deed.outcome}`, hash: deed.hash }
  }

  const withReason = (remains: readonly Remainder[], why: string): readonly Remainder[] =>
    remains.map((remainder) => (remainder.what === 'native' ? { ...remainder, why } : remainder))

  /** An order that cannot be read is none. */
  function isOrdered(): boolean {
    try {
      return options.isOrdered()
    } catch (error) {
      logger.error({ error: describeError(error) }, 'the owner’s orders cannot be read: nothing is evacuated')
      return false
    }
  }

  return { atHead }
}
