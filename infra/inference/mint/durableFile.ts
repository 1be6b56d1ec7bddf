import { open as openFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { attempt, type OpenFile, syncFolder } from '../tokens/log/groupCommitLog.ts'

/**
 * Writes a whole file, for its owner's eyes only, so that after a crash there is all of it or nothing, and after the
 * promise all of it.
 *
 * @throws {TokenError} `LOG_UNWRITABLE`
 */
export async function writeDurably(path: string, content: string | Uint8Array, open: OpenFile = openFile) {
  await attempt(path, async () => {
    const file = await open(`${path}.new`, 'w', 0o600)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(`${path}.new`, path)
    await syncFolder(dirname(path), open)
  })
}
