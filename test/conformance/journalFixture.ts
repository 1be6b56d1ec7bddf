import { randomUUID } from 'node:crypto'
import { type Address, getAddress, keccak256, stringToHex, zeroAddress } from 'viem'
import type { AdoptedAttempt } from '../../runtime/core/attempts.ts'
import {
  type AgentId,
  type AttemptId,
  agentId,
  attemptId,
  fillId,
  type Hash,
  type IntentId,
  intentId,
  type RunId,
  runId,
} from '../../runtime/core/ids.ts'
import type { Action } from '../../runtime/core/intent.ts'
import type {
  AttemptRecord,
  DecisionRecord,
  Journal,
  Lease,
  PreparedAttempt,
  RunRecord,
} from '../../runtime/core/journal.ts'
import { type Outcome, type Plan, planHash } from '../../runtime/core/lifecycle.ts'
import { MAX_UINT256, tokenAmount, usd, wad, wei } from '../../runtime/core/units.ts'
import type { Verdict } from '../../runtime/core/verdict.ts'

export const CHAIN_ID = 31_337

export const fakeHash = (seed: string | number): Hash => keccak256(stringToHex(String(seed)))
export const fakeAddress = (seed: string | number): Address => getAddress(`0x${fakeHash(seed).slice(-40)}`)

/** Another name, so that what one test orders is not an order to the next: orders hold in every epoch. */
export const newAgent = (): AgentId => agentId(`agent-${randomUUID()}`)
export const newGenesis = (): Hash => fakeHash(randomUUID())

export type Actor = { readonly agent: AgentId; readonly account: Address }

export const decision: DecisionRecord = {
  snapshotHash: fakeHash('snapshot'),
  intent: 'repay',
  reason: 'the health factor fell under the target',
  source: 'model',
  fallbackReason: null,
  candidates: 4,
  inferenceCalls: 1,
  model: 'rialto-reference-analyst',
  equity: usd(123_456_789_012n),
  healthFactor: wad(1_031_800_000_000_000_001n),
}

export const nothing: DecisionRecord = {
  ...decision,
  intent: 'nothing',
  source: 'quiet',
  inferenceCalls: 0,
  model: null,
  // What Aave says of a position without debt: 78 digits have to fit.
  healthFactor: wad(MAX_UINT256),
}

export const action: Action = {
  kind: 'repay',
  asset: fakeAddress('usdc'),
  amount: tokenAmount(750_000_001n),
  minHealthFactor: wad(1_200_000_000_000_000_000n),
  expiresAtBlock: 130n,
}

export const verdict: Verdict = {
  phase: 'intent',
  allowed: true,
  findings: [
    {
      guard: 'cooldown',
      allowed: true,
      code: null,
      limit: '60',
      observed: '3600',
      message: 'an hour since the last',
    },
  ],
  policyVersion: 'v1',
}

export const denial: Verdict = {
  ...verdict,
  phase: 'effect',
  allowed: false,
  findings: [
    { guard: 'gasCap', allowed: false, code: 'GAS_CAP', limit: '5', observed: '7.5', message: 'gas is dear' },
  ],
}

export const outcome: Outcome = {
  healthFactor: wad(1_250_000_000_000_000_000n),
  totalCollateral: usd(1_876_000_000_000n),
  totalDebt: usd(1_000_000_000_000n),
  equity: usd(876_000_000_000n),
  gasUsed: 531_712n,
  gasCost: wei(10n ** 15n + 1n),
  balanceChanges: [
    { token: fakeAddress('usdc'), change: -750_000_001n },
    { token: zeroAddress, change: -(10n ** 15n) },
    { token: fakeAddress('weth'), change: MAX_UINT256 },
  ],
}

export function planOf(intent: IntentId, account: Address): Plan {
  return {
    intentId: intent,
    chainId: CHAIN_ID,
    account,
    calls: [
      { to: fakeAddress('usdc'), value: wei(0n), data: '0x095ea7b3' },
      { to: fakeAddress('pool'), value: wei(3n), data: '0x' },
    ],
    delegateTo: fakeAddress('batch'),
    gasLimit: 691_225n,
    maxFeePerGas: wei(2_000_000_000n),
    maxPriorityFeePerGas: wei(1n),
    block: { number: 120n, hash: fakeHash('block') },
    lastValidBlock: 122n,
    policyVersion: 'v1',
  }
}

export const runOf = ({ agent, account }: Actor, n: number) => ({
  id: runId(agent, fakeHash(n)),
  agent,
  account,
  blockNumber: BigInt(n),
  blockHash: fakeHash(n),
})

/** Starts the n-th run of an actor and has it decide on an intent. */
export async function proposeIntent(
  journal: Journal,
  actor: Actor,
  n = 1,
): Promise<{ run: RunRecord; intent: IntentId }> {
  const { id } = await journal.startRun(runOf(actor, n))
  const intent = intentId(id)
  return { run: await journal.decide(id, decision, { id: intent, action }), intent }
}

type Changes = Partial<
  Pick<PreparedAttempt, 'id' | 'nonce' | 'noncesUsed' | 'signedAt' | 'reserved' | 'replaces'>
>

/** The first attempt at an intent, or another with `id` and `replaces`. */
export function attemptOf(intent: IntentId, account: Address, changes: Changes = {}): PreparedAttempt {
  return withPlan(planOf(intent, account), {
    id: attemptId(intent, 1),
    intentId: intent,
    purpose: 'act',
    expected: outcome,
    ...changes,
  })
}

const withPlan = (
  plan: Plan,
  more: Changes & Pick<PreparedAttempt, 'id' | 'intentId' | 'purpose' | 'expected'>,
): PreparedAttempt => ({
  replaces: null,
  chainId: CHAIN_ID,
  account: plan.account,
  nonce: 7n,
  noncesUsed: 1,
  plan,
  planHash: planHash(plan),
  signedAt: 1_700_000_000n,
  reserved: usd(5_000_000_000n),
  ...more,
})

/** The n-th attempt of an intent, on the nonce of an earlier one. */
export const replacementOf = (
  earlier: AttemptRecord & { intentId: IntentId },
  n: number,
  changes: Changes = {},
): PreparedAttempt =>
  attemptOf(earlier.intentId, earlier.account, {
    id: attemptId(earlier.intentId, n),
    nonce: earlier.nonce,
    replaces: earlier.id,
    ...changes,
  })

/** The n-th attempt of an intent: an empty transaction on the nonce of an earlier one. */
export function cancelOf(earlier: AttemptRecord & { intentId: IntentId }, n: number): PreparedAttempt {
  const { intentId: intent, account, nonce } = earlier
  return withPlan(emptyPlan(intent, account), {
    id: attemptId(intent, n),
    intentId: intent,
    purpose: 'cancel',
    expected: null,
    nonce,
    replaces: earlier.id,
  })
}

/** The n-th attempt to fill a nonce. */
export function fillOf(account: Address, nonce: bigint, n = 1, changes: Changes = {}): PreparedAttempt {
  const name = fillId(account, nonce)
  const more = { id: attemptId(name, n), intentId: null, purpose: 'fill', expected: null, nonce } as const
  return withPlan(emptyPlan(name, account), { ...more, ...changes })
}

/** The same attempt by a member of a Safe's role. */
export function throughRoles(attempt: PreparedAttempt, sender: Address): PreparedAttempt {
  const plan: Plan = {
    ...attempt.plan,
    via: {
      kind: 'roles',
      modifier: fakeAddress('modifier'),
      multiSend: fakeAddress('multiSend'),
      roleKey: fakeHash('role'),
      sender,
    },
  }
  return { ...attempt, account: sender, plan, planHash: planHash(plan) }
}

export const emptyPlan = (intent: IntentId, account: Address): Plan => ({
  ...planOf(intent, account),
  calls: [],
  delegateTo: null,
})

/** What the signer's ledger holds of an attempt. */
export function inLedger(attempt: PreparedAttempt): AdoptedAttempt {
  const { purpose: _purpose, replaces: _replaces, expected: _expected, ...rest } = attempt
  return { ...rest, ...bytesOf(attempt.id) }
}

export const bytesOf = (id: AttemptId | RunId) => ({ raw: stringToHex(`signed ${id}`), hash: fakeHash(id) })

export async function leaseOf(journal: Journal, account: Address, holder = 'worker-1'): Promise<Lease> {
  const lease = await journal.acquireLease(account, holder, 3_600)
  if (lease === null) throw new RangeError('The lease is held by another.')
  return lease
}

/** Brings the n-th intent of an actor to `signed`, with an attempt on a nonce. */
export async function signAttempt(
  journal: Journal,
  actor: Actor,
  n: number,
  changes: Changes = {},
): Promise<AttemptRecord & { intentId: IntentId }> {
  const { intent } = await proposeIntent(journal, actor, n)
  const attempt = attemptOf(intent, actor.account, { nonce: BigInt(n), ...changes })
  return { ...(await prepareAndSign(journal, attempt)), intentId: intent }
}

/** Prepares an attempt and stores its bytes. */
export async function prepareAndSign(journal: Journal, attempt: PreparedAttempt): Promise<AttemptRecord> {
  const lease = await leaseOf(journal, attempt.account)
  const { id } = await journal.prepare(lease, attempt)
  return journal.sign(lease, id, bytesOf(id))
}

/** Finds an attempt in a block, which is then deep enough. */
export async function confirmAttempt(journal: Journal, id: AttemptId): Promise<AttemptRecord> {
  await journal.advance(id, inBlock)
  return journal.settle(id, { status: 'confirmed', ...mined, deviated: false })
}

export const mined = {
  blockNumber: 121n,
  blockHash: fakeHash('mined'),
  actual: outcome,
  spent: usd(42n),
} as const

export const inBlock = { to: 'mined', block: { number: mined.blockNumber, hash: mined.blockHash } } as const
