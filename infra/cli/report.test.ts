import { zeroAddress } from 'viem'
import { describe, expect, it } from 'vitest'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { AttemptRecord, IntentRecord, RunRecord } from '../../runtime/core/journal.ts'
import type { Outcome } from '../../runtime/core/lifecycle.ts'
import type { Fate } from '../world/measurePlay.ts'
import { renderReport } from './renderReport.ts'
import { makeReport, type ReportInput, tokenName } from './report.ts'

const TOKEN = `0x${'aa'.repeat(20)}` as const
const A_TOKEN = `0x${'ab'.repeat(20)}` as const
const DEBT_TOKEN = `0x${'ac'.repeat(20)}` as const
const STRANGER = `0x${'ad'.repeat(20)}` as const
const RUN = `guardian.0x${'01'.repeat(32)}`

const BOOK = {
  tokens: [{ address: TOKEN, symbol: 'WETH', decimals: 18 }],
  aaveV3: { reserves: [{ asset: TOKEN, aToken: A_TOKEN, variableDebtToken: DEBT_TOKEN }] },
} as unknown as AddressBook

const fate = (overrides: Partial<Fate> = {}): Fate => ({
  liquidated: false,
  minHealthFactor: '1.1842',
  equityUsd: { start: '35260.999997', end: '11595.64887' },
  ...overrides,
})

const OUTCOME = {
  healthFactor: 1_352n * 10n ** 15n,
  totalCollateral: 56_616_31n * 10n ** 6n,
  totalDebt: 34_522_92n * 10n ** 6n,
  equity: 22_093_39n * 10n ** 6n,
  gasUsed: 573_024n,
  gasCost: 13n * 10n ** 15n,
  balanceChanges: [
    { token: A_TOKEN, change: -5n },
    { token: zeroAddress, change: -1n },
  ],
} as unknown as Outcome

const run = (overrides: object = {}): RunRecord =>
  ({
    id: RUN,
    blockNumber: 20n,
    error: null,
    decision: { intent: 'deleverage', reason: 'It falls.', candidates: 9, inferenceCalls: 2 },
    ...overrides,
  }) as unknown as RunRecord

const allowed = { phase: 'effect', allowed: true, findings: [], policyVersion: '1' }
const denied = {
  phase: 'intent',
  allowed: false,
  findings: [
    { guard: 'oracle', allowed: false, code: 'ORACLE_DEVIATION', message: 'The market contradicts it.' },
    { guard: 'spend', allowed: true, code: null, message: 'Little.' },
  ],
  policyVersion: '1',
}

const intent = (overrides: object = {}): IntentRecord =>
  ({
    id: 'intent-1',
    runId: RUN,
    action: { kind: 'deleverage' },
    status: 'done',
    verdicts: [allowed],
    ...overrides,
  }) as unknown as IntentRecord

const attempt = (overrides: object = {}): AttemptRecord =>
  ({
    intentId: 'intent-1',
    purpose: 'act',
    plan: { intentId: 'intent-1' },
    hash: `0x${'cd'.repeat(32)}`,
    status: 'confirmed',
    blockNumber: 21n,
    expected: OUTCOME,
    actual: OUTCOME,
    ...overrides,
  }) as unknown as AttemptRecord

const report = (overrides: Partial<ReportInput> = {}) =>
  makeReport({
    scenario: 'black-thursday',
    seed: 1,
    blocks: 96,
    completed: true,
    passRule: 'guarded-survives',
    guarded: fate(),
    twin: fate({ liquidated: true, equityUsd: { start: '35260.999997', end: '-12.5' } }),
    runs: [run()],
    intents: [intent()],
    attempts: [attempt()],
    model: 'm',
    book: BOOK,
    durationMs: 12_345,
    ...overrides,
  })

describe('makeReport', () => {
  it('holds everything as strings and plain numbers, so that it survives JSON', () => {
    const made = report()
    expect(JSON.parse(JSON.stringify(made))).toEqual(made)
    expect(made).toMatchObject({
      passed: true,
      decisions: [
        { block: 20, intent: 'deleverage', verdict: 'allowed', reason: 'It falls.', candidates: 9 },
      ],
      transactions: [
        {
          kind: 'deleverage',
          status: 'confirmed',
          block: 21,
          expected: {
            healthFactor: '1.352',
            debtUsd: '34522.92',
            gasUsed: '573024',
            gasCostEth: '0.013',
            balances: { aWETH: '-5', ETH: '-1' },
          },
        },
      ],
      inference: { calls: 2, model: 'm' },
      journal: { runs: 1, intents: 1, attempts: 1 },
    })
  })

  it.each([
    ['the guarded position is liquidated', { guarded: fate({ liquidated: true }) }],
    ['the twin is not', { twin: fate() }],
    ['the guarded owner ends with less', { guarded: fate({ equityUsd: { start: '1', end: '-13' } }) }],
    ['the play broke off', { completed: false }],
  ])('has not passed black-thursday when %s', (_what, overrides) => {
    expect(report(overrides).passed).toBe(false)
  })

  it('takes whatever was signed for spent in a scenario where nothing may cost money', () => {
    const passRule = 'no-costly-action' as const
    expect(report({ passRule, attempts: [] }).passed).toBe(true)
    expect(report({ passRule, attempts: [attempt({ status: 'dropped' })] }).passed).toBe(true)
    for (const status of ['prepared', 'signed', 'broadcast', 'unknown', 'confirmed', 'reverted'])
      expect(report({ passRule, attempts: [attempt({ status })] }).passed).toBe(false)
  })

  it('passes a file by completing, whatever became of it', () => {
    const input = { passRule: 'completes', guarded: fate({ liquidated: true }) } as const
    expect(report(input).passed).toBe(true)
    expect(report({ ...input, completed: false }).passed).toBe(false)
  })

  it.each([
    [{ status: 'denied', verdicts: [denied] }, 'denied'],
    [{ status: 'expired', verdicts: [allowed] }, 'expired'],
    [{ status: 'proposed', verdicts: [] }, 'pending'],
    [{ status: 'proposed', verdicts: [{ ...allowed, phase: 'intent' }] }, 'pending'],
    [{ status: 'signed', verdicts: [allowed] }, 'allowed'],
  ])('tells the verdict of an intent that is %o', (overrides, verdict) => {
    expect(report({ intents: [intent(overrides)] }).decisions[0]?.verdict).toBe(verdict)
  })

  it('says with a decision why it was denied', () => {
    const { decisions } = report({ intents: [intent({ status: 'denied', verdicts: [denied] })] })
    expect(decisions[0]?.reason).toBe('It falls. | ORACLE_DEVIATION: The market contradicts it.')
  })

  it('is honest about a run that failed and an attempt that is not settled', () => {
    const open = report({
      runs: [run({ decision: null, error: 'boom' })],
      intents: [],
      attempts: [attempt({ status: 'unknown', hash: null, blockNumber: null, actual: null })],
    })
    expect(open.decisions[0]).toMatchObject({ intent: 'nothing', verdict: 'none', candidates: 0 })
    expect(open.decisions[0]?.reason).toMatch(/failed before it decided/)
    expect(open.transactions[0]).toMatchObject({ status: 'unknown', hash: null, block: null, actual: null })
  })
})

describe('tokenName', () => {
  it.each([
    [TOKEN, 'WETH'],
    [A_TOKEN.toUpperCase().replace('0X', '0x'), 'aWETH'],
    [DEBT_TOKEN, 'debtWETH'],
    [zeroAddress, 'ETH'],
    [STRANGER, STRANGER],
  ])('names %s %s', (token, name) => {
    expect(tokenName(token, BOOK)).toBe(name)
  })
})

describe('renderReport', () => {
  it('shows side by side what each lost, to the cent and never too much', () => {
    const text = renderReport(report())
    expect(text).toMatch(/black-thursday, seed 1, 96 blocks: passed/)
    expect(text).toMatch(/liquidated +no +yes/)
    expect(text).toMatch(/equity at the end, \$ +11,595\.64 +-12\.50/)
    expect(text).toMatch(/change, \$ +-23,665\.35 +-35,273\.49/)
    expect(text).toMatch(/inference {2}2 calls to m/)
    expect(text).toMatch(/took +12\.3 s/)
  })

  it('says when there was nothing to do, and when it failed', () => {
    const text = renderReport(
      report({
        passRule: 'no-costly-action',
        completed: false,
        runs: [run({ decision: { intent: 'nothing', reason: 'Well.', candidates: 3, inferenceCalls: 1 } })],
        intents: [],
        attempts: [],
        guarded: fate({ minHealthFactor: 'none' }),
      }),
    )
    expect(text).toMatch(/: FAILED/)
    expect(text).toMatch(/nothing: 1 runs, 1 of them with candidates to weigh/)
    expect(text).toMatch(/lowest health factor +none/)
    expect(text).toMatch(/gas +0 ETH in 0 transactions/)
  })

  it('stays within the width of a terminal, and colours nothing in a pipe', () => {
    const reason = 'A long reason. '.repeat(40)
    const decision = { intent: 'deleverage', reason, candidates: 1, inferenceCalls: 0 }
    const text = renderReport(report({ runs: [run({ decision })] }))
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(110)
    expect(text).not.toContain('\u001b')
  })
})
