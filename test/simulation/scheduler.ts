import { createHash } from 'node:crypto'
import type { Random } from './random.ts'

/** Virtual time, and everything that is to happen in it. */
export type Scheduler = {
  /** Milliseconds since 1970, by the clock of this world. */
  now(): number
  /** Has something done at a time; of what is due together the seed says which comes first. */
  at(time: number, run: () => void | Promise<void>): void
  /** Lets time pass until there is nothing left to do or `isOver` says so. */
  run(isOver: () => boolean): Promise<void>
  /** Adds a line to the record of what happened. */
  note(line: string): void
  /** SHA-256 over every line so far. */
  digest(): string
  readonly lines: readonly string[]
}

type Due = { readonly time: number; readonly tie: number; readonly run: () => void | Promise<void> }

/**
 * A scheduler of discrete events. All that runs between two events are promises that are resolved already, so one
 * turn of the event loop brings everything to where it waits for the next event; no timer is ever set.
 *
 * @param keep whether the lines are kept for a person
 */
export function createScheduler(start: number, random: Random, keep: boolean): Scheduler {
  const due: Due[] = []
  const hash = createHash('sha256')
  const lines: string[] = []
  let now = start
  let count = 0

  function next(): Due | undefined {
    let first = 0
    for (let index = 1; index < due.length; index++) if (isBefore(due[index], due[first])) first = index
    return due.splice(first, 1)[0]
  }

  return {
    now: () => now,
    at(time, run) {
      due.push({ time: Math.max(time, now), tie: random.next(), run })
    },
    async run(isOver) {
      for (;;) {
        await quiet()
        if (isOver()) return
        const event = next()
        if (event === undefined) return
        now = event.time
        await event.run()
      }
    },
    note(line) {
      const full = `${++count} ${now - start} ${line}`
      hash.update(full).update('\n')
      if (keep) lines.push(full)
    },
    digest: () => hash.copy().digest('hex'),
    lines,
  }
}

const isBefore = (a: Due | undefined, b: Due | undefined): boolean =>
  a !== undefined && b !== undefined && (a.time < b.time || (a.time === b.time && a.tie < b.tie))

/** Until every promise that can go on has gone on. */
const quiet = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
