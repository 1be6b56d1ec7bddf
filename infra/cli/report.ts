import { formatEther, zeroAddress } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { AttemptRecord, IntentRecord, RunRecord } from '../../runtime/core/journal.ts'
import type { Outcome } from '../../runtime/core/lifecycle.ts'
import { formatUsd, parseDecimal } from '../../runtime/core/units.ts'
import { denials } from '../../runtime/core/verdict.ts'
import { type Fate, formatHealthFactor } from '../world/measurePlay.ts'
import type { PassRule } from '../world/scenarios/scenario.ts'

/** A promised or measured outcome. Dollars, ether and health factors as decimal strings, balances as integers. */
export type OutcomeReport = {
  readonly healthFactor: string
  readonly collateralUsd: string
  readonly debtUsd: string
  readonly equityUsd: string
  readonly gasUsed: string
  readonly gasCostEth: string
  /** Change of the account's own balances in the token's smallest unit, by symbol or address. */
  readonly balances: Readonly<Record<string, string>>
}

export type DecisionReport = {
  readonly block: number
  readonly runId: string
  readonly intent: string
  /** `none` when there was nothing to judge, `pending` while it is not judged. */
  readonly verdict: 'none' | 'pending' | 'allowed' | 'denied' | 'expired'
  readonly reason: string
  readonly candidates: number
}

export type TransactionReport = {
  /** The intent, or the name under which a nonce was filled. */
  readonly intentId: string
  /** The intent's kind; for what carries out none, what it is for: `cancel`, `fill` or `adopted`. */
  readonly kind: string
  readonly hash: string | null
  readonly status: string
  readonly block: number | null
  /** Null for what promised nothing: an empty transaction, or bytes from the signer's ledger. */
  readonly expected: OutcomeReport | null
  readonly actual: OutcomeReport | null
}

/** What `rialto start --json` prints. */
export type Report = {
  readonly scenario: string
  readonly seed: number
  readonly passed: boolean
  readonly blocks: number
  readonly guarded: Fate
  readonly twin: Fate
  readonly decisions: readonly DecisionReport[]
  readonly transactions: readonly TransactionReport[]
  readonly inference: { readonly calls: number; readonly model: string }
  readonly journal: { readonly runs: number; readonly intents: number; readonly attempts: number }
  readonly durationMs: number
}

export type ReportInput = {
  readonly scenario: string
  readonly seed: number
  readonly blocks: number
  readonly completed: boolean
  readonly passRule: PassRule
  readonly guarded: Fate
  readonly twin: Fate
  /** The guardian's own. */
  readonly runs: readonly RunRecord[]
  readonly intents: readonly IntentRecord[]
  readonly attempts: readonly AttemptRecord[]
  readonly model: string
  readonly book: AddressBook
  readonly durationMs: number
}

/** Makes the report of a play from what the journal and the chain hold. Pure. */
export function makeReport(input: ReportInput): Report {
  const { runs, intents, attempts, guarded, twin } = input
  const intentOfRun = new Map(intents.map((intent) => [intent.runId, intent]))
  const kindOf = new Map(intents.map((intent) => [intent.id, intent.action.kind]))
  return {
    scenario: input.scenario,
    seed: input.seed,
    passed: input.completed && holds(input.passRule, guarded, twin, attempts),
    blocks: input.blocks,
    guarded,
    twin,
    decisions: runs.map((run) => decisionReport(run, intentOfRun.get(run.id))),
    transactions: attempts.map((attempt) => ({
      intentId: attempt.plan.intentId,
      kind: (attempt.purpose === 'act' ? kindOf.get(attempt.plan.intentId) : attempt.purpose) ?? 'unknown',
      hash: attempt.hash,
      status: attempt.status,
      block: attempt.blockNumber === null ? null : Number(attempt.blockNumber),
      expected: outcomeReport(attempt.expected, input.book),
      actual: outcomeReport(attempt.actual, input.book),
    })),
    inference: {
      calls: runs.reduce((total, run) => total + (run.decision?.inferenceCalls ?? 0), 0),
      model: input.model,
    },
    journal: { runs: runs.length, intents: intents.length, attempts: attempts.length },
    durationMs: input.durationMs,
  }
}

/** Whether what the scenario is about came true. */
function holds(rule: PassRule, guarded: Fate, twin: Fate, attempts: readonly AttemptRecord[]): boolean {
  if (rule === 'completes') return true
  // Signed bytes count as spent, mined or not.
  if (rule === 'no-costly-action') return attempts.every((attempt) => attempt.status === 'dropped')
  const end = ({ equityUsd }: Fate): bigint => parseSigned(equityUsd.end)
  return !guarded.liquidated && twin.liquidated && end(guarded) > end(twin)
}

/** Equity can be below zero: a position that was liquidated too late. */
const parseSigned = (text: string): bigint =>
  text.startsWith('-') ? -parseDecimal(text.slice(1), 8) : parseDecimal(text, 8)

/** Between a decision's reason and each denial after it. */
export const SEPARATOR = ' | '

function decisionReport(run: RunRecord, intent: IntentRecord | undefined): DecisionReport {
  const { decision } = run
  const verdict = verdictOf(intent)
  const denied = intent?.verdicts.flatMap(denials) ?? []
  return {
    block: Number(run.blockNumber),
    runId: run.id,
    intent: decision?.intent ?? 'nothing',
    verdict,
    reason: [
      decision?.reason ?? 'the run failed before it decided',
      ...denied.map((finding) => `${finding.code}: ${finding.message}`),
    ]
      // A model's or a contract's words must not pass for a finding of their own.
      .map((part) => part.replaceAll(SEPARATOR.trim(), '/'))
      .join(SEPARATOR),
    candidates: decision?.candidates ?? 0,
  }
}

function verdictOf(intent: IntentRecord | undefined): DecisionReport['verdict'] {
  if (intent === undefined) return 'none'
  if (intent.status === 'denied' || intent.status === 'expired') return intent.status
  const judged = intent.verdicts.some(({ phase, allowed }) => phase === 'effect' && allowed)
  return judged ? 'allowed' : 'pending'
}

function outcomeReport(outcome: Outcome | null, book: AddressBook): OutcomeReport | null {
  if (outcome === null) return null
  return {
    healthFactor: formatHealthFactor(outcome.healthFactor),
    collateralUsd: formatUsd(outcome.totalCollateral),
    debtUsd: formatUsd(outcome.totalDebt),
    equityUsd: formatUsd(outcome.equity),
    gasUsed: outcome.gasUsed.toString(),
    gasCostEth: formatEther(outcome.gasCost),
    balances: Object.fromEntries(
      outcome.balanceChanges.map(({ token, change }) => [tokenName(token, book), change.toString()]),
    ),
  }
}

/** A name for a token of the book: its symbol, `a` or `debt` before it for Aave's tokens. */
export function tokenName(token: string, book: AddressBook): string {
  const same = (other: string) => other.toLowerCase() === token.toLowerCase()
  if (same(zeroAddress)) return 'ETH'
  const symbolOf = (asset: string) =>
    book.tokens.find(({ address }) => address.toLowerCase() === asset.toLowerCase())?.symbol ?? asset
  for (const reserve of book.aaveV3.reserves) {
    if (same(reserve.aToken)) return `a${symbolOf(reserve.asset)}`
    if (same(reserve.variableDebtToken)) return `debt${symbolOf(reserve.asset)}`
  }
  return symbolOf(token)
}
