import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isAddress, isHash } from 'viem'
import { z } from 'zod'
import { RialtoError } from '../../runtime/core/errors.ts'
import { explainFileError } from '../directory.ts'

const address = z.string().refine((text): text is `0x${string}` => isAddress(text, { strict: false }))
const hash = z.string().refine((text): text is `0x${string}` => isHash(text))

/** What is known of a world that may outlive the runtime that started it. */
const worldFileSchema = z.strictObject({
  pid: z.int().positive(),
  url: z.url(),
  chainId: z.int().positive(),
  genesisHash: hash,
  /** Set when the stage is set: positions are open and the first block may be played. */
  play: z
    .strictObject({
      scenario: z.string(),
      seed: z.int(),
      blocks: z.int().positive(),
      from: z.string().nullable(),
      to: z.string().nullable(),
      /** The block before the first one that is played. */
      startBlock: z.int().nonnegative(),
      startTimestamp: z.int().positive(),
      guarded: address,
      twin: address,
      liquidator: address,
    })
    .nullable(),
})

export type WorldFile = z.output<typeof worldFileSchema>
export type Play = NonNullable<WorldFile['play']>

/** `world.json` is there but cannot be read. */
export class WorldFileError extends RialtoError {
  override readonly name = 'WorldFileError'
  constructor(path: string, why: string) {
    super('WORLD_FILE', `${path} cannot be read: ${why}.`, {
      fix: 'Delete it. If a process "anvil" is still running, end it: its world is lost.',
    })
  }
}

const pathIn = (directory: string) => join(directory, 'world.json')

/** @returns null when there is no world. @throws {WorldFileError} when the file is damaged. */
export async function readWorldFile(directory: string): Promise<WorldFile | null> {
  const path = pathIn(directory)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw explainFileError(path, error)
  }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new WorldFileError(path, 'it is not JSON')
  }
  const result = worldFileSchema.safeParse(json)
  if (!result.success)
    throw new WorldFileError(path, `${result.error.issues[0]?.path.join('.')} is not as expected`)
  return result.data
}

/** Replaces the file in one step, so that a crash leaves the old one or the new one. */
export async function writeWorldFile(directory: string, world: WorldFile): Promise<void> {
  const path = pathIn(directory)
  try {
    await writeFile(`${path}.new`, `${JSON.stringify(world, null, 2)}\n`, { mode: 0o600, flush: true })
    await rename(`${path}.new`, path)
  } catch (error) {
    // What keeps it from being written may keep it from being removed; that it could not be written is the news.
    await rm(`${path}.new`, { force: true }).catch(() => undefined)
    throw explainFileError(path, error)
  }
}

export const removeWorldFile = (directory: string): Promise<void> => rm(pathIn(directory), { force: true })
