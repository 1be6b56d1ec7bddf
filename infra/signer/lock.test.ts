import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lockFolder } from './lock.ts'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-lock-'))
  path = join(folder, 'lock')
})
afterEach(() => rmSync(folder, { recursive: true }))

test('one holds it at a time', async () => {
  const unlock = await lockFolder(path)
  await expect(lockFolder(path, 60)).rejects.toMatchObject({ code: 'SIGNER_LOCKED' })
  unlock()
  expect(existsSync(path)).toBe(false)
  const again = await lockFolder(path)
  again()
})

test('waits for a holder that is about to let go', async () => {
  const unlock = await lockFolder(path)
  const next = lockFolder(path, 5_000)
  unlock()
  const release = await next
  release()
})

test('takes over from a process that is gone', async () => {
  const child = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' })
  await once(child, 'exit')
  writeFileSync(path, `${child.pid} 12345\n`)
  const unlock = await lockFolder(path, 1_000)
  expect(readFileSync(path, 'utf8')).toMatch(new RegExp(`^${process.pid} `))
  unlock()
})

test.runIf(existsSync('/proc/self/stat'))('takes over when the pid is another process by now', async () => {
  writeFileSync(path, `${process.pid} 1\n`)
  const unlock = await lockFolder(path, 1_000)
  expect(readFileSync(path, 'utf8')).not.toBe(`${process.pid} 1\n`)
  unlock()
})

test('of several that find a dead holder, one gets it', async () => {
  writeFileSync(path, '999999999 1\n')
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => lockFolder(path, 200)))
  const got = outcomes.filter((outcome) => outcome.status === 'fulfilled')
  expect(got).toHaveLength(1)
})

test('says when the folder cannot be written', async () => {
  await expect(lockFolder(join(folder, 'nowhere', 'lock'))).rejects.toMatchObject({
    code: 'LEDGER_UNWRITABLE',
  })
})
