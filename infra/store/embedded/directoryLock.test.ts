import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { entryPoint } from '../../process/entryPoint.ts'
import { lockDirectory } from './directoryLock.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rialto-lock-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const IN_USE = expect.objectContaining({ code: 'DIRECTORY_IN_USE' })
const own = () => JSON.parse(readFileSync(join(directory, readdirSync(directory)[0] ?? ''), 'utf8'))
const leave = (n: number, owner: object) =>
  writeFileSync(
    join(directory, `lock.${n}`),
    JSON.stringify({ pid: process.pid, host: hostname(), ...owner }),
  )

describe('lockDirectory', () => {
  it('gives a directory to one at a time', () => {
    const lock = lockDirectory(directory)
    expect(() => lockDirectory(directory)).toThrow(IN_USE)
    lock.release()
    lockDirectory(directory).release()
  })

  it('leaves one small file behind, whatever happened before', () => {
    for (let n = 0; n < 5; n += 1) lockDirectory(directory).release()
    expect(readdirSync(directory)).toHaveLength(1)
  })

  it('takes over from a process that was killed', async () => {
    const child = spawn(process.execPath, ['-e', ''])
    const pid = child.pid
    await once(child, 'exit')
    leave(7, { pid, born: 'whenever' })
    lockDirectory(directory)
    expect(readdirSync(directory)).toEqual(['lock.8'])
  })

  it('takes over from a process whose pid was given to another', () => {
    leave(7, { born: 'in another life' })
    lockDirectory(directory)
    expect(own().pid).toBe(process.pid)
  })

  it('refuses to judge about a process of another machine, and says what to delete', () => {
    leave(7, { host: 'elsewhere', born: null })
    expect(() => lockDirectory(directory)).toThrow(
      expect.objectContaining({
        code: 'DIRECTORY_IN_USE',
        fix: expect.stringContaining(join(directory, 'lock.7')),
      }),
    )
  })

  it('heeds the highest lock only', () => {
    leave(3, { host: 'elsewhere', born: null })
    leave(4, { born: 'in another life' })
    lockDirectory(directory)
    expect(readdirSync(directory)).toEqual(['lock.5'])
  })

  it('is given to one of many processes that find it stale at the same time', async () => {
    leave(7, { born: 'in another life' })
    const { execArgv } = entryPoint(import.meta.url, './directoryLock')
    const program = `
      import { lockDirectory } from ${JSON.stringify(new URL('./directoryLock.ts', import.meta.url).href)}
      process.stdin.once('data', () => {
        try {
          lockDirectory(${JSON.stringify(directory)})
          console.log('taken')
        } catch (error) {
          console.log(error.code)
        }
      })
      console.log('ready')`
    const rivals = Array.from({ length: 5 }, () =>
      spawn(process.execPath, [...execArgv, '--input-type=module', '--eval', program], {
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    )
    await Promise.all(rivals.map((rival) => once(rival.stdout, 'data')))
    const answers = rivals.map(async (rival) => String((await once(rival.stdout, 'data'))[0]).trim())
    for (const rival of rivals) rival.stdin.write('go')
    expect((await Promise.all(answers)).sort()).toEqual([...Array(4).fill('DIRECTORY_IN_USE'), 'taken'])
    for (const rival of rivals) rival.stdin.end()
    await Promise.all(rivals.map((rival) => once(rival, 'exit')))
  })

  it('is not given away twice when one comes to a lock that was released and taken again meanwhile', () => {
    // The second has read lock.1 as released; before it acts, another takes the directory.
    lockDirectory(directory).release()
    lockDirectory(directory)
    expect(readdirSync(directory)).toEqual(['lock.2'])
    expect(() => lockDirectory(directory)).toThrow(IN_USE)
  })
})
