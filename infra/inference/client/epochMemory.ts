import { open, readFile, rename } from 'node:fs/promises'
import { z } from 'zod'
import { InvalidInputError } from '../../../runtime/core/errors.ts'

/** The newest directory that was seen of a gateway. */
export type SeenEpoch = { readonly epoch: number; readonly digest: string }

/** Remembers how far each gateway has come, so that no one can put a client back to keys of the past. */
export type EpochMemory = {
  get(gateway: string): Promise<SeenEpoch | undefined>
  /** Never goes back: an epoch below the one that is remembered changes nothing. */
  put(gateway: string, seen: SeenEpoch): Promise<void>
}

/** The file of epochs cannot be used. */
export class EpochMemoryError extends InvalidInputError {
  override readonly name = 'EpochMemoryError'
  constructor(path: string, problem: string, cause?: unknown) {
    super(`The file of epochs ${path} ${problem}.`, {
      code: 'INFERENCE_EPOCHS',
      fix: 'Correct or delete it: deleted, the next directory is trusted as the newest.',
      details: { path },
      cause,
    })
  }
}

const content = z.record(z.string(), z.strictObject({ epoch: z.int().min(1), digest: z.string() }))

/**
 * Opens the memory in a file, or in the process alone.
 *
 * @param path absent: nothing outlives the process
 * @throws {EpochMemoryError} from its methods
 */
export function openEpochMemory(path?: string): EpochMemory {
  let known: Map<string, SeenEpoch> | undefined
  let last: Promise<unknown> = Promise.resolve()

  const load = async (): Promise<Map<string, SeenEpoch>> => {
    if (known !== undefined) return known
    known = new Map(path === undefined ? [] : Object.entries(await read(path)))
    return known
  }
  const inTurn = <Value>(step: () => Promise<Value>): Promise<Value> => {
    const result = last.then(step)
    last = result.catch(() => undefined)
    return result
  }

  return {
    get: (gateway) => inTurn(async () => (await load()).get(gateway)),
    put: (gateway, seen) =>
      inTurn(async () => {
        const epochs = await load()
        if ((epochs.get(gateway)?.epoch ?? 0) >= seen.epoch) return
        epochs.set(gateway, seen)
        if (path !== undefined) await write(path, JSON.stringify(Object.fromEntries(epochs)))
      }),
  }
}

async function read(path: string): Promise<z.infer<typeof content>> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return {}
    throw new EpochMemoryError(path, `cannot be read (${code})`, error)
  }
  try {
    return content.parse(JSON.parse(text))
  } catch (error) {
    throw new EpochMemoryError(path, 'is damaged', error)
  }
}

/** The file is the old one or the new one, whole, whatever happens. */
async function write(path: string, text: string): Promise<void> {
  try {
    const file = await open(`${path}.new`, 'w', 0o600)
    try {
      await file.writeFile(`${text}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(`${path}.new`, path)
  } catch (error) {
    throw new EpochMemoryError(path, `cannot be written (${(error as NodeJS.ErrnoException).code})`, error)
  }
}
