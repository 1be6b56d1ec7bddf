import { formatEther, parseEther } from 'viem'
import { intentId, type RunId } from '../../runtime/core/ids.ts'
import type { Fate } from '../world/measurePlay.ts'
import { money } from './money.ts'
import { type OutcomeReport, type Report, SEPARATOR, type TransactionReport } from './report.ts'
import { paint } from './terminal.ts'

const factor = (text: string): string => (text === 'none' ? text : text.slice(0, text.indexOf('.') + 4))

/** `end - start` of decimal strings with up to 8 decimals, as money with a sign. */
function difference({ start, end }: Fate['equityUsd']): string {
  const units = (text: string): bigint => {
    const [whole = '0', fraction = ''] = text.replace('-', '').split('.')
    const value = BigInt(whole + fraction.slice(0, 8).padEnd(8, '0'))
    return text.startsWith('-') ? -value : value
  }
  const change = units(end) - units(start)
  const size = (change < 0n ? -change : change).toString().padStart(9, '0')
  return `${change < 0n ? '-' : '+'}${money(`${size.slice(0, -8)}.${size.slice(-8)}`)}`
}

function row(label: string, ...cells: readonly string[]): string {
  return `  ${label.padEnd(26)}${cells.map((cell) => cell.padStart(20)).join('')}`
}

/** The report as a person reads it: side by side what each lost, then what the agent did and why. */
export function renderReport(report: Report): string {
  const { guarded, twin } = report
  const rule = '─'.repeat(68)
  const verdict = report.passed
    ? paint('green', 'passed', process.stdout)
    : paint('red', 'FAILED', process.stdout)
  return [
    '',
    `  ${report.scenario}, seed ${report.seed}, ${report.blocks} blocks: ${verdict}`,
    `  ${rule}`,
    row('', 'guarded', 'not guarded'),
    row('liquidated', guarded.liquidated ? 'yes' : 'no', twin.liquidated ? 'yes' : 'no'),
    row('lowest health factor', factor(guarded.minHealthFactor), factor(twin.minHealthFactor)),
    row('equity at the start, $', money(guarded.equityUsd.start), money(twin.equityUsd.start)),
    row('equity at the end, $', money(guarded.equityUsd.end), money(twin.equityUsd.end)),
    row('change, $', difference(guarded.equityUsd), difference(twin.equityUsd)),
    '',
    ...actions(report),
    `  inference  ${report.inference.calls} calls to ${report.inference.model}`,
    `  gas        ${totalGas(report.transactions)} ETH in ${report.transactions.length} transactions`,
    `  journal    ${report.journal.runs} runs, ${report.journal.intents} intents, ${report.journal.attempts} attempts`,
    `  took       ${(report.durationMs / 1000).toFixed(1)} s`,
    '',
  ].join('\n')
}

function actions(report: Report): string[] {
  const acted = report.decisions.filter(({ intent }) => intent !== 'nothing')
  const considered = report.decisions.filter(
    ({ intent, candidates }) => intent === 'nothing' && candidates > 0,
  )
  if (acted.length === 0)
    return [
      '  What the agent did',
      `    nothing: ${report.decisions.length} runs, ${considered.length} of them with candidates to weigh`,
      '',
    ]
  return [
    '  What the agent did, and why',
    ...acted.flatMap((decision) => {
      const intent = intentId(decision.runId as RunId)
      // Of several on one nonce the last that was mined is what counts, or else the last.
      const own = report.transactions.filter((candidate) => candidate.intentId === intent)
      const transaction = own.findLast(({ actual }) => actual !== null) ?? own.at(-1)
      return [
        `  ${paint('bold', `block ${decision.block}  ${decision.intent}`, process.stdout)}  ${decision.verdict}`,
        ...decision.reason.split(SEPARATOR).flatMap(wrapped),
        ...(transaction === undefined ? [] : transactionLines(transaction)),
        '',
      ]
    }),
  ]
}

const WIDTH = 100
const INDENT = '    '

/** A text as lines that a terminal shows whole. */
function wrapped(text: string): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const line = lines.at(-1)
    if (line === undefined || line.length + 1 + word.length > WIDTH) lines.push(INDENT + word)
    else lines[lines.length - 1] = `${line} ${word}`
  }
  return lines
}

function transactionLines(transaction: TransactionReport): string[] {
  const { expected, actual, status, block, hash } = transaction
  return [
    `${INDENT}${status}${block === null ? '' : ` in block ${block}`}  ${paint('dim', hash ?? 'never signed', process.stdout)}`,
    ...(expected === null ? [] : [`${INDENT}promised  ${outcomeLine(expected)}`]),
    ...(actual === null ? [] : [`${INDENT}happened  ${outcomeLine(actual)}`]),
  ]
}

const outcomeLine = (outcome: OutcomeReport): string =>
  [
    `health factor ${factor(outcome.healthFactor)}`,
    `debt $${money(outcome.debtUsd)}`,
    `collateral $${money(outcome.collateralUsd)}`,
    `gas ${outcome.gasUsed} (${outcome.gasCostEth.slice(0, 7)} ETH)`,
  ].join('   ')

function totalGas(transactions: readonly TransactionReport[]): string {
  const total = transactions.reduce((sum, { actual }) => sum + parseEther(actual?.gasCostEth ?? '0'), 0n)
  return formatEther(total).slice(0, 10)
}
