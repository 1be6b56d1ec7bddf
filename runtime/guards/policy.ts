import { z } from 'zod'
import { type Canonical, canonicalHash } from '../core/canonical.ts'
import { InvalidInputError } from '../core/errors.ts'
import { type AgentMode, agentModes } from './agentModes.ts'
import { contradictions } from './contradictions.ts'
import {
  account,
  approvalThreshold,
  basisPoints,
  blocks,
  distinct,
  dollars,
  expected,
  graduationDays,
  gwei,
  healthFactor,
  noneOr,
  positiveSeconds,
  replacementBump,
  seconds,
  section,
} from './policyFields.ts'

/** Intents that a policy can allow. To do nothing needs nobody's leave. */
export const actionKinds = [
  'supply',
  'withdraw',
  'borrow',
  'repay',
  'deleverage',
  'swap',
  'transfer',
  'liquidate',
  'revoke',
] as const

export { type AgentMode, agentModes } from './agentModes.ts'

const oneOf = <const Words extends readonly [string, ...string[]]>(words: Words) =>
  z.enum(words, { error: expected(`one of "${words.join('", "')}"`) })

const text = (what: string, shape: RegExp) =>
  z.string({ error: expected(what) }).regex(shape, { error: expected(what) })

const tokenSymbols = distinct(
  text('a token symbol', /^[A-Za-z0-9.]{1,20}$/),
  'a list of token symbols, like ["USDC"], or []',
)

const spend = section({ perTransactionUsd: dollars, rollingUsd: dollars }).transform((limits) => ({
  perTransaction: limits.perTransactionUsd,
  rolling: limits.rollingUsd,
}))

const allowances = z.record(
  text('a token symbol, or "native"', /^[A-Za-z0-9.]{1,20}$/),
  text('a decimal string of whole tokens, like "12.5"', /^\d{1,30}(\.\d{1,36})?$/),
  {
    error: expected('an object from token symbols to decimal strings of whole tokens, like {"WETH": "12.5"}'),
  },
)

const slippage = section({ oracleBps: basisPoints, poolBps: basisPoints }).transform((limits) => ({
  oracle: limits.oracleBps,
  pool: limits.poolBps,
}))

const oracle = section({ maxAgeSeconds: positiveSeconds, maxDeviationBps: basisPoints }).transform(
  (limits) => ({
    maxAgeSeconds: limits.maxAgeSeconds,
    maxDeviation: limits.maxDeviationBps,
  }),
)

/**
 * The policy file. Nothing has a default: a limit that the owner did not write down is one that he did not set.
 *
 * Every unit stands in its key: `Usd` and `Gwei` are decimal strings, health factors too; `Bps`, `Seconds` and
 * `Blocks` are whole numbers. The parsed policy carries units in its types instead, so there `perTransactionUsd`
 * is `perTransaction: Usd`.
 */
const policyFile = section({
  /** For records and people. */
  name: text('a name of letters, digits and dashes', /^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/),
  /** The most that an agent under this policy may do; its configuration can only hold it back further. */
  mode: oneOf(agentModes),
  /** The kinds of intent that are allowed. */
  intents: distinct(oneOf(actionKinds), 'a list of kinds of intent'),
  /** Functions that may be called, by the symbolic name of their contract: `"erc20:WETH": ["approve"]`. */
  contracts: z.record(
    text('the symbolic name of a contract, like "aave-v3.pool"', /^[a-z0-9-]+([.:][A-Za-z0-9.:-]+)?$/),
    distinct(text('the name of a function', /^[A-Za-z_]\w*$/), 'a list of function names'),
    { error: expected('an object from names of contracts to lists of function names') },
  ),
  /** Who may be sent tokens by the intent `transfer`. */
  recipients: distinct(account, 'a list of addresses, or []'),
  /** Caps on spend: the fall of equity at oracle prices plus gas at the fee cap. Not on volume. */
  spend: section({
    perTransactionUsd: dollars,
    /** Over the last `windowSeconds`, with everything that is in flight. */
    rollingUsd: dollars,
    windowSeconds: positiveSeconds,
  }).transform((limits) => ({
    perTransaction: limits.perTransactionUsd,
    rolling: limits.rollingUsd,
    windowSeconds: limits.windowSeconds,
  })),
  /** How much worse than the oracle's price, and than the pool's price before the swap, its fee included. */
  slippage,
  oracle: section({
    maxAgeSeconds: positiveSeconds,
    /** Between the feed and the reference pool, and between the feed and the price that Aave uses. */
    maxDeviationBps: basisPoints,
    /** Tokens that are accepted without a reference pool. For all others a missing one denies. */
    withoutReferencePool: tokenSymbols,
  }).transform((limits) => ({
    maxAgeSeconds: limits.maxAgeSeconds,
    maxDeviation: limits.maxDeviationBps,
    withoutReferencePool: limits.withoutReferencePool,
  })),
  healthFactor: section({
    /** Below it waiting is not allowed, whoever says so: a model that says it is overruled. */
    floor: healthFactor,
    /** Below it the agent starts to think. */
    trigger: healthFactor,
    /** An intent that does not reduce risk must not leave the position below it. */
    minAfter: healthFactor,
    /** What a rescue aims at. Only a position below it is one that can be rescued. */
    target: healthFactor,
  }),
  gas: section({ maxFeeGwei: gwei, maxCostUsd: dollars }).transform((limits) => ({
    maxFeePerGas: limits.maxFeeGwei,
    maxCost: limits.maxCostUsd,
  })),
  /** Between two actions of the account. */
  cooldownSeconds: seconds,
  /** Fall of equity from its peak at which only a rescue is still allowed. */
  drawdownStopBps: basisPoints,
  /** How many blocks after its simulation a transaction may be mined. Enforced on-chain. */
  lastValidBlocks: blocks,
  /** How far ahead the last block of an intent may lie. */
  intentExpiryBlocks: blocks,
  /** How deep a transaction has to be before its outcome counts as known, or "finalized" where the chain has it. */
  confirmations: z.union([z.literal('finalized'), blocks], {
    error: expected('a whole number of blocks from 1 to 100000, or "finalized"'),
  }),
  /** When a transaction that is not mined is replaced on its nonce, and by how much its fees rise then. */
  replacement: section({ afterBlocks: blocks, bumpBps: replacementBump }).transform((limits) => ({
    afterBlocks: limits.afterBlocks,
    bump: limits.bumpBps,
  })),
  /**
   * How a transaction reaches the chain: through the public pool, or a private route that the configuration names.
   * `publicAfterBlocks` is when one that was sent privately is sent to the pool as well; "never" keeps it private.
   */
  submission: section({
    route: oneOf(['public', 'private']),
    publicAfterBlocks: z.union([z.literal('never'), blocks], {
      error: expected('a whole number of blocks from 1 to 100000, or "never"'),
    }),
  }).transform(({ route, publicAfterBlocks }) => ({
    route,
    publicAfterBlocks: publicAfterBlocks === 'never' ? null : publicAfterBlocks,
  })),
  /**
   * The most of each token, in whole tokens, that transactions may move within `spend.windowSeconds`, and of
   * `native` that their gas may cost at its cap. The signer counts it in a ledger of its own, and a Zodiac Roles
   * modifier enforces it on-chain. What is not named may not be moved at all.
   */
  allowances,
  /**
   * What is reserved for the protector of a Safe, which acts by a key, a role and counters of its own, so that an agent
   * that used up its allowances cannot starve it, nor it the agent: dollars that its rescues may lose within
   * `spend.windowSeconds`, and allowances like the agent's. All of it comes on top of what the agent may. "none": nothing
   * protects a Safe. Without a Safe the protector acts by the account's own key and allowances, and needs nothing here.
   */
  protector: noneOr(
    section({ rollingUsd: dollars, allowances }).transform((reserve) => ({
      rolling: reserve.rollingUsd,
      allowances: reserve.allowances,
    })),
    '"none" or what is reserved, like {"rollingUsd": "3000", "allowances": {"WETH": "40", "native": "4"}}',
  ),
  /** How much of the account's equity an outcome may fall short of its simulation before the agent is frozen. */
  maxDeviationBps: basisPoints,
  approvals: section({
    /** A person is asked when equity falls by more than this in one transaction; "none" asks nobody. */
    personAboveUsd: z.union([z.literal('none'), dollars], {
      error: expected('"none" or a decimal string of US dollars, like "5000"'),
    }),
    /** Whose signatures count (EIP-712), and how many of them a plan needs. */
    owners: distinct(account, 'a list of addresses, or []'),
    threshold: approvalThreshold,
    /** How long an approval holds. */
    expirySeconds: positiveSeconds,
  }).transform(({ personAboveUsd, ...rest }) => ({
    personAbove: personAboveUsd === 'none' ? null : personAboveUsd,
    ...rest,
  })),
  /**
   * How far an agent may go while it is new on a real chain, from the strictest step to the whole of the policy: after
   * so many days without a denial or a deviation it may spend `partBps` of every spend cap, in that mode. "none": all
   * of it from the first block.
   */
  graduation: z.union(
    [
      z.literal('none'),
      z
        .array(
          section({ days: graduationDays, mode: oneOf(agentModes), partBps: basisPoints }).transform(
            (step) => ({
              days: step.days,
              mode: step.mode,
              part: step.partBps,
            }),
          ),
        )
        .min(1)
        .max(10),
    ],
    { error: expected('"none" or a list of steps, like [{"days": 0, "mode": "propose", "partBps": 1000}]') },
  ),
  /**
   * Limits of an intent that is meant to lower the risk of a position below its target, and is shown by the
   * simulation to do so. It has neither a cooldown nor a drawdown stop: a guard that blocks a rescue in a crash is
   * a loss too.
   */
  riskReducing: section({
    /** The same window as the ordinary cap, and the same spending counts. */
    spend,
    slippage,
    oracle,
    gas: section({
      maxFeeGwei: gwei,
      /** Gas may cost up to this part of the penalty that one liquidation of the position would take. */
      penaltyPartBps: basisPoints,
    }).transform((limits) => ({
      maxFeePerGas: limits.maxFeeGwei,
      penaltyPart: limits.penaltyPartBps,
    })),
  }),
}).transform(({ drawdownStopBps, maxDeviationBps, ...rest }) => ({
  ...rest,
  drawdownStop: drawdownStopBps,
  maxDeviation: maxDeviationBps,
}))

/** The limits themselves, parsed. */
export type PolicyLimits = Readonly<z.output<typeof policyFile>>

/** What a policy file holds, before it is parsed. */
export type PolicyFile = z.input<typeof policyFile>

/** The limits of one agent, and the version that every verdict and plan under them carries. */
export type Policy = PolicyLimits & {
  /** The first 16 hex digits of the Keccak-256 over the canonical JSON of the limits. */
  readonly version: string
}

/** One thing that is wrong with a policy. */
export type PolicyIssue = {
  /** From the root to the offending value. */
  readonly path: readonly (string | number)[]
  /** What is wrong, and what to do. */
  readonly message: string
  /** Where in the file, if that is known. */
  readonly line?: number
}

/** A policy that is malformed, incomplete or contradicts itself. All that is wrong is in `issues`. */
export class PolicyError extends InvalidInputError {
  override readonly name = 'PolicyError'
  readonly issues: readonly PolicyIssue[]
  /** @param file where it was read from, fit for a person */
  constructor(issues: readonly PolicyIssue[], file?: string) {
    super(`Wrong policy: ${issues.map((issue) => describeIssue(issue, file)).join(' · ')}.`, {
      code: 'POLICY',
      fix: 'Correct it and start again.',
      details: { file, issues },
    })
    this.issues = issues
  }
}

/**
 * One thing that is wrong, as a person wants to read it.
 *
 * @example describeIssue({ path: ['spend', 'rollingUsd'], message: 'is missing', line: 12 }, 'p.json')
 * // 'p.json:12: spend.rollingUsd is missing'
 */
export function describeIssue({ path, message, line }: PolicyIssue, file?: string): string {
  const where = [...(file === undefined ? [] : [file]), ...(line === undefined ? [] : [line])].join(':')
  return `${where === '' ? '' : `${where}: `}${jsonPath(path)} ${message}`
}

/** @example jsonPath(['intents', 0]) // 'intents[0]' */
export function jsonPath(path: readonly (string | number)[]): string {
  if (path.length === 0) return 'the file'
  return path.reduce<string>((joined, key) => {
    if (typeof key === 'number') return `${joined}[${key}]`
    if (!/^[A-Za-z_]\w*$/.test(key)) return `${joined}["${key}"]`
    return joined === '' ? key : `${joined}.${key}`
  }, '')
}

/** The policy, or everything that is wrong with it: for callers that know more about where it came from. */
export function checkPolicy(
  value: unknown,
): { readonly policy: Policy } | { readonly issues: readonly [PolicyIssue, ...PolicyIssue[]] } {
  const result = policyFile.safeParse(value)
  const issues: PolicyIssue[] = result.success
    ? [...contradictions(result.data)]
    : result.error.issues.map(({ path, message }) => ({
        path: path.map((key) => (typeof key === 'number' ? key : String(key))),
        message,
      }))
  const [first, ...others] = issues
  if (first !== undefined) return { issues: [first, ...others] }
  const limits = result.data as PolicyLimits
  return { policy: Object.freeze({ ...limits, version: policyVersion(limits) }) }
}

/**
 * Parses a policy.
 *
 * @throws {PolicyError} naming the JSON path of everything that is missing, malformed or contradictory.
 * @example parsePolicy(JSON.parse(text)).spend.rolling // 300_000_000_000n: 3,000 dollars
 */
export function parsePolicy(value: unknown): Policy {
  const checked = checkPolicy(value)
  if ('issues' in checked) throw new PolicyError(checked.issues)
  return checked.policy
}

/** The same policy in another mode, under a version of its own: what is signed under it is not signed under the other. */
export function withMode({ version: _version, ...limits }: Policy, mode: AgentMode): Policy {
  const changed: PolicyLimits = { ...limits, mode }
  return Object.freeze({ ...changed, version: policyVersion(changed) })
}

/** The version of a set of limits: the same limits give the same version on every machine. */
export function policyVersion(limits: PolicyLimits): string {
  return canonicalHash(limits as unknown as Canonical).slice(2, 18)
}
