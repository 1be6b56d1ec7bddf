import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createFileOnce } from './createFileOnce.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'once-'))
})
afterEach(() => rm(folder, { recursive: true }))

it('is made once, by one of many, whole and for its owner', async () => {
  const path = join(folder, 'a')
  const made = await Promise.all(Array.from({ length: 20 }, (_, at) => createFileOnce(path, `${at}`)))
  const winners = made.flatMap((was, at) => (was ? [at] : []))
  expect(winners).toHaveLength(1)
  expect(await readFile(path, 'utf8')).toBe(`${winners[0]}`)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readdir(folder)).toEqual(['a'])
  expect(await createFileOnce(path, 'later')).toBe(false)
  expect(await readFile(path, 'utf8')).toBe(`${winners[0]}`)
})

it('says what the file system says', async () => {
  await expect(createFileOnce(join(folder, 'none', 'a'), 'x')).rejects.toMatchObject({ code: 'ENOENT' })
})
