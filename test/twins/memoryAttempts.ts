import { getAddress } from 'viem'
import { storable } from '../../infra/store/columns.ts'
import {
  adoptedPurpose,
  checkAdopted,
  checkPrepared,
  checkReplaceable,
  checkSameAttempt,
  heldNonces,
  isFinal,
  judgeSettlement,
  judgeStep,
  noncesOf,
  replacedBy,
  settledIntent,
  supersededBy,
} from '../../infra/store/rules.ts'
import { storableAttempt, storableOutcome, UNDECIDED } from '../../infra/store/storable.ts'
import { isOpen, mayMove } from '../../runtime/core/attempts.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { AgentId, IntentId } from '../../runtime/core/ids.ts'
import {
  type AttemptRecord,
  type IntentRecord,
  type IntentStatus,
  type Journal,
  type Lease,
  NonceTakenError,
  type PreparedAttempt,
  StatusConflictError,
} from '../../runtime/core/journal.ts'
import { usd } from '../../runtime/core/units.ts'
import { found, highest, lower, type MemoryTables, nonceKey, put } from './memoryTables.ts'

/** Whose an attempt is; null when the journal does not know its intent. */
export const agentOf = ({ intents }: MemoryTables, { intentId }: AttemptRecord): AgentId | null =>
  intentId === null ? null : found(intents, 'intent', intentId).agent

/**
 * Attempts of the twin, as one state machine: every method does its work in one go, and `move` is the one place that
 * changes a status.
 */
export function memoryAttempts(
  tables: MemoryTables,
  fence: (lease: Lease) => void,
): Pick<
  Journal,
  | 'prepare'
  | 'sign'
  | 'adopt'
  | 'advance'
  | 'settle'
  | 'supersede'
  | 'inFlight'
  | 'settledFrom'
  | 'nextNonce'
  | 'steps'
> {
  const { attempts, intents, steps } = tables

  /** Stores a new attempt, or one that moved, along an arrow of the state machine. */
  function move(record: AttemptRecord): AttemptRecord {
    const from = attempts.get(record.id)?.status ?? null
    if (from !== record.status) {
      if (!mayMove(from, record.status))
        throw new InvariantError('No attempt goes this way.', { attempt: record.id, from, to: record.status })
      steps.set(record.id, [...(steps.get(record.id) ?? []), { from, to: record.status }])
    }
    return put(attempts, record)
  }

  const all = (): AttemptRecord[] => [...attempts.values()]
  const onNonceOf = (attempt: Pick<AttemptRecord, 'account' | 'nonce'>): AttemptRecord[] =>
    all().filter((other) => nonceKey(other) === nonceKey(attempt))
  const hasOpen = (intent: IntentId): boolean =>
    all().some(({ intentId, status }) => intentId === intent && isOpen(status))

  /** Ends an intent whose attempts are all decided. */
  function endIntent(id: IntentId | null, status: IntentStatus): void {
    if (id === null) return
    const intent = found(intents, 'intent', id)
    if (intent.status === 'signed') put(intents, { ...intent, status })
  }

  /** Everything on a nonce that has bytes and is still open lost to what was mined there. */
  function replaceRest(
    losers: readonly AttemptRecord[],
    failure: string,
    block: Pick<AttemptRecord, 'blockNumber' | 'blockHash'>,
  ): void {
    for (const { id } of losers) {
      const loser = found(attempts, 'attempt', id)
      if (!mayMove(loser.status, 'replaced')) continue
      move({
        ...loser,
        ...UNDECIDED,
        ...block,
        status: 'replaced',
        spent: usd(0n),
        failure: storable(failure),
      })
    }
    for (const { intentId } of losers)
      if (intentId !== null && !hasOpen(intentId)) endIntent(intentId, 'expired')
  }

  /** What was decided about an intent is open again, unless another attempt of it stays in its block. */
  function reopenIntent(id: IntentId | null): void {
    if (id === null) return
    const intent = found(intents, 'intent', id)
    if (!all().some(({ intentId, status }) => intentId === id && isFinal(status)))
      put(intents, { ...intent, status: 'signed' })
  }

  /** The intent of a new attempt, which is free to be signed, or is because of what the attempt replaces. */
  function intentToSign(attempt: PreparedAttempt): IntentRecord | null {
    if (attempt.intentId === null) return null
    const intent = found(intents, 'intent', attempt.intentId)
    const isThere =
      attempt.replaces !== null && onNonceOf(attempt).some(({ intentId }) => intentId === intent.id)
    if (intent.status === 'signed' ? !isThere : intent.status !== 'proposed' || attempt.purpose === 'cancel')
      throw new StatusConflictError('intent', intent.id, intent.status, 'be signed')
    return intent
  }

  function checkNonces(attempt: PreparedAttempt): void {
    const wanted = noncesOf(attempt)
    const others = all().filter(
      (other) =>
        other.account === attempt.account && !(attempt.replaces !== null && other.nonce === attempt.nonce),
    )
    const taken = wanted.find((nonce) => others.some((other) => heldNonces(other).includes(nonce)))
    if (taken !== undefined) throw new NonceTakenError(attempt.account, taken, attempt.id)
  }

  return {
    async prepare(lease, given) {
      checkPrepared(lease, given)
      fence(lease)
      const stored = attempts.get(given.id)
      if (stored !== undefined) return stored
      const attempt = storableAttempt(given)
      if (attempt.replaces !== null) checkReplaceable(found(attempts, 'attempt', attempt.replaces), attempt)
      const intent = intentToSign(attempt)
      checkNonces(attempt)
      if (intent !== null) put(intents, { ...intent, status: 'signed' })
      return move({ ...attempt, ...UNDECIDED, status: 'prepared', raw: null, hash: null })
    },

    async sign(lease, id, { raw, hash }) {
      fence(lease)
      const attempt = found(attempts, 'attempt', id)
      if (attempt.account !== getAddress(lease.account))
        throw new InvariantError('The lease is on another account than the attempt.', { attempt: id })
      // Its nonces are free again: bytes that come now must not get out.
      if (attempt.status === 'dropped')
        throw new StatusConflictError('attempt', id, attempt.status, 'be signed')
      if (attempt.status !== 'prepared') return attempt
      return move({ ...attempt, status: 'signed', raw: lower(raw), hash: lower(hash) })
    },

    async adopt(lease, { raw, hash, ...given }) {
      checkAdopted(lease, { raw, hash, ...given })
      fence(lease)
      const bytes = { status: 'signed', raw: lower(raw), hash: lower(hash) } as const
      const stored = attempts.get(given.id)
      if (stored !== undefined) {
        if (stored.status !== 'prepared') return stored
        checkSameAttempt(stored, { raw, hash, ...given })
        return move({ ...stored, ...bytes })
      }
      const intent = given.intentId === null ? undefined : intents.get(given.intentId)
      const isOurs = intent !== undefined && (intent.status === 'proposed' || intent.status === 'signed')
      if (isOurs) put(intents, { ...intent, status: 'signed' })
      const attempt = storableAttempt({
        ...given,
        intentId: isOurs ? intent.id : null,
        purpose: adoptedPurpose(given.plan, isOurs),
        replaces: null,
        expected: null,
      })
      return move({ ...attempt, ...UNDECIDED, ...bytes })
    },

    async advance(id, step) {
      const attempt = found(attempts, 'attempt', id)
      if (judgeStep(attempt, step) === 'keep') return attempt
      if (step.to === 'reorged') {
        const together = attempt.status === 'mined' ? [attempt] : onNonceOf(attempt)
        const winner = together.find((other) => other.id !== id && isFinal(other.status))
        if (winner !== undefined && attempt.status === 'replaced')
          throw new StatusConflictError('attempt', id, attempt.status, `be reorged before ${winner.id}`)
        const back = together.filter(
          ({ status }) => status === attempt.status || (isFinal(attempt.status) && status === 'replaced'),
        )
        for (const other of back) move({ ...other, ...UNDECIDED, status: 'reorged' })
        for (const { intentId } of back) reopenIntent(intentId)
        return found(attempts, 'attempt', id)
      }
      const block = step.to === 'mined' ? step.block : null
      return move({
        ...attempt,
        ...UNDECIDED,
        status: step.to,
        blockNumber: block === null ? null : block.number,
        blockHash: block === null ? null : lower(block.hash),
        failure: step.to === 'unknown' ? storable(step.failure) : null,
      })
    },

    async settle(id, settlement) {
      const attempt = found(attempts, 'attempt', id)
      const verdict = judgeSettlement(attempt, settlement)
      if (settlement.status === 'dropped') {
        if (verdict === 'keep') return attempt
        const failure = storable(settlement.failure)
        const dropped = move({ ...attempt, status: 'dropped', spent: usd(0n), failure })
        if (attempt.intentId !== null && !hasOpen(attempt.intentId)) endIntent(attempt.intentId, 'expired')
        return dropped
      }
      const others = onNonceOf(attempt).filter((other) => other.id !== id)
      const winner = others.find(({ status }) => isFinal(status))
      if (winner !== undefined)
        throw new StatusConflictError('attempt', id, attempt.status, `be mined beside ${winner.id}`)
      if (verdict === 'write') {
        move({
          ...attempt,
          status: settlement.status,
          blockNumber: settlement.blockNumber,
          blockHash: lower(settlement.blockHash),
          spent: settlement.spent,
          actual: settlement.actual === null ? null : storableOutcome(settlement.actual),
          failure: settlement.status === 'failed' ? storable(settlement.failure) : null,
        })
        endIntent(attempt.intentId, settledIntent(attempt.purpose, settlement))
      }
      replaceRest(others, replacedBy(id), { blockNumber: null, blockHash: null })
      return found(attempts, 'attempt', id)
    },

    async supersede(outside) {
      const { nonce, block } = outside
      const account = getAddress(outside.account)
      const held = onNonceOf({ account, nonce })
      const own = held.find(({ hash }) => hash !== null && hash === outside.hash?.toLowerCase())
      if (own !== undefined)
        throw new InvariantError('What is said to be from outside is an attempt of the journal.', {
          attempt: own.id,
        })
      const winner = held.find(({ status }) => isFinal(status))
      if (winner !== undefined)
        throw new StatusConflictError('attempt', winner.id, winner.status, 'be replaced from outside')
      replaceRest(held, supersededBy(outside), { blockNumber: block.number, blockHash: lower(block.hash) })
      return onNonceOf({ account, nonce }).filter(({ status }) => status === 'replaced')
    },

    async inFlight(account) {
      return ofAccount(all(), account)
        .filter(({ status }) => isOpen(status))
        .sort((a, b) => (a.nonce < b.nonce ? -1 : a.nonce > b.nonce ? 1 : 0))
    },

    async settledFrom(block, account) {
      return ofAccount(all(), account).filter(
        ({ status, blockNumber }) => !isOpen(status) && blockNumber !== null && blockNumber >= block,
      )
    },

    async nextNonce(account) {
      const used = ofAccount(all(), account).flatMap(heldNonces)
      return used.length === 0 ? null : highest(used) + 1n
    },

    async steps(id) {
      found(attempts, 'attempt', id)
      return [...(steps.get(id) ?? [])]
    },
  }
}

const ofAccount = (records: AttemptRecord[], account: `0x${string}` | undefined): AttemptRecord[] =>
  account === undefined ? records : records.filter((record) => record.account === getAddress(account))
