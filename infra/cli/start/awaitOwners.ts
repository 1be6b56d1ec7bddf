import { setTimeout as delay } from 'node:timers/promises'
import { type Clock, unixSeconds } from '../../../runtime/core/clock.ts'
import type { Journal } from '../../../runtime/core/ports.ts'
import { announceRequests } from './announceRequests.ts'

/** Milliseconds between two looks for an answer: a person does not notice them. */
const LOOK_EVERY = 200

export type AwaitOwnersOptions = {
  readonly journal: Pick<Journal, 'approval' | 'approvals'>
  /** By which the time of a request is over. */
  readonly clock: Clock
  /** A line for the person at the terminal. */
  readonly note: (line: string) => void
}

/** Tells of requests for approval while a scenario is played, and lets the play wait for the answers. */
export type Owners = {
  /** Tells what is new about requests since the last time. */
  announce(): Promise<void>
  /**
   * Returns when no owner is asked any more: enough have signed, it was rejected, or its time is over. What nobody can
   * sign, because its policy names no owners, is waited for by nobody.
   *
   * @returns whether anybody was asked
   */
  untilAnswered(signal: AbortSignal): Promise<boolean>
}

/**
 * The owners as players of a scenario: where the world waits for everybody, it waits for them, too. A chain would not.
 *
 * @example const owners = awaitOwners({ journal, clock: systemClock, note: terminal.note })
 */
export function awaitOwners({ journal, clock, note }: AwaitOwnersOptions): Owners {
  const news = announceRequests(journal)
  const announce = async () => {
    for (const line of await news()) note(`  ${line}`)
  }
  const isAsked = async () =>
    (await journal.approvals('waiting')).some(
      ({ status, owners, expiresAt }) =>
        status === 'pending' && owners.length > 0 && unixSeconds(clock) < expiresAt,
    )
  return {
    announce,
    async untilAnswered(signal) {
      if (!(await isAsked())) return false
      await announce()
      note('  The world stands still until its owners have answered (start --realtime waits for nobody).')
      do {
        await delay(LOOK_EVERY, undefined, { signal }).catch(() => undefined)
        await announce()
      } while (!signal.aborted && (await isAsked()))
      return true
    },
  }
}
