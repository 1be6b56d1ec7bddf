import { describeError } from '../../../runtime/core/errors.ts'

/** What has to be ended again, in the order in which it was begun. */
export type Endings = {
  add(end: () => Promise<void> | void): void
  /** Ends everything, the last begun first. What fails is noted and keeps nothing else from being ended. */
  run(): Promise<void>
}

/**
 * @param note told of each failure, as one line
 * @example
 * const endings = createEndings(terminal.note)
 * endings.add(() => server.close())
 * await endings.run()
 */
export function createEndings(note: (line: string) => void): Endings {
  const open: (() => Promise<void> | void)[] = []
  return {
    add: (end) => open.push(end),
    async run() {
      for (const end of open.splice(0).reverse()) {
        try {
          await end()
        } catch (error) {
          note(`rialto: while ending: ${describeError(error)}`)
        }
      }
    },
  }
}
