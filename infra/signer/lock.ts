import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { SignerError } from './errors.ts'

/**
 * Holds a folder for this process alone. Two signers on one ledger could sign two plans on one nonce; should two get
 * past this all the same, the ledger notices that its file grew without it.
 *
 * The lock is a file with the holder's pid and, where the system tells it, the time the process started, so that a
 * lock that a killed process left, or whose pid another process has by now, is taken over.
 *
 * @param path the lock file
 * @param patience milliseconds to wait for a holder that is about to end (its parent was just killed)
 * @returns lets go of it
 * @throws {SignerError} `SIGNER_LOCKED` or `LEDGER_UNWRITABLE`.
 */
export async function lockFolder(path: string, patience = 3_000): Promise<() => void> {
  const deadline = performance.now() + patience
  for (;;) {
    if (create(path)) return () => rmSync(path, { force: true })
    const holder = read(path)
    if (holder !== null && !isAlive(holder)) takeAway(path, holder)
    else if (performance.now() > deadline)
      throw new SignerError(
        'SIGNER_LOCKED',
        `Another signer (process ${holder?.split(' ')[0] ?? '?'}) holds ${path}.`,
        {
          fix: 'Stop the other process, or give this one a folder of its own.',
          details: { path, holder },
        },
      )
    await delay(20)
  }
}

/**
 * Who holds a lock.
 *
 * @returns the process id; null when no living process does
 * @example holderOf('.rialto/protector.lock')
 */
export function holderOf(path: string): number | null {
  const holder = read(path)
  return holder === null || !isAlive(holder) ? null : Number(holder.split(' ')[0])
}

/**
 * Asks the living holder of a lock to end.
 *
 * @returns its process id; null when nobody holds the lock
 * @example endHolder('.rialto/protector.lock')
 */
export function endHolder(path: string): number | null {
  const pid = holderOf(path)
  if (pid === null) return null
  try {
    process.kill(pid, 'SIGTERM')
  } catch (error) {
    // It ended this moment.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
  return pid
}

/** @returns whether it is ours now. */
function create(path: string): boolean {
  const draft = `${path}.new.${process.pid}`
  try {
    // Written first and linked then, so that a lock never lies there without its holder's name.
    writeFileSync(draft, `${process.pid} ${stateOf(process.pid)?.start ?? '-'}\n`, { mode: 0o600 })
    linkSync(draft, path)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return false
    throw new SignerError('LEDGER_UNWRITABLE', `The signer cannot write ${path} (${code}).`, {
      fix: 'Make the folder writable, and make room on the disk.',
    })
  } finally {
    rmSync(draft, { force: true })
  }
}

/** The holder's line; null when the file is gone. */
function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim() || null
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** Moves a dead holder's lock aside; two who try get it once, and whoever moved a living one's puts it back. */
function takeAway(path: string, holder: string): void {
  const aside = `${path}.${process.pid}`
  try {
    renameSync(path, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if (read(aside) === holder) unlinkSync(aside)
  else renameSync(aside, path)
}

function isAlive(holder: string): boolean {
  const [pid, start] = holder.split(' ')
  try {
    process.kill(Number(pid), 0)
  } catch (error) {
    // EPERM: there is such a process, of another user.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const now = stateOf(Number(pid))
  // A zombie has a pid until somebody reaps it, and holds nothing any more.
  return now === null || (now.state !== 'Z' && (start === '-' || now.start === start))
}

/** A process's state and when it started, in ticks since boot; null where there is no /proc to tell. */
function stateOf(pid: number): { state: string; start: string } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command's name, in parentheses, may hold anything. State is the first field after it, start the 20th.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', start: fields[19] ?? '' }
  } catch {
    // Not Linux, or the process went this moment: then the pid alone has to tell.
    return null
  }
}
