import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { explainFileError } from '../directory.ts'

/** How another command of the same user finds the running runtime. */
const runtimeFileSchema = z.strictObject({
  pid: z.int().positive(),
  url: z.url(),
  /** Whoever can read the file may ask; a web page on the same machine cannot. */
  token: z.string().min(32),
})

export type RuntimeFile = z.output<typeof runtimeFileSchema>

const pathIn = (directory: string) => join(directory, 'runtime.json')

/** Null when no runtime says that it runs, or what it says cannot be read. */
export async function readRuntimeFile(directory: string): Promise<RuntimeFile | null> {
  let text: string
  try {
    text = await readFile(pathIn(directory), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw explainFileError(pathIn(directory), error)
  }
  const parsed = runtimeFileSchema.safeParse(parseJson(text))
  return parsed.success ? parsed.data : null
}

export async function writeRuntimeFile(directory: string, runtime: RuntimeFile): Promise<void> {
  const path = pathIn(directory)
  try {
    await writeFile(`${path}.new`, `${JSON.stringify(runtime)}\n`, { mode: 0o600 })
    await rename(`${path}.new`, path)
  } catch (error) {
    // What keeps it from being written may keep it from being removed; that it could not be written is the news.
    await rm(`${path}.new`, { force: true }).catch(() => undefined)
    throw explainFileError(path, error)
  }
}

export const removeRuntimeFile = (directory: string): Promise<void> => rm(pathIn(directory), { force: true })

/** A file that was cut off by a crash says nothing, like one that is not there. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
