import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'

/** A way in which a secret can be written down, and what it looks like then. */
export type Trace = { readonly name: string; readonly bytes: Buffer }

/** Every form in which a secret is likely to lie anywhere: as bytes, as text of them, and as text of such text. */
export function tracesOf(secret: string, bytes: Buffer): readonly Trace[] {
  const hex = bytes.toString('hex')
  const texts: [string, string][] = [
    ['hex', hex],
    ['hex in capitals', hex.toUpperCase()],
    ['decimal', BigInt(`0x${hex}`).toString()],
    ...[0, 1, 2].flatMap((shift): [string, string][] => [
      [`base64 at offset ${shift}`, base64At(bytes, shift)],
      [`base64url at offset ${shift}`, base64At(bytes, shift).replaceAll('+', '-').replaceAll('/', '_')],
    ]),
  ]
  const half = Math.floor(bytes.length / 2)
  return [
    { name: `${secret} as bytes`, bytes },
    { name: `${secret} as bytes, backwards`, bytes: Buffer.from(bytes).reverse() },
    { name: `the first half of ${secret}`, bytes: bytes.subarray(0, half) },
    { name: `the second half of ${secret}`, bytes: bytes.subarray(half) },
    { name: `${secret} in UTF-16`, bytes: Buffer.from(bytes.toString('latin1'), 'utf16le') },
    ...texts.flatMap(([form, text]) => [
      { name: `${secret} in ${form}`, bytes: Buffer.from(text, 'latin1') },
      { name: `${secret} in ${form}, in UTF-16`, bytes: Buffer.from(text, 'utf16le') },
    ]),
  ]
}

/** The middle of what base64 makes of bytes that stand that far from the start of a group of three. */
function base64At(bytes: Buffer, shift: number): string {
  const text = Buffer.concat([Buffer.alloc(shift), bytes])
    .toString('base64')
    .replaceAll('=', '')
  return text.slice(shift === 0 ? 0 : shift + 1, -1)
}

/** Which traces lie in some bytes. */
export const findIn = (bytes: Buffer, traces: readonly Trace[]): readonly string[] =>
  traces.filter((trace) => bytes.includes(trace.bytes)).map(({ name }) => name)

const CHUNK = 8 << 20

/**
 * Looks for traces in all memory that a process can write: heap, stacks, buffers, what was freed and not overwritten.
 *
 * @param isStopped stops the process meanwhile, so that nothing moves; not for one on a pseudo-terminal, since what
 *   holds that terminal would stop as well
 * @returns null where the system has no /proc, or does not let its memory be read
 */
export function findInMemory(
  pid: number,
  traces: readonly Trace[],
  isStopped = true,
): readonly string[] | null {
  const overlap = Math.max(...traces.map(({ bytes }) => bytes.length)) - 1
  let memory: number
  try {
    memory = openSync(`/proc/${pid}/mem`, 'r')
  } catch {
    return null
  }
  if (isStopped) process.kill(pid, 'SIGSTOP')
  try {
    const found = new Set<string>()
    const buffer = Buffer.allocUnsafeSlow(CHUNK)
    let total = 0
    for (const [, from = '', to = ''] of readFileSync(`/proc/${pid}/maps`, 'utf8').matchAll(
      /^([0-9a-f]+)-([0-9a-f]+) rw.*$/gm,
    )) {
      const end = BigInt(`0x${to}`)
      for (let at = BigInt(`0x${from}`); at < end; ) {
        const length = readAt(memory, buffer, at, Number(end - at > CHUNK ? BigInt(CHUNK) : end - at))
        total += length
        for (const name of findIn(buffer.subarray(0, length), traces)) found.add(name)
        if (length === 0 || at + BigInt(length) >= end) break
        at += BigInt(Math.max(length - overlap, 1))
      }
    }
    return total === 0 ? null : [...found]
  } finally {
    if (isStopped) process.kill(pid, 'SIGCONT')
    closeSync(memory)
  }
}

/** Some mappings have no memory behind them. */
function readAt(fd: number, buffer: Buffer, at: bigint, length: number): number {
  try {
    return readSync(fd, buffer, 0, length, at)
  } catch (error) {
    if (['EIO', 'EFAULT'].includes((error as NodeJS.ErrnoException).code ?? '')) return 0
    throw error
  }
}

/** Looks for traces in every file of a folder, and in their names. */
export function findInFiles(
  folder: string,
  traces: readonly Trace[],
  except: readonly string[],
): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !except.includes(path))
    .flatMap((path) =>
      [...findIn(Buffer.from(path), traces), ...findIn(readFileSync(path), traces)].map(
        (name) => `${name}: ${path}`,
      ),
    )
}
