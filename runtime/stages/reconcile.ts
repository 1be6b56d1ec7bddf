import { type Address, isAddressEqual, zeroAddress } from 'viem'
import type { Agent } from '../core/agent.ts'
import { BlockGoneError } from '../core/chainErrors.ts'
import type { AttemptRecord } from '../core/journal.ts'
import type { Outcome } from '../core/lifecycle.ts'
import type { Receipt } from '../core/ports.ts'
import type { BlockRef, Snapshot } from '../core/snapshot.ts'
import { BPS, mulDiv, type Usd, usd, wei } from '../core/units.ts'
import type { Policy } from '../guards/policy.ts'
import { accountEquity, changeValue, gasValue } from './measure.ts'
import { observe } from './observe.ts'
import { sendersOf } from './owner.ts'
import { type Probe, readProbe } from './probe.ts'
import type { Runtime } from './runtime.ts'
import { isEmpty } from './slot.ts'

/**
 * How deep a block is when nobody waits for its state any more, in blocks: what a node does not have by then it has
 * pruned. Nodes that keep no archive keep the state of 64 blocks at least.
 */
const STATE_KEPT = 64n

/**
 * Measures what a mined transaction did, compares it with what its simulation promised, and settles it.
 *
 * Both are valued at the prices of the block *before* it was mined, so that a price that moved meanwhile is not
 * taken for a deviation of the plan. A deviation against the owner beyond the policy's bound freezes the agent, and
 * so does an outcome that cannot be measured, because the runtime was away until the node had pruned its state: it
 * counts with all that was held back for it. An empty transaction promised nothing; what the ledger brought in has to
 * stay within what was held back for it.
 *
 * @param attempt `mined`, in the receipt's block, which is on the chain and deep enough
 */
export async function reconcile(
  runtime: Runtime,
  agent: Agent,
  policy: Policy,
  attempt: AttemptRecord,
  receipt: Receipt,
  head: BlockRef,
): Promise<AttemptRecord> {
  const { number, hash } = receipt.block
  const mined = await runtime.chain.block(number)
  const measured = await measureIfThere(runtime, agent, attempt, receipt, mined, head)
  const where = { blockNumber: number, blockHash: hash }
  const actual = measured?.actual ?? null
  const forgiven = measured === null ? usd(0n) : forgivenOf(runtime, agent, attempt, measured)
  const spent = measured === null ? attempt.reserved : usd(measured.spent - forgiven)
  if (forgiven > 0n)
    runtime.logger.warn(
      { attempt: attempt.id, spentUsd8: spent.toString(), forgivenUsd8: forgiven.toString() },
      'its protector has something in the same block: what may be of that is not counted as spent',
    )
  if (receipt.status === 'reverted') {
    const failure = await runtime.chain.revertReason(receipt.hash)
    return runtime.journal.settle(attempt.id, { status: 'failed', ...where, actual, spent, failure })
  }
  const deviated = !isEmpty(attempt) && deviates(policy, attempt, receipt, measured)
  if (deviated) await freeze(runtime, agent, attempt, measured?.shortfall?.value ?? null, forgiven)
  return runtime.journal.settle(attempt.id, { status: 'confirmed', ...where, actual, spent, deviated })
}

function deviates(
  policy: Policy,
  { expected, reserved }: AttemptRecord,
  receipt: Receipt,
  measured: Measured | null,
): boolean {
  // Nothing happened although the transaction succeeded: a stale authorisation does exactly that.
  if (receipt.logs.length === 0 || measured === null) return true
  const { shortfall, byOthers } = measured
  if (expected === null) return measured.spent > reserved + byOthers
  if (shortfall === null) return true
  const own = shortfall.value - byOthers
  return own > 0n && mulDiv(own, BPS, shortfall.of, 'up') > policy.maxDeviation
}

/**
 * Records once more how a settled attempt ended, which takes along what has come to its nonce since.
 *
 * @returns whether it is settled by a block
 */
export async function repeatSettlement({ journal }: Runtime, attempt: AttemptRecord): Promise<boolean> {
  const { id, status, blockNumber, blockHash, actual, reserved, spent, failure } = attempt
  if (blockNumber === null || blockHash === null) return false
  const stored = { blockNumber, blockHash, actual, spent: spent ?? reserved }
  if (status === 'confirmed') await journal.settle(id, { status: 'confirmed', ...stored, deviated: false })
  else if (status === 'failed')
    await journal.settle(id, { status: 'failed', ...stored, failure: failure ?? '' })
  else return false
  return true
}

type Measured = {
  readonly actual: Outcome
  /** By all who acted for the account in the block. */
  readonly spent: Usd
  /**
   * What the owner has less than promised, of the equity before, 8 decimals; null when nothing was promised, or nobody
   * can value it.
   */
  readonly shortfall: { readonly value: bigint; readonly of: bigint } | null
  /** The most that others who act for the same account may have cost it in the same block. */
  readonly byOthers: Usd
}

/** Null when the chain has pruned the state around the block. A node that is only behind is asked again later. */
async function measureIfThere(
  runtime: Runtime,
  agent: Agent,
  attempt: AttemptRecord,
  receipt: Receipt,
  mined: BlockRef,
  head: BlockRef,
): Promise<Measured | null> {
  try {
    return await measure(runtime, agent, attempt, receipt, mined)
  } catch (error) {
    if (error instanceof BlockGoneError && head.number - mined.number > STATE_KEPT) return null
    throw error
  }
}

async function measure(
  runtime: Runtime,
  agent: Agent,
  attempt: AttemptRecord,
  receipt: Receipt,
  mined: BlockRef,
): Promise<Measured> {
  const { book } = runtime
  const parent = await runtime.chain.block(mined.number - 1n)
  const [before, after] = await Promise.all([observe(runtime, agent, parent), observe(runtime, agent, mined)])
  const gasCost = wei(receipt.gasUsed * receipt.effectiveGasPrice)
  const { account } = agent
  const actual: Outcome = {
    ...(await measureAccount(runtime, account, before, after)),
    equity: accountEquity(after, book, account),
    gasUsed: receipt.gasUsed,
    gasCost,
  }
  // What pays for the gas is the sender, which for a Safe is another account.
  const changes =
    attempt.plan.via === undefined ? withoutGas(actual.balanceChanges, gasCost) : actual.balanceChanges
  const gained = changeValue(changes, before, book)
  const promised =
    attempt.expected === null ? null : changeValue(attempt.expected.balanceChanges, before, book)
  const equity = accountEquity(before, book, account)
  // What is empty or reverted moves nothing: whatever changed in its block was not its doing.
  const moves = !isEmpty(attempt) && receipt.status === 'success'
  const fall = moves && gained !== null && gained < 0n ? -gained : 0n
  return {
    actual,
    spent: usd(fall + gasValue(gasCost, before, book)),
    shortfall:
      promised === null || gained === null
        ? null
        : { value: promised - gained, of: equity === 0n ? 1n : equity },
    byOthers: await costByOthers(runtime, agent, attempt, parent, mined),
  }
}

/**
 * A Safe's agent and its protector have nonces of their own, so one block can hold a transaction of each, and nobody can
 * measure them apart: for each of the other's, what a rescue may cost at most is no deviation of this one.
 */
async function costByOthers(
  runtime: Runtime,
  agent: Agent,
  { account }: AttemptRecord,
  parent: BlockRef,
  mined: BlockRef,
): Promise<Usd> {
  const most = runtime.policyOf(agent.id).riskReducing.spend.perTransaction
  const others = sendersOf(runtime, agent).filter((sender) => !isAddressEqual(sender, account))
  const counts = await Promise.all(
    others.map(async (sender) => {
      const [first, end] = await Promise.all(
        [parent, mined].map(({ hash }) => runtime.chain.nonce(sender, hash)),
      )
      return (end ?? 0n) - (first ?? 0n)
    }),
  )
  return usd(counts.reduce((sum, count) => sum + count * most, 0n))
}

/**
 * What a Safe's fall in a block exceeds what was held back for the agent by, where its protector has something in the same
 * block, up to what that may have cost: it has a reserve of its own, and the agent's caps do not pay for it.
 */
function forgivenOf(
  { protectorOf }: Runtime,
  agent: Agent,
  { account, reserved }: AttemptRecord,
  { spent, byOthers }: Measured,
): Usd {
  const protector = protectorOf?.(agent.id) ?? null
  const isAgents = protector !== null && !isAddressEqual(account, protector)
  if (!isAgents || spent <= reserved) return usd(0n)
  const excess = spent - reserved
  return usd(excess < byOthers ? excess : byOthers)
}

async function freeze(
  runtime: Runtime,
  agent: Agent,
  attempt: AttemptRecord,
  shortfall: bigint | null,
  forgiven: Usd,
) {
  const reason = `attempt ${attempt.id} ended worse than its simulation promised, or nobody knows how it ended`
  await runtime.journal.freeze(agent.id, reason)
  runtime.logger.error(
    {
      attempt: attempt.id,
      shortfallUsd8: shortfall?.toString() ?? 'unknown',
      forgivenUsd8: forgiven.toString(),
    },
    'deviation: the agent may only reduce risk until it is resumed',
  )
}

/** Balances of the account around the block, and its position after it. */
async function measureAccount(
  runtime: Runtime,
  account: Address,
  before: Snapshot,
  after: Snapshot,
): Promise<Pick<Outcome, 'healthFactor' | 'totalCollateral' | 'totalDebt' | 'balanceChanges'>> {
  const tokens = after.reserves.flatMap((reserve) => [
    reserve.asset,
    reserve.aToken,
    reserve.variableDebtToken,
  ])
  const probe: Probe = {
    account,
    balances: [null, ...tokens].map((token) => ({ account, token })),
    allowances: [],
  }
  const read = (at: Snapshot) => readProbe(runtime.chain, at.block.hash, probe, runtime.book)
  const [first, second] = await Promise.all([read(before), read(after)])
  return {
    healthFactor: second.position.healthFactor,
    totalCollateral: second.position.totalCollateral,
    totalDebt: second.position.totalDebt,
    balanceChanges: probe.balances
      .map(({ token }, index) => ({
        token: token ?? zeroAddress,
        change: (second.balances[index] ?? 0n) - (first.balances[index] ?? 0n),
      }))
      .filter(({ change }) => change !== 0n),
  }
}

/** The native change with the gas put back, because a simulation measures effects without gas. */
const withoutGas = (changes: Outcome['balanceChanges'], gasCost: bigint): Outcome['balanceChanges'] => {
  const native = changes.find(({ token }) => isAddressEqual(token, zeroAddress))?.change ?? 0n
  return [
    ...changes.filter(({ token }) => !isAddressEqual(token, zeroAddress)),
    { token: zeroAddress, change: native + gasCost },
  ]
}
