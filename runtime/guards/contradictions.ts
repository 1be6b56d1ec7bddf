import { BPS, WAD } from '../core/units.ts'
import type { PolicyIssue, PolicyLimits } from './policy.ts'

type Kind = PolicyLimits['intents'][number]

/** What an intent of each kind has to call. `erc20` stands for the contract of any token. */
const NEEDED: Readonly<Record<Kind, readonly [contract: string, functionName: string]>> = {
  supply: ['aave-v3.pool', 'supply'],
  withdraw: ['aave-v3.pool', 'withdraw'],
  borrow: ['aave-v3.pool', 'borrow'],
  repay: ['aave-v3.pool', 'repay'],
  deleverage: ['rialto.flashRepay', 'flashRepay'],
  swap: ['uniswap-v3.router', 'exactInputSingle'],
  transfer: ['erc20', 'transfer'],
  liquidate: ['aave-v3.pool', 'liquidationCall'],
}

/** Everything in a policy that cannot be meant, although each value alone is well formed. */
export function* contradictions(policy: PolicyLimits): Generator<PolicyIssue> {
  yield* allowlists(policy)
  yield* positive(policy)
  yield* caps(policy)
  yield* healthFactors(policy)
  yield* looserWhenReducingRisk(policy)
}

function* allowlists(policy: PolicyLimits): Generator<PolicyIssue> {
  if (policy.intents.length === 0 && policy.mode !== 'observe')
    yield {
      path: ['intents'],
      message: `is empty, so mode "${policy.mode}" could never act: name a kind, or set mode to "observe"`,
    }
  for (const [index, kind] of policy.intents.entries()) {
    const [contract, functionName] = NEEDED[kind]
    const matches = Object.entries(policy.contracts).some(
      ([name, functions]) =>
        (name === contract || name.startsWith(`${contract}:`)) && functions.includes(functionName),
    )
    if (!matches)
      yield {
        path: ['intents', index],
        message: `allows "${kind}", but contracts does not allow ${contract}.${functionName}: add it, or remove "${kind}"`,
      }
  }
  for (const [name, functions] of Object.entries(policy.contracts))
    if (functions.length === 0)
      yield {
        path: ['contracts', name],
        message: 'allows no function: name those that are needed, or remove the contract',
      }
  if (policy.intents.includes('transfer') && policy.recipients.length === 0)
    yield {
      path: ['recipients'],
      message:
        'is empty although "transfer" is allowed: name who may receive, or remove "transfer" from intents',
    }
  if (!policy.intents.includes('transfer') && policy.recipients.length > 0)
    yield {
      path: ['recipients'],
      message: 'names recipients although "transfer" is not allowed: add it to intents, or empty the list',
    }
}

/** A cap of zero would deny everything: whoever means that turns the agent off. */
function* positive(policy: PolicyLimits): Generator<PolicyIssue> {
  const limits: readonly (readonly [readonly string[], bigint])[] = [
    [['spend', 'perTransactionUsd'], policy.spend.perTransaction],
    [['gas', 'maxFeeGwei'], policy.gas.maxFeePerGas],
    [['gas', 'maxCostUsd'], policy.gas.maxCost],
    [['riskReducing', 'gas', 'penaltyPartBps'], policy.riskReducing.gas.penaltyPart],
  ]
  for (const [path, value] of limits)
    if (value === 0n)
      yield { path, message: 'is zero, which denies every action: raise it, or set mode to "observe"' }
  for (const [path, value] of [
    [['slippage', 'oracleBps'], policy.slippage.oracle],
    [['slippage', 'poolBps'], policy.slippage.pool],
    [['riskReducing', 'slippage', 'oracleBps'], policy.riskReducing.slippage.oracle],
    [['riskReducing', 'slippage', 'poolBps'], policy.riskReducing.slippage.pool],
    [['drawdownStopBps'], policy.drawdownStop],
  ] as const)
    if (value === BPS)
      yield { path, message: 'is 10000, which is the whole amount and so no limit: lower it' }
}

function* caps(policy: PolicyLimits): Generator<PolicyIssue> {
  for (const [path, spend] of [
    [['spend'], policy.spend],
    [['riskReducing', 'spend'], policy.riskReducing.spend],
  ] as const)
    if (spend.perTransaction > spend.rolling)
      yield {
        path: [...path, 'perTransactionUsd'],
        message: 'is above rollingUsd, so it could never be reached: lower it, or raise rollingUsd',
      }
  if (policy.gas.maxCost > policy.spend.perTransaction)
    yield {
      path: ['gas', 'maxCostUsd'],
      message: 'is above spend.perTransactionUsd, which counts gas too: lower it, or raise perTransactionUsd',
    }
  if (policy.lastValidBlocks > policy.intentExpiryBlocks)
    yield {
      path: ['lastValidBlocks'],
      message: 'is above intentExpiryBlocks, so a plan would outlive its intent: lower it',
    }
  if (policy.cooldownSeconds > policy.spend.windowSeconds)
    yield {
      path: ['cooldownSeconds'],
      message: 'is longer than spend.windowSeconds, so the rolling cap would mean nothing: shorten it',
    }
}

function* healthFactors({ healthFactor }: PolicyLimits): Generator<PolicyIssue> {
  const { floor, trigger, minAfter, target } = healthFactor
  const at = (key: keyof typeof healthFactor, message: string): PolicyIssue => ({
    path: ['healthFactor', key],
    message,
  })
  if (floor <= WAD) yield at('floor', 'is not above 1, where liquidation begins: raise it')
  if (floor >= trigger) yield at('floor', 'is not below trigger: the model would never be asked; lower it')
  if (trigger >= target)
    yield at('trigger', 'is not below target: a rescue would trigger the next one; lower it')
  if (minAfter < trigger)
    yield at('minAfter', 'is below trigger, so an action could call for a rescue: raise it')
  if (minAfter > target) yield at('minAfter', 'is above target, so a rescue would not suffice: lower it')
}

/** A rescue with tighter limits than everyday business would be stopped when it is needed most. */
function* looserWhenReducingRisk(policy: PolicyLimits): Generator<PolicyIssue> {
  const rescue = policy.riskReducing
  const pairs: readonly (readonly [
    path: readonly string[],
    rescue: bigint | number,
    ordinary: bigint | number,
  ])[] = [
    [['spend', 'perTransactionUsd'], rescue.spend.perTransaction, policy.spend.perTransaction],
    [['spend', 'rollingUsd'], rescue.spend.rolling, policy.spend.rolling],
    [['slippage', 'oracleBps'], rescue.slippage.oracle, policy.slippage.oracle],
    [['slippage', 'poolBps'], rescue.slippage.pool, policy.slippage.pool],
    [['oracle', 'maxAgeSeconds'], rescue.oracle.maxAgeSeconds, policy.oracle.maxAgeSeconds],
    [['oracle', 'maxDeviationBps'], rescue.oracle.maxDeviation, policy.oracle.maxDeviation],
    [['gas', 'maxFeeGwei'], rescue.gas.maxFeePerGas, policy.gas.maxFeePerGas],
  ]
  for (const [path, value, ordinary] of pairs)
    if (value < ordinary)
      yield {
        path: ['riskReducing', ...path],
        message: `is tighter than ${path.join('.')}, so a rescue would be held to more than ordinary business: raise it`,
      }
}
