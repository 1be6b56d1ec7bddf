import type { Chain } from '../../runtime/core/ports.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { mayPass } from '../../runtime/live/rounds.ts'
import type { Process } from './ports.ts'
import type { Scheduler } from './scheduler.ts'

const SECOND = 1_000
/** How often a process looks for a new head. */
const POLL = 4 * SECOND

/** How a process waits: for ever once it is dead, and past its time while its event loop stalls. */
export const sleepOf =
  (process: Process, scheduler: Scheduler) =>
  (milliseconds: number): Promise<void> =>
    new Promise((resolve) => {
      const wake = () => {
        if (!process.isAlive) return
        if (process.stalledUntil > scheduler.now()) scheduler.at(process.stalledUntil, wake)
        else resolve()
      }
      scheduler.at(scheduler.now() + milliseconds, wake)
    })

/** Hands a process every head that it sees, one after the other. Rejects with what may not pass, and with what the process throws. */
export async function followHeads(
  process: Process,
  scheduler: Scheduler,
  chain: Pick<Chain, 'head'>,
  onHead: (head: BlockRef) => Promise<void>,
): Promise<never> {
  const sleep = sleepOf(process, scheduler)
  let last: string | null = null
  for (;;) {
    const head = await chain.head().catch((error: unknown) => {
      if (mayPass(error)) return null
      throw error
    })
    if (head !== null && head.hash !== last) {
      last = head.hash
      await onHead(head)
    }
    await sleep(POLL)
  }
}
