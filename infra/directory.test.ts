import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { explainFileError, holdDirectory, prepareDirectory } from './directory.ts'

let scratch: string
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'rialto-directory-'))
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const UNUSABLE = { code: 'DIRECTORY_UNUSABLE' }

describe('prepareDirectory', () => {
  it('makes the folder with those above it, for its owner alone, and leaves nothing in it', async () => {
    const path = join(scratch, 'deep', 'er')
    expect(await prepareDirectory(path)).toBe(path)
    expect(await prepareDirectory(path)).toBe(path)
    expect(statSync(path).mode & 0o777).toBe(0o700)
    expect(readdirSync(path)).toEqual([])
  })

  it('makes a relative path absolute', async () => {
    expect(await prepareDirectory('.')).toBe(process.cwd())
  })

  it.each(['', '/in/it'])('says that a file is in its way (%s)', async (below) => {
    const file = join(scratch, 'file')
    writeFileSync(file, '')
    await expect(prepareDirectory(file + below)).rejects.toMatchObject({
      ...UNUSABLE,
      message: expect.stringMatching(/file/),
      fix: expect.stringMatching(/Move that file away/),
    })
  })

  it.runIf(process.platform === 'linux')('comes back from where no folder can be made', async () => {
    await expect(prepareDirectory('/proc/rialto/deep')).rejects.toMatchObject(UNUSABLE)
  })

  it('says how much room is missing', async () => {
    const refusal = prepareDirectory(join(scratch, 'full'), Number.MAX_SAFE_INTEGER)
    await expect(refusal).rejects.toThrow(/only \d+ MiB are free/)
  })
})

describe('holdDirectory', () => {
  it('gives the folder to one at a time', async () => {
    const path = join(scratch, 'held')
    const held = await holdDirectory(path)
    await expect(holdDirectory(path)).rejects.toMatchObject({ code: 'DIRECTORY_IN_USE' })
    held.release()
    const again = await holdDirectory(path)
    again.release()
    expect(existsSync(path)).toBe(true)
  })
})

describe('explainFileError', () => {
  it.each([
    ['EROFS', /read-only/],
    ['ENOSPC', /disk is full/],
    ['EACCES', /may not be written/],
    ['EMFILE', /EMFILE/],
  ])('tells what %s means and what to do', (code, message) => {
    const error = explainFileError('/some/where', Object.assign(new Error('raw'), { code }))
    expect(error.message).toMatch(message)
    expect(error.fix).toBeTruthy()
  })
})
