import { randomBytes } from 'node:crypto'
import { link, open, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Makes a file that is not there yet: whole, on the disk and for its owner alone. A process that is killed meanwhile
 * leaves no file of that name; of several that make the same file one succeeds.
 *
 * @returns whether it was made here; false when there is one already
 * @throws what the file system says (`NodeJS.ErrnoException`): the caller knows what the file is
 * @example if (!(await createFileOnce('identity', text))) text = await readFile('identity', 'utf8')
 */
export async function createFileOnce(path: string, content: string): Promise<boolean> {
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.draft`
  const file = await open(draft, 'wx', 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    // A link, unlike a rename, never takes the place of what is there.
    await link(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    await unlink(draft)
  }
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
  return true
}
