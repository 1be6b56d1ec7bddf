import type { AgentId } from '../../../runtime/core/ids.ts'
import type { AttemptRecord, IntentRecord } from '../../../runtime/core/journal.ts'
import { formatUsd } from '../../../runtime/core/units.ts'
import { denials } from '../../../runtime/core/verdict.ts'
import { formatHealthFactor } from '../../world/measurePlay.ts'
import type { PlayOptions } from '../../world/playScenario.ts'
import { money } from '../money.ts'
import { paint, type Terminal } from '../terminal.ts'
import type { Session } from './playWorld.ts'

/** Lines of prices that are printed over a whole play; what an agent does is always told. */
const LINES = 24

/** Tells a play block by block, as lines a person likes to read. */
export function narrate(options: {
  readonly session: Pick<Session, 'journal' | 'meter'>
  readonly guardian: AgentId
  readonly terminal: Terminal
}): PlayOptions['onBlock'] {
  const { session, guardian, terminal } = options
  const told = new Set<string>()
  return async ({ index, of, head, point }) => {
    const every = Math.max(1, Math.floor(of / LINES))
    const [guarded, twin] = await session.meter.measure(head.number)
    if (index % every === 0 || index === of - 1) {
      const factor = (value: bigint | undefined) =>
        formatHealthFactor(value ?? 0n)
          .slice(0, 5)
          .padEnd(5)
      terminal.note(
        `  ${String(index + 1).padStart(String(of).length)}/${of}  block ${String(head.number).padEnd(String(of).length + 1)} ` +
          `ETH $${money(formatUsd(point.oracle)).padEnd(9)} ` +
          `gas ${String(point.baseFeePerGas / 10n ** 9n).padStart(3)} gwei  ` +
          `health factor ${factor(guarded?.healthFactor)} guarded, ${factor(twin?.healthFactor)} not`,
      )
    }
    for (const intent of await session.journal.intents(guardian)) {
      const key = `${intent.id}.${intent.status}`
      if (told.has(key) || intent.status === 'proposed') continue
      told.add(key)
      const attempts = (await session.journal.attempts(guardian)).filter(
        ({ intentId }) => intentId === intent.id,
      )
      const attempt = attempts.findLast(({ actual }) => actual !== null) ?? attempts.at(-1)
      terminal.note(
        paint(
          intent.status === 'signed' || intent.status === 'done' ? 'green' : 'yellow',
          `        → ${intent.action.kind} ${intent.status}${detail(intent, attempt)}`,
        ),
      )
    }
  }
}

const short = (healthFactor: bigint): string => formatHealthFactor(healthFactor).slice(0, 5)

/** What there is to say about an intent where it stands. */
function detail(intent: IntentRecord, attempt: AttemptRecord | undefined): string {
  if (intent.status === 'denied')
    return `: ${intent.verdicts
      .flatMap(denials)
      .map(({ message }) => message)
      .join(' ')}`
  if (attempt === undefined) return ''
  if (attempt.actual === null)
    return attempt.expected === null
      ? ''
      : `, promises a health factor of ${short(attempt.expected.healthFactor)}`
  const where = `in block ${attempt.blockNumber}: health factor ${short(attempt.actual.healthFactor)}`
  return attempt.failure === null ? ` ${where}` : ` ${where}, ${attempt.failure}`
}
