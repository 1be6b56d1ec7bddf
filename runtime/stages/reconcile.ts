import { isAddressEqual, zeroAddress } from 'viem'
import type { Agent } from '../core/agent.ts'
import type { AttemptRecord } from '../core/journal.ts'
import type { Outcome } from '../core/lifecycle.ts'
import type { Receipt } from '../core/ports.ts'
import type { Snapshot } from '../core/snapshot.ts'
import { BPS, mulDiv, usd, wei } from '../core/units.ts'
import type { Policy } from '../guards/policy.ts'
import { accountEquity, changeValue, gasValue } from './measure.ts'
import { observe } from './observe.ts'
import { type Probe, readProbe } from './probe.ts'
import type { Runtime } from './runtime.ts'

/**
 * Measures what a mined transaction did and compares it with what its simulation promised.
 *
 * Both are valued at the prices of the block *before* it was mined, so that a price that moved meanwhile is not
 * taken for a deviation of the plan. A deviation against the owner beyond the policy's bound freezes the agent.
 */
export async function reconcile(
  runtime: Runtime,
  agent: Agent,
  policy: Policy,
  attempt: AttemptRecord,
  receipt: Receipt,
): Promise<AttemptRecord> {
  const [mined, parent] = await Promise.all([
    runtime.chain.block(receipt.block.number),
    runtime.chain.block(receipt.block.number - 1n),
  ])
  const [before, after] = await Promise.all([observe(runtime, agent, parent), observe(runtime, agent, mined)])
  const gasCost = wei(receipt.gasUsed * receipt.effectiveGasPrice)
  const actual: Outcome = {
    ...(await measureAccount(runtime, attempt, before, after)),
    equity: accountEquity(after, runtime.book, attempt.account),
    gasUsed: receipt.gasUsed,
    gasCost,
  }
  const gas = gasValue(gasCost, before, runtime.book)
  const gained = changeValue(withoutGas(actual.balanceChanges, gasCost), before, runtime.book)
  const spent = usd((gained !== null && gained < 0n ? -gained : 0n) + gas)
  const where = { blockNumber: mined.number, blockHash: mined.hash }

  if (receipt.status === 'reverted')
    return runtime.journal.settle(attempt.id, {
      status: 'reverted',
      ...where,
      actual,
      spent,
      failure: await runtime.chain.revertReason(receipt.hash),
    })

  const promised = changeValue(attempt.expected.balanceChanges, before, runtime.book)
  const shortfall = promised === null || gained === null ? null : promised - gained
  const base = accountEquity(before, runtime.book, attempt.account)
  // Nothing happened although the transaction succeeded: a stale authorisation does exactly that.
  const didNothing = receipt.logs.length === 0
  const deviated =
    didNothing ||
    shortfall === null ||
    (shortfall > 0n && mulDiv(shortfall, BPS, base === 0n ? 1n : base, 'up') > policy.maxDeviation)
  if (deviated) await freeze(runtime, agent, attempt, shortfall)
  return runtime.journal.settle(attempt.id, { status: 'confirmed', ...where, actual, spent, deviated })
}

async function freeze(runtime: Runtime, agent: Agent, attempt: AttemptRecord, shortfall: bigint | null) {
  const reason = `attempt ${attempt.id} ended worse than its simulation promised`
  await runtime.journal.freeze(agent.id, reason)
  runtime.logger.error(
    { attempt: attempt.id, shortfallUsd8: shortfall?.toString() ?? 'unknown' },
    'deviation: the agent may only reduce risk until it is resumed',
  )
}

/** Balances of the account around the block, and its position after it. */
async function measureAccount(
  runtime: Runtime,
  attempt: AttemptRecord,
  before: Snapshot,
  after: Snapshot,
): Promise<Pick<Outcome, 'healthFactor' | 'totalCollateral' | 'totalDebt' | 'balanceChanges'>> {
  const tokens = after.reserves.flatMap((reserve) => [
    reserve.asset,
    reserve.aToken,
    reserve.variableDebtToken,
  ])
  const probe: Probe = {
    account: attempt.account,
    balances: [null, ...tokens].map((token) => ({ account: attempt.account, token })),
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
