import type { Address, Hex } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import type { Agent } from '../core/agent.ts'
import { describeError, RialtoError } from '../core/errors.ts'
import { agentId, attemptId, type Hash, intentId, runId } from '../core/ids.ts'
import { type Action, isRiskReducing, parseIntent } from '../core/intent.ts'
import type { IntentRecord } from '../core/journal.ts'
import { type Plan, planHash, type SimulatedPlan } from '../core/lifecycle.ts'
import type { Chain, LedgerAttempt, Logger, Signer } from '../core/ports.ts'
import type { BlockRef, Snapshot } from '../core/snapshot.ts'
import { formatWad, type Usd, usd, type Wad } from '../core/units.ts'
import { denials, type TradingState } from '../core/verdict.ts'
import type { GuardContext } from '../guards/guard.ts'
import { judgeEffect, judgeIntent } from '../guards/index.ts'
import type { Policy } from '../guards/policy.ts'
import { healthFactorOf, reservedSpend } from '../stages/measure.ts'
import { observe } from '../stages/observe.ts'
import { simulate } from '../stages/simulate.ts'

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

/** The agent's name under which the protector's intents are made: no block has both its run and an agent's. */
const NAME = agentId('protector')

type Sent = { readonly plan: Plan; readonly raw: Hex; readonly hash: Hash; readonly nonce: bigint }

/**
 * The exit without a brain: watches a position straight from the chain, and when it has been under the hard floor for
 * `graceBlocks`, rescues it by a deterministic rule. It needs a chain and a signer and nothing else: neither inference
 * nor queue, nor journal, nor worker, nor the agent's graph.
 *
 * On an EOA it shares the account's nonce with whatever else signs for it. It takes the lowest nonce that the chain has
 * not used, and outbids what was signed there; whichever is mined decides, and never both. The journal learns of its
 * transactions from the signer's ledger. Its rescues pass the very guards that an agent's do, with the limits for
 * rescues.
 *
 * @example
 * const protector = createProtector({ chain, signer, logger, book, guarded: guardian, policy, rule, orders,
 *   blockSeconds: 12n, graceBlocks: 1n, explainRevert: decodeRevert })
 * for await (const { head } of watchHeads(chain, options)) await protector.atHead(head)
 */
export function createProtector(options: ProtectorOptions): { atHead(head: BlockRef): Promise<Protection> } {
  const { chain, signer, guarded, policy, logger } = options
  const runtime = { ...options, policyOf: () => policy }
  let underSince: bigint | null = null
  let sent: Sent | null = null
  const spends: { readonly at: bigint; readonly reserved: Usd }[] = []

  async function atHead(head: BlockRef): Promise<Protection> {
    if (ordered() === 'halted')
      return { kind: 'halted', healthFactor: null, reason: 'halted by the owner', hash: null }
    const snapshot = await observe(runtime, guarded, head)
    const healthFactor = healthFactorOf(snapshot, guarded.account)
    const said = (kind: Protection['kind'], reason: string, hash: Hash | null = null): Protection => ({
      kind,
      healthFactor,
      reason,
      hash,
    })
    if (healthFactor >= policy.healthFactor.floor) {
      underSince = null
      sent = null
      return said('well', `the health factor is ${formatWad(healthFactor).slice(0, 6)}`)
    }
    underSince ??= head.number
    if (head.number - underSince < options.graceBlocks)
      return said('waiting', `under the hard floor since block ${underSince}`)

    const nonce = await chain.nonce(guarded.account, head.hash)
    const rivals = (await signer.signedFrom(guarded.account, nonce)).filter((one) => one.nonce === nonce)
    const own = sent
    if (own !== null && own.nonce === nonce && rivals.at(-1)?.hash === own.hash && isFresh(own.plan, head))
      return said('resent', await send(own.raw), own.hash)
    const latest = rivals.at(-1)
    if (own?.hash !== latest?.hash && latest !== undefined && isFresh(latest.plan, head))
      return said(
        'waiting',
        `${latest.attemptId} was signed for block ${latest.plan.block.number} and may be mined`,
      )
    return rescue(head, snapshot, nonce, rivals, said)
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

  /** Bytes that were made for this block or the last can still be mined before anything new could. */
  const isFresh = (plan: Plan, head: BlockRef): boolean =>
    head.number - plan.block.number < BigInt(policy.replacement.afterBlocks) &&
    head.number < plan.lastValidBlock

  async function rescue(
    head: BlockRef,
    snapshot: Snapshot,
    nonce: bigint,
    rivals: readonly LedgerAttempt[],
    said: (kind: Protection['kind'], reason: string, hash?: Hash | null) => Protection,
  ): Promise<Protection> {
    const { proposal, reason } = options.rule(snapshot)
    const intent = parseIntent(proposal)
    if (intent.kind === 'nothing' || !isRiskReducing(intent)) return said('helpless', reason)
    const context = contextOf(snapshot)
    const first = judgeIntent(context, intent)
    if (!first.allowed)
      return said(
        'denied',
        denials(first)
          .map(({ message }) => message)
          .join(' '),
      )

    const record = asRecord(head, intent)
    const simulation = await simulate(
      runtime,
      record,
      snapshot,
      policy,
      rivals.map(({ plan }) => plan),
    )
    if (!simulation.ok) return said('denied', simulation.reason)
    const verdict = judgeEffect(context, intent, simulation.plan)
    if (!verdict.allowed)
      return said(
        'denied',
        denials(verdict)
          .map(({ message }) => message)
          .join(' '),
      )
    return act(simulation.plan, record, snapshot, nonce, reason, said)
  }

  async function act(
    simulated: SimulatedPlan,
    { id }: Pick<IntentRecord, 'id'>,
    snapshot: Snapshot,
    nonce: bigint,
    reason: string,
    said: (kind: Protection['kind'], reason: string, hash?: Hash | null) => Protection,
  ): Promise<Protection> {
    const { hash: _hash, effects, ...plan } = simulated
    const request = {
      attemptId: attemptId(id, 1),
      plan,
      planHash: planHash(plan),
      nonce,
      fence: 'protector',
    } as const
    // Counted before it is asked for: whether an answer that is lost was a signature, nobody knows.
    spends.push({
      at: snapshot.block.timestamp,
      reserved: reservedSpend(plan, effects, snapshot, options.book),
    })
    try {
      const { raw, hash } = await signer.sign(request)
      sent = { plan, raw, hash, nonce }
      const outcome = await send(raw)
      return said('acted', `${reason}; ${outcome}`, hash)
    } catch (error) {
      if (error instanceof RialtoError && !error.retryable) return said('denied', describeError(error))
      throw error
    }
  }

  /** Whatever the node says, the bytes are out: what becomes of them the next blocks show. */
  async function send(raw: Hex): Promise<string> {
    try {
      await chain.sendRaw(raw, policy.submission.route)
      return 'sent'
    } catch (error) {
      logger.warn({ error: describeError(error) }, 'the node did not take the rescue; it is sent again')
      return describeError(error)
    }
  }

  /** The guards' view. What others spent is not known here; the signer counts everything. */
  function contextOf(snapshot: Snapshot): GuardContext {
    const since = snapshot.block.timestamp - BigInt(policy.spend.windowSeconds)
    const spent = spends.reduce((sum, { at, reserved }) => (at >= since ? sum + reserved : sum), 0n)
    return {
      policy,
      book: options.book,
      snapshot,
      account: guarded.account as Address,
      tradingState: 'reducing',
      history: { spent: usd(spent), inFlight: 0, inert: 0, lastActionAt: null, peakEquity: null },
    }
  }

  const asRecord = (head: BlockRef, action: Action): Pick<IntentRecord, 'id' | 'agent' | 'account' | 'action'> => ({
    id: intentId(runId(NAME, head.hash)),
    agent: guarded.id,
    account: guarded.account,
    action,
  })

  return { atHead }
}
