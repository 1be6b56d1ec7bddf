import type { Hex } from 'viem'
import { describeError, RialtoError } from '../core/errors.ts'
import { attemptId, type Hash } from '../core/ids.ts'
import type { Action } from '../core/intent.ts'
import { type Plan, planHash } from '../core/lifecycle.ts'
import type { Chain, LedgerAttempt, Logger, Signer } from '../core/ports.ts'
import type { BlockRef, Snapshot } from '../core/snapshot.ts'
import { type Usd, usd } from '../core/units.ts'
import { type DenialCode, denialCodes } from '../core/verdict.ts'
import { reservedSpend } from '../stages/measure.ts'
import { routeAfter } from '../stages/submit.ts'
import { type Denied, type PreparationOptions, preparePlan } from './preparePlan.ts'

export type UnaidedOptions = PreparationOptions & {
  readonly chain: Chain
  /** It holds no lease, because what would grant one may be down. */
  readonly signer: Pick<Signer, 'sign' | 'signedFrom'>
  readonly logger: Logger
}

/** The lowest nonce that the chain has not used, and what was signed for it, in the order it was signed. */
export type Turn = { readonly nonce: bigint; readonly rivals: readonly LedgerAttempt[] }

/** What came of an intent. */
export type Deed =
  | { readonly kind: 'acted'; readonly plan: Plan; readonly hash: Hash; readonly outcome: string }
  | Denied

/** Carries out intents with a chain and a signer alone. */
export type Unaided = {
  turn(head: BlockRef): Promise<Turn>
  /** Bytes that were made for this block or a recent one can still be mined before anything new could. */
  isFresh(plan: Plan, head: BlockRef): boolean
  /** Simulates, judges, has signed and sends an intent for a turn, outbidding all that was signed there. */
  act(snapshot: Snapshot, action: Action, turn: Turn): Promise<Deed>
  /**
   * Has a plan signed that was judged already, and sends it.
   *
   * @param reserved the most that it may cost, in dollars
   */
  carryOut(plan: Plan, reserved: Usd, snapshot: Snapshot, turn: Turn): Promise<Deed>
  /** Sends bytes that are signed, by the route that the policy names. @returns what the node said */
  send(raw: Hex, turn: Turn, head: Pick<BlockRef, 'number'>): Promise<string>
}

/**
 * What protector and evacuation act by: no journal, no queue, no lease, no worker. It takes the lowest nonce that the
 * chain has not used, and outbids what was signed there; whichever is mined decides, and never both. The journal learns
 * of its transactions from the signer's ledger. They pass the very simulation and guards that an agent's do.
 *
 * @example
 * const unaided = createUnaided({ ...ports, name: agentId('protector'), agent: id, account, policy, tradingState: 'reducing' })
 * const deed = await unaided.act(snapshot, action, await unaided.turn(head))
 */
export function createUnaided(options: UnaidedOptions): Unaided {
  const { chain, signer, logger, policy, agent, account, book } = options
  /** Whose nonces are used: a Safe is acted for by the member of a role. */
  const sender = options.routeOf?.(agent)?.sender ?? account
  /** What was asked for last on each nonce: of all on one at most one is ever mined, and the last is the dearest. */
  const spends = new Map<bigint, { readonly at: bigint; readonly reserved: Usd }>()

  async function act(snapshot: Snapshot, action: Action, turn: Turn): Promise<Deed> {
    const { nonce, rivals } = turn
    const since = snapshot.block.timestamp - BigInt(policy.spend.windowSeconds)
    const prepared = await preparePlan(options, snapshot, action, {
      fees: rivals.map(({ plan }) => plan),
      spent: spentBeside(nonce, since),
    })
    if (prepared.kind === 'denied') return prepared
    const { hash: _hash, effects, ...plan } = prepared.plan
    return carryOut(plan, reservedSpend(plan, effects, snapshot, book), snapshot, turn)
  }

  async function carryOut(plan: Plan, reserved: Usd, { block }: Snapshot, turn: Turn): Promise<Deed> {
    const { nonce } = turn
    // Counted before it is asked for: whether an answer that is lost was a signature, nobody knows.
    const before = spends.get(nonce)
    spends.set(nonce, { at: block.timestamp, reserved })
    try {
      const signed = await signer.sign({
        attemptId: attemptId(plan.intentId, 1),
        plan,
        planHash: planHash(plan),
        nonce,
        fence: 'protector',
      })
      return { kind: 'acted', plan, hash: signed.hash, outcome: await send(signed.raw, turn, block) }
    } catch (error) {
      if (!(error instanceof RialtoError) || error.retryable) throw error
      // Refused for good: nothing was signed, and nothing is spent.
      if (before === undefined) spends.delete(nonce)
      else spends.set(nonce, before)
      return { kind: 'denied', by: 'signer', reason: describeError(error), codes: codesOf(error) }
    }
  }

  /** Whatever the node says, the bytes are out: what becomes of them the next blocks show. */
  async function send(raw: Hex, { rivals }: Turn, head: Pick<BlockRef, 'number'>): Promise<string> {
    const first = rivals[0]?.plan.block.number ?? head.number
    try {
      await chain.sendRaw(raw, routeAfter(policy, head.number - first))
      return 'sent'
    } catch (error) {
      logger.warn({ error: describeError(error) }, 'the node did not take the transaction; it is sent again')
      return describeError(error)
    }
  }

  /** What may have been spent within the window on other nonces; what is older is forgotten. */
  function spentBeside(nonce: bigint, since: bigint): Usd {
    for (const [earlier, { at }] of spends) if (at < since) spends.delete(earlier)
    return usd(
      [...spends].reduce((sum, [other, { reserved }]) => (other === nonce ? sum : sum + reserved), 0n),
    )
  }

  return {
    async turn(head) {
      const nonce = await chain.nonce(sender, head.hash)
      const rivals = (await signer.signedFrom(sender, nonce)).filter((one) => one.nonce === nonce)
      return { nonce, rivals }
    },
    isFresh: (plan, head) =>
      head.number - plan.block.number < BigInt(policy.replacement.afterBlocks) &&
      head.number < plan.lastValidBlock,
    act,
    carryOut,
    send,
  }
}

/** The code with which a signer refused, where it was the plan that it refused. */
function codesOf({ details }: RialtoError): readonly DenialCode[] {
  const code = denialCodes.find((known) => known === details.denial)
  return code === undefined ? [] : [code]
}
