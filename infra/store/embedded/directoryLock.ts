import { spawnSync } from 'node:child_process'
import { linkSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { DirectoryInUseError } from '../errors.ts'

/** Who holds a directory. `born` tells a process from a later one that was given the same pid. */
type Owner = { readonly pid: number; readonly host: string; readonly born: string | null }

export type DirectoryLock = { release(): void }

const LOCK_NAME = /^lock\.(\d+)$/

/**
 * Takes a directory for this process.
 *
 * A lock is a file `lock.<n>`, and the highest `n` holds. Whoever finds its owner gone makes `lock.<n+1>`, which the
 * file system gives to one process only, so that two cannot both take over from a third that was killed. The highest
 * file is never deleted, only marked as released: its number must not be given out again to someone who read the
 * directory before.
 *
 * @throws {DirectoryInUseError} when a living process holds it, this one included.
 */
export function lockDirectory(directory: string): DirectoryLock {
  for (;;) {
    const highest = highestLock(directory)
    if (highest !== null) refuseIfAlive(directory, highest)
    const next = (highest ?? 0) + 1
    const file = join(directory, `lock.${next}`)
    if (!createWhole(file, JSON.stringify(self()))) continue
    for (const [name, n] of locks(directory)) if (n < next) rmSync(join(directory, name), { force: true })
    return { release: () => writeFileSync(file, '') }
  }
}

function locks(directory: string): readonly (readonly [name: string, n: number])[] {
  return readdirSync(directory).flatMap((name) => {
    const n = LOCK_NAME.exec(name)?.[1]
    return n === undefined ? [] : [[name, Number(n)] as const]
  })
}

function highestLock(directory: string): number | null {
  const numbers = locks(directory).map(([, n]) => n)
  return numbers.length === 0 ? null : Math.max(...numbers)
}

function refuseIfAlive(directory: string, n: number): void {
  const file = join(directory, `lock.${n}`)
  const owner = readOwner(file)
  if (owner === null) return
  if (owner.host !== hostname())
    throw new DirectoryInUseError(
      directory,
      `process ${owner.pid} of the machine "${owner.host}"`,
      file,
      false,
    )
  if (!isAlive(owner.pid) || bornOf(owner.pid) !== owner.born) return
  const name = owner.pid === process.pid ? 'this very process' : `process ${owner.pid}`
  throw new DirectoryInUseError(directory, name, file, true)
}

/** Null when the lock was released, or when its file is gone because a higher one was made. */
function readOwner(file: string): Owner | null {
  try {
    const text = readFileSync(file, 'utf8')
    return text === '' ? null : (JSON.parse(text) as Owner)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** Makes a file with its content in one step. False when there is one of that name already. */
function createWhole(file: string, content: string): boolean {
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, content)
  try {
    linkSync(draft, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    unlinkSync(draft)
  }
}

const self = (): Owner => ({ pid: process.pid, host: hostname(), born: bornOf(process.pid) })

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it is there, and another user's.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** When a process was started, in whatever words the system has for it; null where there is no telling. */
function bornOf(pid: number): string | null {
  if (process.platform === 'linux') {
    try {
      // The 22nd field; the second is the command in parentheses, which may hold spaces itself.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
      return `${boot}.${fields[19]}`
    } catch {
      return null
    }
  }
  if (process.platform === 'win32') return null
  const { status, stdout } = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : null
}
