import { type Address, isAddressEqual } from 'viem'
import { InvariantError } from '../core/errors.ts'
import { agentId } from '../core/ids.ts'
import type { Action } from '../core/intent.ts'
import type { Call } from '../core/lifecycle.ts'
import type { Chain } from '../core/ports.ts'
import type { BlockRef } from '../core/snapshot.ts'
import { MAX_UINT256, tokenAmount, wad, wei } from '../core/units.ts'
import { preparePlan } from '../protector/preparePlan.ts'
import { encodeWithdraw } from '../protocols/aave-v3/encode.ts'
import { findReserve, findReservePosition, hasDebt } from '../protocols/aave-v3/healthFactor.ts'
import { suppliedBalance } from '../protocols/aave-v3/interest.ts'
import { rialtoOf } from '../protocols/book.ts'
import { decodeCall } from '../protocols/decodeCall.ts'
import { encodeTransfer } from '../protocols/erc20/encode.ts'
import { encodeExecute, encodeMinHealthFactor, encodeNotAfter } from '../protocols/rialto/encode.ts'
import type { ApprovalName } from './approvalSearch.ts'
import { chainAfter } from './chainAfter.ts'
import type { EvacuationOptions } from './createEvacuation.ts'
import { type EvacuationScene, nextStep, type Remainder } from './nextStep.ts'
import { observeEvacuee } from './observeEvacuee.ts'

/** A call that owners sign, and what it is for. */
export type OwnerCall = Call & { readonly words: string }

/** Everything at once, for owners who sign it whenever they do. */
export type OwnerPlan = {
  /** In their order; empty when nothing can be done. The last ones assert the outcome. */
  readonly calls: readonly OwnerCall[]
  readonly reasons: readonly string[]
  /** The last block in which it may be mined, enforced on-chain. */
  readonly lastValidBlock: bigint
  /** What the rule leaves where it is. */
  readonly remains: readonly Remainder[]
  /** Why it does not go on; null at its end. */
  readonly stopped: string | null
}

export type OwnerPlanOptions = Omit<EvacuationOptions, 'signer' | 'isOrdered' | 'logger'> & {
  /** Blocks within which the owners are expected to sign. */
  readonly validBlocks: bigint
}

/** More steps than any address book of ours takes; a rule that goes round in circles must end. */
const MOST_STEPS = 100

/** What others borrow until then can raise the rate at which a debt grows: at twice the rate as much would still do. */
const RATE_RESERVE = 2n

/** Whoever sends the transaction of a Safe pays its gas: the guards must not look for it in the Safe. */
const PAID_BY_OWNER = wei(10n ** 24n)

/**
 * An evacuation as one batch of calls: the same rule, simulation and guards as step by step, each step made on top of the
 * ones before, but with amounts that hold as long as owners may take to sign:
 *
 * - what is repaid is what would be owed in the last valid block at twice the rate; Aave takes no more than is owed, and
 *   the rest comes into the wallet;
 * - a collateral is withdrawn whole, whatever it has become, straight to the destination;
 * - of a token in the wallet goes what is there now and is not repaid: what comes in until then stays.
 *
 * @param options with a policy without recipients everything is withdrawn to the account, and stays there
 * @throws {RialtoError} when the chain cannot be read.
 * @example (await planForOwners({ ...options, validBlocks: 7_200n }, await chain.head())).calls
 */
export async function planForOwners(options: OwnerPlanOptions, head: BlockRef): Promise<OwnerPlan> {
  const { book, account, policy, validBlocks, blockSeconds } = options
  const { batchAccount, assert } = rialtoOf(book)
  const [destination = null] = policy.recipients
  const lastValidBlock = head.number + validBlocks
  const patient = { ...policy, lastValidBlocks: Number(validBlocks * RATE_RESERVE) }
  const transactions: Call[] = []
  const calls: OwnerCall[] = []
  const reasons: string[] = []
  const unrevokable: (ApprovalName & { readonly why: string })[] = []
  const moved: Address[] = []
  let first: EvacuationScene | null = null

  const finish = (
    scene: EvacuationScene,
    remains: readonly Remainder[],
    stopped: string | null,
  ): OwnerPlan => {
    const native = first?.snapshot.wallet.native ?? 0n
    if (destination !== null && stopped === null && native > 0n)
      add([{ to: destination, value: wei(native), data: '0x' }], 'send the native coin')
    const position = scene.snapshot.positions.find(({ user }) => isAddressEqual(user, account))
    const closing = [
      ...(position !== undefined && !hasDebt(position)
        ? [encodeMinHealthFactor(assert, book.aaveV3.pool, account, wad(MAX_UINT256))]
        : []),
      encodeNotAfter(assert, lastValidBlock),
    ]
    if (calls.length > 0)
      calls.push(...closing.map((call) => ({ ...call, words: 'hold that it ends as planned' })))
    return { calls, reasons, lastValidBlock, remains, stopped }
  }
  const add = (made: readonly Call[], reason: string) => {
    reasons.push(reason)
    calls.push(...made.map((call) => ({ ...call, words: reason })))
    transactions.push({ to: account, value: wei(0n), data: encodeExecute(made) })
  }

  for (let step = 0; step < MOST_STEPS; step++) {
    const chain = chainNow(options.chain, transactions)
    const at = transactions.length === 0 ? head : { ...head, timestamp: head.timestamp + blockSeconds }
    const seen = await observeEvacuee({ ...options, chain }, at)
    first ??= seen
    const tokens = seen.snapshot.wallet.tokens.map((one) =>
      moved.some((token) => isAddressEqual(token, one.token)) ? { ...one, balance: tokenAmount(0n) } : one,
    )
    const wallet = { ...seen.snapshot.wallet, tokens }
    const scene = { ...seen, snapshot: { ...seen.snapshot, wallet } }
    const next = nextStep({ ...scene, policy: patient, unrevokable })
    if (next.action === null)
      return finish(
        scene,
        next.remains.filter(({ what }) => what !== 'native'),
        null,
      )
    const settings = { ...options, chain, name: agentId('evacuation'), tradingState: 'active' as const }
    const payable = { ...seen.snapshot, wallet: { ...seen.snapshot.wallet, native: PAID_BY_OWNER } }
    const prepared = await preparePlan(settings, payable, next.action)
    if (prepared.kind === 'denied') {
      if (next.action.kind === 'revoke' && prepared.by === 'simulation') {
        const { asset: token, spender } = next.action
        unrevokable.push({ token, spender, why: prepared.reason })
        continue
      }
      return finish(scene, [], `${next.reason}: ${prepared.reason}`)
    }
    const lasting = lastingCalls(next.action, prepared.plan.calls, scene)
    if (next.action.kind === 'transfer') moved.push(next.action.asset)
    if (lasting.length > 0) add(lasting, next.reason)
  }
  throw new InvariantError('An evacuation does not come to an end.', { steps: reasons.length })

  function chainNow(chain: Chain, before: readonly Call[]): Chain {
    if (before.length === 0) return chain
    const { multicall3 } = book
    return chainAfter(chain, { head, account, multicall3, batchAccount, transactions: before, blockSeconds })
  }

  /** The calls of a step, with amounts that hold until the last valid block. */
  function lastingCalls(
    action: Action,
    made: readonly Call[],
    { snapshot }: EvacuationScene,
  ): readonly Call[] {
    if (action.kind === 'withdraw') {
      const position = snapshot.positions.find(({ user }) => isAddressEqual(user, account))
      if (position === undefined) throw new InvariantError('The position to evacuate was not read.')
      const reserve = findReserve(snapshot.reserves, action.asset)
      const part = findReservePosition(position, action.asset)
      const isAll = action.amount === suppliedBalance(part, reserve, snapshot.block.timestamp)
      const amount = isAll ? tokenAmount(MAX_UINT256) : action.amount
      return [encodeWithdraw(book.aaveV3.pool, action.asset, amount, destination ?? account)]
    }
    if (action.kind === 'transfer') {
      const had = first?.snapshot.wallet.tokens.find(({ token }) => isAddressEqual(token, action.asset))
      const kept = (had?.balance ?? 0n) - repaidOf(action.asset)
      const amount = kept < action.amount ? kept : action.amount
      return amount <= 0n ? [] : [encodeTransfer(action.asset, action.to, tokenAmount(amount))]
    }
    // The step's own last block is one of the next: the whole has one of its own.
    return made.filter((call) => decodeCall(call, book)?.functionName !== 'notAfter')
  }

  /** The most that the calls so far repay of a token out of the wallet. */
  function repaidOf(asset: Address): bigint {
    return calls.reduce((sum, call) => {
      const read = decodeCall(call, book)
      return read?.functionName === 'repay' && isAddressEqual(read.args[0], asset) ? sum + read.args[1] : sum
    }, 0n)
  }
}
