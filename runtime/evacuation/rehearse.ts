import { type Address, formatEther, isAddressEqual } from 'viem'
import { InvariantError } from '../core/errors.ts'
import { agentId } from '../core/ids.ts'
import type { Action } from '../core/intent.ts'
import type { Call, SimulatedPlan } from '../core/lifecycle.ts'
import type { BlockRef, Snapshot } from '../core/snapshot.ts'
import { MAX_UINT256, type Usd, usd, type Wad, type Wei, wad, wei } from '../core/units.ts'
import { preparePlan } from '../protector/preparePlan.ts'
import { encodeExecute } from '../protocols/rialto/encode.ts'
import type { ApprovalName } from './approvalSearch.ts'
import { chainAfter } from './chainAfter.ts'
import type { EvacuationOptions } from './createEvacuation.ts'
import { type EvacuationScene, isOfValue, nextStep, type Remainder } from './nextStep.ts'
import { observeEvacuee } from './observeEvacuee.ts'
import { prepareSweep, type Sweep } from './prepareSweep.ts'

/** One step as it would go. */
export type RehearsedStep = {
  readonly kind: Action['kind'] | 'sweep'
  readonly reason: string
  /** Afterwards; 2^256 - 1 without debt. */
  readonly healthFactor: Wad
  /** What it loses at oracle prices, gas not counted; what is sent to the destination is no loss. 8 decimals. */
  readonly lost: Usd
  /** Gas at its limit and its fee cap: more it cannot cost. */
  readonly mostGas: Wei
  /** What it sends to the destination; `token` null is the native coin. Smallest unit. */
  readonly sends: { readonly token: Address | null; readonly amount: bigint } | null
  /** What it changes of the account's own balances, debts and credit included, as measured. Smallest unit, gas left out. */
  readonly changes: readonly { readonly token: Address; readonly change: bigint }[]
}

/** The whole sequence, as it would go if the market stood still. */
export type Rehearsal = {
  readonly steps: readonly RehearsedStep[]
  /** What is left at its end. */
  readonly remains: readonly Remainder[]
  /** Why it does not go on; null when nothing of value is left. */
  readonly stopped: string | null
}

/** More steps than any address book of ours takes; a rule that goes round in circles must end. */
const MOST_STEPS = 100

/**
 * Makes every step of an evacuation on top of the ones before, on one block, by the code that carries it out: the same
 * rule, simulation and guards. Nothing is signed or sent.
 *
 * What it cannot know is what the market and other people do between the steps: prices, what a pool recovers between two
 * deleverages, interest, and what workers have signed already.
 *
 * @throws {RialtoError} when the chain cannot be read.
 * @example (await rehearse(options, await chain.head())).steps.map(({ reason }) => reason)
 */
export async function rehearse(
  options: Omit<EvacuationOptions, 'signer' | 'isOrdered' | 'logger'>,
  head: BlockRef,
): Promise<Rehearsal> {
  const { book, account, blockSeconds } = options
  const batchAccount = book.rialto?.batchAccount
  const transactions: Call[] = []
  const unrevokable: (ApprovalName & { readonly why: string })[] = []
  let native: bigint | null = null
  const steps: RehearsedStep[] = []
  while (steps.length + unrevokable.length < MOST_STEPS && batchAccount !== undefined) {
    const isFirst = transactions.length === 0
    const after = { head, account, multicall3: book.multicall3, batchAccount, transactions, blockSeconds }
    const chain = isFirst ? options.chain : chainAfter(options.chain, after)
    const at = isFirst ? head : { ...head, timestamp: head.timestamp + blockSeconds }
    const scene = await observeEvacuee({ ...options, chain }, at)
    native ??= scene.snapshot.wallet.native
    const step = nextStep({ ...scene, unrevokable })
    const settings = { ...options, chain, name: agentId('evacuation'), tradingState: 'active' as const }
    if (step.action === null) {
      if (step.remains.some(isOfValue)) return ended(steps, step.remains)
      // Whether a node takes the gas of what is only simulated is its own affair: here all of it is taken as spent.
      const gas = steps.reduce((sum, { mostGas }) => sum + mostGas, 0n)
      const spendable = wei(native > gas ? native - gas : 0n)
      const sweep = await prepareSweep(settings, scene.snapshot, spendable)
      if (sweep.kind === 'stays') return ended(steps, withReason(step.remains, sweep.why))
      steps.push(sweepStep(sweep, scene.snapshot, native))
      return ended(
        steps,
        withReason(step.remains, 'what is kept back for gas and not used stays', native - sweep.amount),
      )
    }
    const prepared = await preparePlan(settings, scene.snapshot, step.action)
    if (prepared.kind === 'denied' && step.action.kind === 'revoke' && prepared.by === 'simulation') {
      unrevokable.push({ token: step.action.asset, spender: step.action.spender, why: prepared.reason })
      continue
    }
    if (prepared.kind === 'denied')
      return { steps, remains: leftOf(scene), stopped: `${step.reason}: ${prepared.reason}` }
    steps.push(described(step.action, step.reason, prepared.plan))
    transactions.push({ to: account, value: wei(0n), data: encodeExecute(prepared.plan.calls) })
  }
  throw new InvariantError('An evacuation does not come to an end.', { steps: steps.length })
}

const withReason = (remains: readonly Remainder[], why: string, amount?: bigint): readonly Remainder[] =>
  remains.map((remainder) =>
    remainder.what === 'native'
      ? { ...remainder, why, ...(amount === undefined ? {} : { amount, worth: null }) }
      : remainder,
  )

function sweepStep(
  { amount, mostGas, plan }: Extract<Sweep, { kind: 'prepared' }>,
  { wallet }: Snapshot,
  before: bigint,
): RehearsedStep {
  const to = plan.calls[0]?.to ?? wallet.account
  return {
    kind: 'sweep',
    reason: `send at least ${formatEther(amount)} of the ${formatEther(before)} of the native coin to ${to}`,
    healthFactor: wad(MAX_UINT256),
    lost: usd(0n),
    mostGas,
    sends: { token: null, amount },
    changes: [],
  }
}

const ended = (steps: readonly RehearsedStep[], remains: readonly Remainder[]): Rehearsal => {
  const left = remains.filter(isOfValue)
  const why = [...new Set(left.map(({ why }) => why))].join('; ')
  return { steps, remains, stopped: left.length === 0 ? null : why }
}

/** What a denied step leaves: everything that the rule would still act upon is there. */
function leftOf({ snapshot }: EvacuationScene): readonly Remainder[] {
  return snapshot.wallet.tokens
    .filter(({ balance }) => balance > 0n)
    .map(({ token, balance }) => ({
      what: 'wallet' as const,
      token,
      amount: balance,
      worth: null,
      why: 'the sequence stops before',
    }))
}

function described(action: Action, reason: string, plan: SimulatedPlan): RehearsedStep {
  const { effects, gasLimit, maxFeePerGas } = plan
  const fall = effects.equity.before - effects.equity.after
  const sent =
    action.kind !== 'transfer'
      ? undefined
      : effects.balances.find(
          ({ account, token }) =>
            token !== null && isAddressEqual(account, action.to) && isAddressEqual(token, action.asset),
        )
  return {
    kind: action.kind,
    reason,
    healthFactor: effects.position.after.healthFactor,
    lost: usd(action.kind === 'transfer' || fall < 0n ? 0n : fall),
    mostGas: wei(gasLimit * maxFeePerGas),
    sends: sent?.token == null ? null : { token: sent.token, amount: sent.after - sent.before },
    changes: effects.balances.flatMap(({ account, token, before, after }) =>
      token === null || before === after || !isAddressEqual(account, plan.account)
        ? []
        : [{ token, change: after - before }],
    ),
  }
}
