import { bigint, boolean, customType, integer, jsonb, pgSchema, smallint, text } from 'drizzle-orm/pg-core'
import type { DecisionSource } from '../../runtime/core/agent.ts'
import type { ApprovalStatus } from '../../runtime/core/approvalRecords.ts'
import type { AttemptPurpose } from '../../runtime/core/attempts.ts'
import type { AgentId, AttemptId, EpochId, Hash, IntentId, RunId } from '../../runtime/core/ids.ts'
import type { IntentKind } from '../../runtime/core/intent.ts'
import type { AttemptStatus, IntentStatus, RunStatus } from '../../runtime/core/journal.ts'
import type { Usd, Wad, Wei } from '../../runtime/core/units.ts'
import type { Finding, TradingState, Verdict } from '../../runtime/core/verdict.ts'
import { address, bytes, freeText, hash, uint } from './columns.ts'

/*
 * The tables as the queries see them. The truth about them is in `migrations/`; `schema.test.ts` holds the two
 * together. Columns that only a person reads (`started_at` and the like) are filled by the database.
 */

const rialto = pgSchema('rialto')

const seq = () => bigint('seq', { mode: 'number' }).generatedAlwaysAsIdentity()
const timestamp = customType<{ data: string; driverData: string }>({ dataType: () => 'timestamptz' })

export const epochs = rialto.table('epochs', {
  key: integer('key').primaryKey().generatedAlwaysAsIdentity(),
  id: text('id').$type<EpochId>().notNull(),
  chainId: bigint('chain_id', { mode: 'number' }).notNull(),
  genesisHash: hash('genesis_hash').notNull(),
})

export const runs = rialto.table('runs', {
  epoch: integer('epoch').notNull(),
  id: text('id').$type<RunId>().notNull(),
  seq: seq(),
  agent: text('agent').$type<AgentId>().notNull(),
  account: address('account').notNull(),
  blockNumber: uint('block_number').notNull(),
  blockHash: hash('block_hash').notNull(),
  status: text('status').$type<RunStatus>().notNull(),
  error: freeText('error'),
  snapshotHash: hash('snapshot_hash'),
  intent: text('intent').$type<IntentKind>(),
  reason: freeText('reason'),
  source: text('source').$type<DecisionSource>(),
  fallbackReason: freeText('fallback_reason'),
  candidates: integer('candidates'),
  inferenceCalls: integer('inference_calls'),
  model: freeText('model'),
  equity: uint<Usd>('equity'),
  healthFactor: uint<Wad>('health_factor'),
  decidedAt: timestamp('decided_at'),
})

export const intents = rialto.table('intents', {
  epoch: integer('epoch').notNull(),
  id: text('id').$type<IntentId>().notNull(),
  seq: seq(),
  runId: text('run_id').$type<RunId>().notNull(),
  agent: text('agent').$type<AgentId>().notNull(),
  account: address('account').notNull(),
  decidedOnBlock: uint('decided_on_block').notNull(),
  action: jsonb('action').notNull(),
  status: text('status').$type<IntentStatus>().notNull(),
  changedAt: timestamp('changed_at'),
})

export const verdicts = rialto.table('verdicts', {
  epoch: integer('epoch').notNull(),
  intentId: text('intent_id').$type<IntentId>().notNull(),
  ordinal: integer('ordinal').notNull(),
  phase: text('phase').$type<Verdict['phase']>().notNull(),
  allowed: boolean('allowed').notNull(),
  policyVersion: freeText('policy_version').notNull(),
  findings: jsonb('findings').$type<readonly Finding[]>().notNull(),
})

export const attempts = rialto.table('attempts', {
  epoch: integer('epoch').notNull(),
  id: text('id').$type<AttemptId>().notNull(),
  seq: seq(),
  intentId: text('intent_id').$type<IntentId>(),
  agent: text('agent').$type<AgentId>(),
  purpose: text('purpose').$type<AttemptPurpose>().notNull(),
  replaces: text('replaces').$type<AttemptId>(),
  owner: address('owner').notNull(),
  chainId: bigint('chain_id', { mode: 'number' }).notNull(),
  account: address('account').notNull(),
  nonce: uint('nonce').notNull(),
  noncesUsed: smallint('nonces_used').$type<1 | 2>().notNull(),
  plan: jsonb('plan').notNull(),
  planHash: hash('plan_hash').notNull(),
  signedAt: uint('signed_at').notNull(),
  reserved: uint<Usd>('reserved').notNull(),
  status: text('status').$type<AttemptStatus>().notNull(),
  raw: bytes('raw'),
  hash: hash('hash'),
  blockNumber: uint('block_number'),
  blockHash: hash('block_hash'),
  spent: uint<Usd>('spent'),
  failure: freeText('failure'),
  changedAt: timestamp('changed_at'),
})

export const attemptSteps = rialto.table('attempt_steps', {
  epoch: integer('epoch').notNull(),
  attemptId: text('attempt_id').$type<AttemptId>().notNull(),
  ordinal: integer('ordinal').notNull(),
  from: text('from_status').$type<AttemptStatus>(),
  to: text('to_status').$type<AttemptStatus>().notNull(),
})

export const nonces = rialto.table('nonces', {
  epoch: integer('epoch').notNull(),
  account: address('account').notNull(),
  nonce: uint('nonce').notNull(),
  attemptId: text('attempt_id').$type<AttemptId>().notNull(),
})

export const outcomes = rialto.table('outcomes', {
  epoch: integer('epoch').notNull(),
  attemptId: text('attempt_id').$type<AttemptId>().notNull(),
  phase: text('phase').$type<'expected' | 'actual'>().notNull(),
  healthFactor: uint<Wad>('health_factor').notNull(),
  totalCollateral: uint<Usd>('total_collateral').notNull(),
  totalDebt: uint<Usd>('total_debt').notNull(),
  equity: uint<Usd>('equity').notNull(),
  gasUsed: uint('gas_used').notNull(),
  gasCost: uint<Wei>('gas_cost').notNull(),
  balanceChanges: jsonb('balance_changes').$type<readonly { token: string; change: string }[]>().notNull(),
})

export const approvals = rialto.table('approvals', {
  epoch: integer('epoch').notNull(),
  id: hash('id').notNull(),
  seq: seq(),
  intentId: text('intent_id').$type<IntentId>().notNull(),
  agent: text('agent').$type<AgentId>().notNull(),
  account: address('account').notNull(),
  plan: jsonb('plan').notNull(),
  effects: jsonb('effects').notNull(),
  policyVersion: freeText('policy_version').notNull(),
  reserved: uint<Usd>('reserved').notNull(),
  owners: jsonb('owners').$type<readonly string[]>().notNull(),
  threshold: integer('threshold').notNull(),
  requestedAt: uint('requested_at').notNull(),
  expiresAt: uint('expires_at').notNull(),
  status: text('status').$type<ApprovalStatus>().notNull(),
  reason: freeText('reason'),
  changedAt: timestamp('changed_at'),
})

export const approvalSignatures = rialto.table('approval_signatures', {
  epoch: integer('epoch').notNull(),
  approvalId: hash('approval_id').$type<Hash>().notNull(),
  signer: address('signer').notNull(),
  ordinal: integer('ordinal').notNull(),
  signature: bytes('signature').notNull(),
  signedAt: uint('signed_at').notNull(),
})

export const leases = rialto.table('leases', {
  epoch: integer('epoch').notNull(),
  account: address('account').notNull(),
  holder: freeText('holder').notNull(),
  token: bigint('token', { mode: 'bigint' }).notNull(),
  expiresAt: timestamp('expires_at').notNull(),
})

export const tradingOrders = rialto.table('trading_orders', {
  seq: seq(),
  epoch: integer('epoch'),
  agent: text('agent').$type<AgentId>(),
  account: address('account'),
  state: text('state').$type<TradingState>().notNull(),
  reason: freeText('reason').notNull(),
})
