import type { Hex } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import type { Agent } from '../core/agent.ts'
import { describeError } from '../core/errors.ts'
import { type AgentId, agentId, type Hash } from '../core/ids.ts'
import { isRiskReducing, parseIntent } from '../core/intent.ts'
import type { RolesRoute } from '../core/lifecycle.ts'
import type { Chain, Logger, Signer } from '../core/ports.ts'
import type { BlockRef, Snapshot } from '../core/snapshot.ts'
import { formatWad, type Wad } from '../core/units.ts'
import type { TradingState } from '../core/verdict.ts'
import type { Policy } from '../guards/policy.ts'
import { healthFactorOf } from '../stages/measure.ts'
import { observe } from '../stages/observe.ts'
import { createUnaided, type Turn } from './createUnaided.ts'

export type ProtectorOptions = {
  /** The protector's own way to the chain. */
  readonly chain: Chain
  /** Its own way to the signer: it holds no lease, because what would grant one may be down. */
  readonly signer: Pick<Signer, 'sign' | 'signedFrom'>
  readonly logger: Logger
  readonly book: AddressBook
  /** Whose position it guards, and what it has to see for that. */
  readonly guarded: Pick<Agent, 'id' | 'account' | 'watch'>
  readonly policy: Policy
  /** What to do about a snapshot: a pure function, and no model's. */
  readonly rule: (snapshot: Snapshot) => { readonly proposal: unknown; readonly reason: string }
  /** What the owner ordered. To throw is to halt. */
  readonly orders: () => TradingState
  readonly blockSeconds: bigint
  /** Blocks that whoever thinks has under the hard floor before the protector acts. */
  readonly graceBlocks: bigint
  /** How the account is made to act where it is a Safe: by the protector's own key. */
  routeOf?(agent: AgentId): RolesRoute | null
  explainRevert(data: Hex): string
}

/**
 * What the protector did about a block.
 *
 * | kind | meaning |
 * |---|---|
 * | `well` | the health factor is at the hard floor or above |
 * | `halted` | the owner halted everything |
 * | `waiting` | under the floor, and whoever thinks still has time, or what was signed lately may be mined |
 * | `resent` | its own bytes are out and were sent again |
 * | `acted` | it signed and sent a rescue |
 * | `denied` | a guard, the simulation or the signer refuses what the rule wants |
 * | `helpless` | the rule finds nothing that would help |
 */
export type Protection = {
  readonly kind: 'well' | 'halted' | 'waiting' | 'resent' | 'acted' | 'denied' | 'helpless'
  readonly healthFactor: Wad | null
  readonly reason: string
  readonly hash: Hash | null
}

/** The name under which the protector's intents are made. */
const NAME = agentId('protector')

type Sent = { readonly hash: Hash; readonly nonce: bigint }

type Say = (kind: Protection['kind'], reason: string, hash?: Hash | null) => Protection

/**
 * The exit without a brain: watches a position straight from the chain, and when it has been under the hard floor for
 * `graceBlocks`, rescues it by a deterministic rule. It needs a chain and a signer and nothing else: neither inference
 * nor queue, nor journal, nor worker, nor the agent's graph.
 *
 * It takes the lowest nonce that the chain has not used, and outbids what was signed there; whichever is mined decides,
 * and never both. On an account of the agent's own key it shares the nonces with whatever else signs for it. For a Safe it
 * has a key, a role and a budget of its own (`routeOf`, and `policy` as `protectorPolicy` derives it), and waits for
 * nothing that the agent signed: where both are mined, the second reverts by what it asserts of the first, and costs its
 * gas. The journal learns of its transactions from the signer's ledger. Its rescues pass the very guards that an agent's
 * do, with the limits for rescues.
 *
 * @example
 * const protector = createProtector({ chain, signer, logger, book, guarded: guardian, policy, rule, orders,
 *   blockSeconds: 12n, graceBlocks: 1n, explainRevert: decodeRevert })
 * for await (const { head } of watchHeads(chain, options)) await protector.atHead(head)
 */
export function createProtector(options: ProtectorOptions): { atHead(head: BlockRef): Promise<Protection> } {
  const { guarded, policy, logger } = options
  const runtime = { ...options, policyOf: () => policy }
  const { id: agent, account } = guarded
  const unaided = createUnaided({ ...options, name: NAME, agent, account, tradingState: 'reducing' })
  let underSince: bigint | null = null
  let sent: Sent | null = null

  async function atHead(head: BlockRef): Promise<Protection> {
    if (ordered() === 'halted')
      return { kind: 'halted', healthFactor: null, reason: 'halted by the owner', hash: null }
    const snapshot = await observe(runtime, guarded, head)
    const healthFactor = healthFactorOf(snapshot, account)
    const said: Say = (kind, reason, hash = null) => ({ kind, healthFactor, reason, hash })
    if (healthFactor >= policy.healthFactor.floor) {
      underSince = null
      sent = null
      return said('well', `the health factor is ${formatWad(healthFactor).slice(0, 6)}`)
    }
    underSince ??= head.number
    if (head.number - underSince < options.graceBlocks)
      return said('waiting', `under the hard floor since block ${underSince}`)

    const turn = await unaided.turn(head)
    const latest = turn.rivals.at(-1)
    const isOwn = sent !== null && sent.nonce === turn.nonce && latest?.hash === sent.hash
    if (latest === undefined || !unaided.isFresh(latest.plan, head)) return rescue(snapshot, turn, said)
    if (isOwn) return said('resent', await unaided.send(latest.raw, turn, head), latest.hash)
    return said(
      'waiting',
      `${latest.attemptId} was signed for block ${latest.plan.block.number} and may be mined`,
    )
  }

  /** What the owner ordered; an order that cannot be read halts. */
  function ordered(): TradingState {
    try {
      return options.orders()
    } catch (error) {
      logger.error({ error: describeError(error) }, 'the owner’s orders cannot be read: halted')
      return 'halted'
    }
  }

  async function rescue(snapshot: Snapshot, turn: Turn, said: Say): Promise<Protection> {
    const { proposal, reason } = options.rule(snapshot)
    const intent = parseIntent(proposal)
    if (intent.kind === 'nothing' || !isRiskReducing(intent)) return said('helpless', reason)
    const deed = await unaided.act(snapshot, intent, turn)
    if (deed.kind === 'denied') {
      await keepUp(turn, snapshot.block)
      return said('denied', deed.reason)
    }
    sent = { hash: deed.hash, nonce: turn.nonce }
    return said('acted', `${reason}; ${deed.outcome}`, deed.hash)
  }

  /**
   * Sends what was signed last for a nonce that nothing can be put on now: were it forgotten by every pool, nothing would
   * ever be mined there. What somebody else signed for another end has to be too late for that first.
   */
  async function keepUp(turn: Turn, head: BlockRef): Promise<void> {
    const latest = turn.rivals.at(-1)
    if (latest === undefined) return
    if (latest.fence === 'protector' || head.number >= latest.plan.lastValidBlock)
      await unaided.send(latest.raw, turn, head)
  }

  return { atHead }
}
