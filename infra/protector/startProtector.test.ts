import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { keepProtector } from './startProtector.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-protector-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A configuration that is a program: it counts how often it is read, and ends the process in another way each time. */
function configThat(...ends: readonly string[]): { readonly path: string; starts(): number } {
  const path = join(folder, 'rialto.config.mjs')
  const count = join(folder, 'starts')
  writeFileSync(
    path,
    `import { appendFileSync, readFileSync } from 'node:fs'
appendFileSync(${JSON.stringify(count)}, '.')
const ends = [${ends.map((end) => `() => ${end}`).join(', ')}]
ends[readFileSync(${JSON.stringify(count)}).length - 1]()
export default {}
`,
  )
  return { path, starts: () => (existsSync(count) ? readFileSync(count, 'utf8').length : 0) }
}

/** What is said of each end, as it is said. */
function endings() {
  let tell: (why: string) => void = () => {}
  return {
    onEnd: (why: string) => tell(why),
    next: () =>
      new Promise<string>((resolve) => {
        tell = resolve
      }),
  }
}

describe('a protector that ends by itself', () => {
  it('is told of, and started again by itself, until it is stopped', async () => {
    const config = configThat(
      'process.exit(7)',
      "process.kill(process.pid, 'SIGKILL')",
      'setInterval(() => {}, 1)',
    )
    const { onEnd, next } = endings()
    const first = next()
    const protector = keepProtector(config.path, 0, onEnd)
    expect(protector.pid).toBeGreaterThan(0)
    expect(await first).toBe('exit code 7')
    expect(protector.pid).toBeNull()
    const second = next()
    expect(await second).toBe('SIGKILL')
    await vi.waitFor(() => expect(config.starts()).toBe(3), { timeout: 20_000 })
    const { pid } = protector
    await protector.stop()
    expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH')
    expect(protector.pid).toBeNull()
    expect(config.starts()).toBe(3)
  })
})
