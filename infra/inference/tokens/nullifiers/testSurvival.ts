import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { expect } from 'vitest'
import { entryPoint } from '../../../process/entryPoint.ts'
import type { NullifierStore } from './nullifierStore.ts'

const digest = (text: string): Uint8Array => createHash('sha256').update(text).digest()

/** Starts `testSpender.ts`. */
export function startSpender(...parameters: readonly string[]): ChildProcessWithoutNullStreams {
  const { path, execArgv } = entryPoint(import.meta.url, './testSpender')
  return spawn(process.execPath, [...execArgv, path, ...parameters])
}

/**
 * Kills processes that spend, in the middle of it, and looks whether everything that they were told is still so.
 *
 * @param store the first arguments of `testSpender.ts`
 */
export async function expectToSurviveKill(
  store: readonly string[],
  open: () => Promise<NullifierStore>,
): Promise<void> {
  const acknowledged = new Set<string>()
  for (let round = 0; round < 3; round++) {
    const child = startSpender(...store, 'burst', String(round * 1_000_000))
    const ended = once(child, 'close')
    const complaint = text(child.stderr)
    let lines = 0
    createInterface({ input: child.stdout }).on('line', (line) => {
      acknowledged.add(line)
      lines += 1
      // In the middle of the work, at another moment each time. What was said before still arrives.
      if (lines === 400 + round * 37) child.kill('SIGKILL')
    })
    const [, signal] = await ended
    expect({ signal, complaint: await complaint }).toEqual({ signal: 'SIGKILL', complaint: '' })
  }
  expect([...acknowledged].filter((line) => line.startsWith('repeated'))).toEqual([])
  expect(acknowledged.size).toBeGreaterThan(1_000)

  const again = await open()
  for (const line of acknowledged) {
    const [what, at = ''] = line.split(' ')
    const spend = {
      nullifiers: [0, 1, 2, 3].map((part) => digest(`token ${at} ${part}`)),
      binding: digest(`binding ${at}`),
    }
    const reservation = await again.reserve(spend)
    expect(reservation.kind).toBe('repeated')
    await expect(again.reserve({ ...spend, binding: randomBytes(32) })).rejects.toMatchObject({
      code: 'NULLIFIER_SPENT',
    })
    if (what !== 'settled') continue
    const change = Number(at) % 5
    expect(reservation).toEqual({ kind: 'repeated', change })
    for (let part = 0; part < 5; part++)
      expect(await again.wasSigned(digest(`change ${at} ${part}`).subarray(0, 16))).toBe(part < change)
  }
  await again.close()
}
