import type { AttemptRecord, IntentRecord, Journal } from '../core/journal.ts'

/** What a journal holds, as far as a recovery can change it. */
export type Records = {
  readonly attempts: readonly AttemptRecord[]
  readonly intents: readonly IntentRecord[]
}

export async function recordsOf(journal: Journal): Promise<Records> {
  const [attempts, intents] = await Promise.all([journal.attempts(), journal.intents()])
  return { attempts, intents }
}

/**
 * What a recovery found and did, as lines for a person: what changed between two views of the journal, and what is
 * still open.
 *
 * @example ['3f… on nonce 7 of 0xAb…: prepared when it was cut off, now broadcast']
 */
export function describeRecovery(before: Records, after: Records): readonly string[] {
  const earlier = new Map(before.attempts.map((attempt) => [attempt.id, attempt]))
  const were = new Map(before.intents.map((intent) => [intent.id, intent]))
  return [
    ...after.attempts.flatMap((attempt) => describeAttempt(earlier.get(attempt.id), attempt)),
    ...after.intents.flatMap((intent) => describeIntent(were.get(intent.id), intent, after)),
  ]
}

function describeAttempt(before: AttemptRecord | undefined, now: AttemptRecord): readonly string[] {
  const { id, account, nonce, status, failure } = now
  const what = `${id} on nonce ${nonce} of ${account}`
  const why = failure === null ? '' : ` (${failure})`
  if (before === undefined) return [`${what}: ${origin(now)}, now ${status}${why}`]
  if (before.status !== status) return [`${what}: ${before.status} when it was left, now ${status}${why}`]
  return isSettled(now) ? [] : [`${what}: still ${status}${why}`]
}

function origin({ purpose, expected }: AttemptRecord): string {
  if (purpose === 'fill') return 'sent to fill a gap'
  if (purpose === 'cancel') return 'sent to cancel what came too late'
  // Whatever came out of a simulation has its promise; what is taken from the ledger has none.
  return expected === null ? 'lost by the journal and taken up from the signer’s ledger' : 'signed'
}

const isSettled = ({ status }: AttemptRecord): boolean =>
  status === 'confirmed' || status === 'failed' || status === 'replaced' || status === 'dropped'

/** Intents that came to something without an attempt; those that have one are told by it. */
function describeIntent(
  before: IntentRecord | undefined,
  now: IntentRecord,
  { attempts }: Records,
): readonly string[] {
  if (before?.status !== 'proposed' || attempts.some(({ intentId }) => intentId === now.id)) return []
  const what = `the ${now.action.kind} that was decided on in block ${now.decidedOnBlock}`
  return [now.status === 'proposed' ? `${what}: still open` : `${what}: now ${now.status}`]
}
