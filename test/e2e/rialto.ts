import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { builtEntry } from '../runner/builtEntry.ts'

const ROOT = packageRoot(import.meta.url)

/** A command of Rialto's as a process of its own, as a user runs it. */
export type Command = {
  readonly pid: number
  readonly child: ChildProcess
  stdout(): string
  stderr(): string
  /** Resolves once standard error matches; rejects when the command ends before. */
  untilNoted(pattern: RegExp): Promise<void>
  /** The exit code; null when a signal ended it. */
  readonly exit: Promise<number | null>
}

/** A folder that is gone after the test, with any world that was left running in it. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rialto-e2e-'))
  onTestFinished(() => {
    endWorld(folder)
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

/** The process of the world that a folder remembers; null when there is none. */
export function worldPid(folder: string): number | null {
  try {
    return (JSON.parse(readFileSync(join(folder, 'world.json'), 'utf8')) as { pid: number }).pid
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** Whether a process runs. One that has ended and that nobody has collected yet does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    // No /proc: on such systems the dead are collected at once.
    return true
  }
}

function endWorld(folder: string): void {
  const pid = worldPid(folder)
  if (pid !== null && isAlive(pid)) process.kill(pid, 'SIGKILL')
}

/** Runs `rialto …` as it is built, in the repository's folder. It is killed after the test if it still runs. */
export function rialto(
  argv: readonly string[],
  options: {
    readonly folder: string
    readonly env?: Readonly<Record<string, string>>
    readonly cwd?: string
  },
): Command {
  const child = spawn(process.execPath, [...builtEntry('infra/cli/main'), ...argv], {
    cwd: options.cwd ?? ROOT,
    env: { PATH: process.env.PATH, NO_COLOR: '1', RIALTO_DIR: options.folder, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const exit = once(child, 'close').then(([code]) => code as number | null)
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  return {
    pid: child.pid ?? 0,
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    exit,
    untilNoted: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (pattern.test(stderr)) resolve()
        }
        look()
        child.stderr.on('data', look)
        child.once('close', () => reject(new Error(`it ended before it said ${pattern}:\n${stderr}`)))
      }),
  }
}

/** Runs a command to its end. */
export async function finished(
  command: Command,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const code = await command.exit
  return { code, stdout: command.stdout(), stderr: command.stderr() }
}

/** A command of Rialto's on a terminal of its own. */
export type TerminalCommand = {
  /** All that the terminal showed. */
  output(): string
  /** Types something once the terminal ends with a question; rejects when the command ends before. */
  answer(question: RegExp, keys: string): Promise<void>
  /** The exit code. */
  readonly exit: Promise<number | null>
}

/**
 * Runs `rialto …` on a pseudo-terminal, which `script` of util-linux makes.
 *
 * @param options `afterwards`: a shell command that is run on the same terminal afterwards
 */
export function rialtoOnTerminal(
  argv: readonly string[],
  options: { readonly folder: string; readonly afterwards?: string; readonly cwd?: string },
): TerminalCommand {
  const quoted = [process.execPath, ...builtEntry('infra/cli/main'), ...argv].map(
    (part) => `'${part.replaceAll("'", "'\\''")}'`,
  )
  const line =
    options.afterwards === undefined
      ? `exec ${quoted.join(' ')}`
      : `${quoted.join(' ')}; ${options.afterwards}`
  const child = spawn('/usr/bin/script', ['-qefc', line, '/dev/null'], {
    cwd: options.cwd ?? ROOT,
    env: { PATH: process.env.PATH, NO_COLOR: '1', RIALTO_DIR: options.folder, SHELL: '/bin/sh' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const exit = once(child, 'close').then(([code]) => code as number | null)
  return {
    output: () => output,
    exit,
    answer: (question, keys) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!question.test(output)) return
          child.stdout.off('data', look)
          child.stdin.write(keys)
          resolve()
        }
        child.stdout.on('data', look)
        look()
        child.once('close', () => reject(new Error(`it ended before it asked ${question}:\n${output}`)))
      }),
  }
}
