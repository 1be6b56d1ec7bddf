import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { entryPoint } from '../process/entryPoint.ts'

function start(end: 'close' | 'exit' | 'stay') {
  const { path, execArgv } = entryPoint(import.meta.url, './testProcess')
  return spawn(process.execPath, [...execArgv, path, end], { stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Whether anything listens there. */
function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

test.each(['close', 'exit'] as const)(
  'the process ends by itself after %s, and nobody but it wrote to its outputs',
  async (end) => {
    const child = start(end)
    const [said, complained, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit'),
    ])
    expect(complained).toBe('')
    expect(said).toMatch(/^\d+ 42\n$/)
    expect(code).toBe(0)
    expect(await listens(Number.parseInt(said, 10))).toBe(false)
  },
)

test('the server ends with its process, even when that is killed', async () => {
  const child = start('stay')
  const [line] = await once(child.stdout, 'data')
  const port = Number.parseInt(String(line), 10)
  expect(await listens(port)).toBe(true)
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(await listens(port)).toBe(false)
})
