import { isValidAt } from '../protocol/network/directory.ts'
import { openEpochMemory } from './epochMemory.ts'
import { PrivateNetworkError } from './errors.ts'
import { type ConfirmedDirectory, type DirectorySource, fetchDirectory } from './fetchDirectory.ts'
import { refuse } from './refusals.ts'

/** The newest confirmed directory, and no other. */
export type DirectoryKeeper = {
  /** The directory, fetched if there is none that is valid. @throws {PrivateNetworkError} */
  current(): Promise<ConfirmedDirectory>
  /** What is known, without asking anybody. */
  peek(): ConfirmedDirectory | undefined
  /** Fetches it again. Calls that overlap are one. @throws {PrivateNetworkError} */
  refresh(): Promise<ConfirmedDirectory>
  /**
   * Fetches it again in the background, 5 to 60 seconds later, drawn evenly: witnesses, who are asked directly, do not
   * learn from it when a request was made. What is planned already, or replaced meanwhile, is not fetched twice.
   */
  refreshLater(): void
  close(): void
}

/** Fetched again when so much of its time is left, but at least a minute before its end. */
const margin = 0.1

/** Milliseconds. */
const laterDelay = { least: 5_000, most: 60_000 }

/**
 * Keeps the directory of a gateway: fetched when first needed, again before it ends, and never an older epoch than was
 * seen before, in this process or, with a file, in any.
 *
 * A directory that could not be replaced goes on being used to its own end, and not beyond.
 *
 * @param parameters.random from 0 up to 1
 * @param parameters.later bounds of the delay of a fetch in the background, for tests
 * @param parameters.onTrouble is told when a fetch in the background failed
 * @param parameters.onChange is told of each new directory
 */
export function keepDirectory(parameters: {
  readonly source: DirectorySource
  readonly memory?: string | undefined
  readonly random: () => number
  readonly later?: { readonly least: number; readonly most: number }
  readonly onTrouble: (error: unknown) => void
  readonly onChange: (directory: ConfirmedDirectory) => void
}): DirectoryKeeper {
  const { source, random, later = laterDelay, onTrouble, onChange } = parameters
  const { now } = source
  const memory = openEpochMemory(parameters.memory)
  const gateway = source.gateway.identity.text
  let known: ConfirmedDirectory | undefined
  let fetching: Promise<ConfirmedDirectory> | undefined
  let timer: NodeJS.Timeout | undefined
  let planned: NodeJS.Timeout | undefined
  let closed = false
  let turn = 0

  async function fetchNewer(): Promise<ConfirmedDirectory> {
    const fetched = await fetchDirectory(source, turn++)
    const { digest, directory } = fetched
    const seen = await memory.get(gateway)
    if (seen !== undefined) {
      const limit = { epoch: directory.epoch, seen: seen.epoch }
      if (directory.epoch < seen.epoch) throw refuse('directory_expired', { limit })
      if (directory.epoch === seen.epoch && digest !== seen.digest)
        throw refuse('keys_inconsistent', { limit })
    }
    await memory.put(gateway, { epoch: directory.epoch, digest })
    const isNew = known?.digest !== digest
    known = fetched
    schedule(fetched)
    if (isNew) onChange(fetched)
    return fetched
  }

  function schedule({ directory }: ConfirmedDirectory): void {
    clearTimeout(timer)
    cancelPlanned()
    if (closed) return
    const life = (directory.notAfter - directory.notBefore) * 1000
    const left = directory.notAfter * 1000 - now()
    const wait = Math.min(Math.max(left - Math.max(life * margin, 60_000), 5_000), 2 ** 31 - 1)
    timer = setTimeout(() => {
      refresh().catch((error: unknown) => {
        onTrouble(error)
        if (known !== undefined) schedule(known)
      })
    }, wait)
    timer.unref()
  }

  function cancelPlanned(): void {
    clearTimeout(planned)
    planned = undefined
  }

  function refreshLater(): void {
    if (closed || planned !== undefined) return
    planned = setTimeout(
      () => {
        planned = undefined
        refresh().catch(onTrouble)
      },
      later.least + random() * (later.most - later.least),
    )
    planned.unref()
  }

  function refresh(): Promise<ConfirmedDirectory> {
    fetching ??= fetchNewer()
      .catch((error: unknown) => {
        // Two sources that contradict each other are no reason to go on with either.
        if (error instanceof PrivateNetworkError && error.refusal.code === 'keys_inconsistent')
          known = undefined
        throw error
      })
      .finally(() => {
        fetching = undefined
      })
    return fetching
  }

  const isUsable = () => known !== undefined && isValidAt(known.directory, now() / 1000)

  return {
    async current() {
      if (closed) throw refuse('closing')
      if (known !== undefined && isUsable()) return known
      return refresh()
    },
    peek: () => (isUsable() ? known : undefined),
    async refresh() {
      if (closed) throw refuse('closing')
      return refresh()
    },
    refreshLater,
    close() {
      closed = true
      clearTimeout(timer)
      cancelPlanned()
    },
  }
}
