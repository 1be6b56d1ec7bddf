import type { Abi } from 'viem'
import { isRiskReducing } from '../core/intent.ts'
import { BPS, WAD } from '../core/units.ts'
import { aavePoolActionsAbi } from '../protocols/aave-v3/abi.ts'
import { erc20ActionsAbi } from '../protocols/erc20/abi.ts'
import { assertActionsAbi, flashRepayActionsAbi } from '../protocols/rialto/abi.ts'
import { swapRouterActionsAbi } from '../protocols/uniswap-v3/abi.ts'
import { agentModes } from './agentModes.ts'
import type { PolicyIssue, PolicyLimits } from './policy.ts'

type Kind = PolicyLimits['intents'][number]

const ASSERT = 'rialto.assert'

/**
 * What `encodeIntent` calls for an intent of each kind, by role. A role with many contracts (`erc20`) is there when
 * the policy names one of them.
 */
export const NEEDED: Readonly<
  Record<Kind, readonly (readonly [role: string, functions: readonly string[]])[]>
> = {
  supply: [
    ['erc20', ['approve']],
    ['aave-v3.pool', ['supply']],
    [ASSERT, ['minHealthFactor', 'minBalance', 'zeroAllowance', 'notAfter']],
  ],
  withdraw: [
    ['aave-v3.pool', ['withdraw']],
    [ASSERT, ['minHealthFactor', 'minBalance', 'notAfter']],
  ],
  borrow: [
    ['aave-v3.pool', ['borrow']],
    [ASSERT, ['minHealthFactor', 'minBalance', 'notAfter']],
  ],
  repay: [
    ['erc20', ['approve']],
    ['aave-v3.pool', ['repay']],
    [ASSERT, ['minHealthFactor', 'zeroAllowance', 'notAfter']],
  ],
  deleverage: [
    ['aave-v3.aToken', ['approve']],
    ['rialto.flashRepay', ['flashRepay']],
    [ASSERT, ['minHealthFactor', 'minBalance', 'zeroAllowance', 'notAfter']],
  ],
  swap: [
    ['erc20', ['approve']],
    ['uniswap-v3.router', ['exactInputSingle']],
    [ASSERT, ['minHealthFactor', 'minBalance', 'zeroAllowance', 'notAfter']],
  ],
  transfer: [
    ['erc20', ['transfer']],
    [ASSERT, ['minHealthFactor', 'minBalance', 'notAfter']],
  ],
  revoke: [
    ['erc20', ['approve']],
    [ASSERT, ['zeroAllowance', 'notAfter']],
  ],
  liquidate: [
    ['erc20', ['approve']],
    ['aave-v3.pool', ['liquidationCall']],
    [ASSERT, ['minHealthFactor', 'minBalance', 'zeroAllowance', 'notAfter']],
  ],
}

const functionsOf = (abi: Abi): readonly string[] =>
  abi.flatMap((item) => (item.type === 'function' ? [item.name] : []))

/** Every function that `decodeCall` can read, by role: what is not here would be denied as unreadable. */
const READABLE: ReadonlyMap<string, readonly string[]> = new Map([
  ['erc20', functionsOf(erc20ActionsAbi)],
  ['aave-v3.aToken', functionsOf(erc20ActionsAbi)],
  ['aave-v3.pool', functionsOf(aavePoolActionsAbi)],
  ['uniswap-v3.router', functionsOf(swapRouterActionsAbi)],
  ['rialto.flashRepay', functionsOf(flashRepayActionsAbi)],
  [ASSERT, functionsOf(assertActionsAbi)],
])

/** Roles that many contracts have, so that a policy has to say which. */
const PLURAL: ReadonlySet<string> = new Set(['erc20', 'aave-v3.aToken'])

/** Everything in a policy that cannot be meant, although each value alone is well formed. */
export function* contradictions(policy: PolicyLimits): Generator<PolicyIssue> {
  yield* allowlists(policy)
  yield* positive(policy)
  yield* caps(policy)
  yield* healthFactors(policy)
  yield* looserWhenReducingRisk(policy)
  yield* allowances(policy)
  yield* reserve(policy)
  yield* approvals(policy)
  yield* graduation(policy)
}

function* allowlists(policy: PolicyLimits): Generator<PolicyIssue> {
  if (policy.intents.length === 0 && policy.mode !== 'observe')
    yield {
      path: ['intents'],
      message: `is empty, so mode "${policy.mode}" could never act: name a kind, or set mode to "observe"`,
    }
  for (const [index, kind] of policy.intents.entries())
    for (const [role, functions] of NEEDED[kind]) {
      const allowed = new Set(
        Object.entries(policy.contracts).flatMap(([name, named]) => (roleOf(name) === role ? named : [])),
      )
      const missing = functions.filter((name) => !allowed.has(name))
      if (missing.length > 0)
        yield {
          path: ['intents', index],
          message: `allows "${kind}", which calls ${missing.join(', ')} of ${role}: add it to contracts, or remove "${kind}"`,
        }
    }
  yield* contracts(policy)
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

const roleOf = (contract: string): string => contract.split(':', 1)[0] ?? contract

function* contracts(policy: PolicyLimits): Generator<PolicyIssue> {
  for (const [name, functions] of Object.entries(policy.contracts)) {
    const path = ['contracts', name]
    const readable = READABLE.get(roleOf(name))
    if (readable === undefined)
      yield {
        path,
        message: `is no contract that Rialto calls: use ${[...READABLE.keys()].join(', ')}, or remove it`,
      }
    else if (PLURAL.has(roleOf(name)) !== name.includes(':'))
      yield {
        path,
        message: name.includes(':')
          ? `names one of many where there is only one: write "${roleOf(name)}"`
          : `does not say which: write it like "${name}:WETH"`,
      }
    else if (functions.length === 0)
      yield { path, message: 'allows no function: name those that are needed, or remove the contract' }
    else
      for (const [index, functionName] of functions.entries())
        if (!readable.includes(functionName))
          yield {
            path: [...path, index],
            message: `is no function of it that Rialto calls: use ${readable.join(', ')}, or remove it`,
          }
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

/** What is not named may not be moved: without gas nothing could be. */
function* allowances({ allowances: named, mode }: PolicyLimits): Generator<PolicyIssue> {
  if (mode !== 'observe' && !Object.hasOwn(named, 'native'))
    yield {
      path: ['allowances'],
      message: 'does not name "native", so no gas could be paid: add it, or set mode to "observe"',
    }
}

/** A reserve that nothing could use, or too little for what the policy lets one rescue cost. */
function* reserve({ protector, intents, riskReducing }: PolicyLimits): Generator<PolicyIssue> {
  if (protector === 'none') return
  if (!Object.hasOwn(protector.allowances, 'native'))
    yield {
      path: ['protector', 'allowances'],
      message:
        'does not name "native", so the protector could pay no gas: add it, or set protector to "none"',
    }
  if (protector.rolling < riskReducing.spend.perTransaction)
    yield {
      path: ['protector', 'rollingUsd'],
      message:
        'is below riskReducing.spend.perTransactionUsd, so a rescue could fail for want of it: raise it',
    }
  if (!intents.some((kind) => isRiskReducing({ kind })))
    yield {
      path: ['protector'],
      message:
        'reserves something, but no intent is allowed that reduces risk: set it to "none", or allow "deleverage"',
    }
}

function* approvals({ approvals: asked }: PolicyLimits): Generator<PolicyIssue> {
  if (asked.owners.length > 0 && asked.threshold > asked.owners.length)
    yield {
      path: ['approvals', 'threshold'],
      message: `asks for ${asked.threshold} signatures of ${asked.owners.length} owners: lower it, or name more owners`,
    }
  if (asked.personAbove !== null && asked.owners.length === 0)
    yield {
      path: ['approvals', 'owners'],
      message:
        'is empty although personAboveUsd asks for a person: name who may approve, or set it to "none"',
    }
}

/** Each step must be longer in good standing and allow no less than the one before, and the last is the whole policy. */
function* graduation({ graduation: steps, mode }: PolicyLimits): Generator<PolicyIssue> {
  if (steps === 'none') return
  const path = (index: number, key: string) => ['graduation', index, key]
  if (steps[0]?.days !== 0)
    yield { path: path(0, 'days'), message: 'is not 0, so nothing says how an agent begins: set it to 0' }
  for (const [index, step] of steps.entries()) {
    const before = steps[index - 1]
    if (before !== undefined && step.days <= before.days)
      yield {
        path: path(index, 'days'),
        message: 'is not above the step before: raise it, or remove the step',
      }
    if (before !== undefined && step.part < before.part)
      yield {
        path: path(index, 'partBps'),
        message: 'is below the step before: limits rise by steps; raise it',
      }
    if (before !== undefined && agentModes.indexOf(step.mode) < agentModes.indexOf(before.mode))
      yield {
        path: path(index, 'mode'),
        message: 'is stricter than the step before: limits rise by steps; raise it',
      }
    if (agentModes.indexOf(step.mode) > agentModes.indexOf(mode))
      yield { path: path(index, 'mode'), message: `goes further than the policy's "${mode}": lower it` }
    if (step.part === 0n)
      yield { path: path(index, 'partBps'), message: 'is zero, which denies every action: raise it' }
  }
  const last = steps.length - 1
  if (steps[last]?.part !== BPS)
    yield {
      path: path(last, 'partBps'),
      message: 'is not 10000, so the limits of the policy would never be reached: set it to 10000',
    }
  if (steps[last] !== undefined && steps[last].mode !== mode)
    yield {
      path: path(last, 'mode'),
      message: `is not the policy's "${mode}", so that would never be reached: set it to "${mode}"`,
    }
}
