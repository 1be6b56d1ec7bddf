import { join } from 'node:path'
import {
  createStateFile,
  numberedFiles,
  openStateFolder,
  readStateFile,
  removeStateFile,
} from './stateFile.ts'

/** A directory as it was published. */
export type PublishedDirectory = { readonly epoch: number; readonly document: string }

export type DirectoryFiles = {
  /** That of the highest epoch, if there ever was one. @throws {GatewayStateError} */
  latest(): Promise<PublishedDirectory | undefined>
  /**
   * Takes an epoch for a document, durably.
   *
   * @returns false when the epoch has a document already
   * @throws {GatewayStateError}
   */
  publish(directory: PublishedDirectory): Promise<boolean>
}

const EXTENSION = '.jwt'
/** How many are kept: the last one counts, the others are for whoever wants to look. */
const KEPT = 16

/**
 * The directories of a gateway, one file for each epoch, made before anybody is given it. So an epoch has one
 * document and its number is never used again, through crashes and among processes which share the folder.
 */
export async function openDirectoryFiles(folder: string): Promise<DirectoryFiles> {
  await openStateFolder(folder)
  return {
    async latest() {
      const last = (await numberedFiles(folder, EXTENSION)).at(-1)
      if (last === undefined) return undefined
      return { epoch: last.number, document: (await readStateFile(last.path)).trim() }
    },
    async publish({ epoch, document }) {
      if (!(await createStateFile(join(folder, `${epoch}${EXTENSION}`), `${document}\n`))) return false
      for (const { path } of (await numberedFiles(folder, EXTENSION)).slice(0, -KEPT))
        await removeStateFile(path)
      return true
    },
  }
}
