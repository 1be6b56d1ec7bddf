import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { keepProtector } from './startProtector.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-protector-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A configuration that is a program: it counts how often it is read, and has the process end as it is told. */
function configThat(ends: string): { readonly path: string; starts(): number } {
  const path = join(folder, 'rialto.config.mjs')
  const count = join(folder, 'starts')
  writeFileSync(
    path,
    `import { appendFileSync } from 'node:fs'\nappendFileSync(${JSON.stringify(count)}, '.')\n${ends}\nexport default {}\n`,
  )
  return { path, starts: () => (existsSync(count) ? readFileSync(count, 'utf8').length : 0) }
}

/** Resolves with what the next end is said to be. */
function endings() {
  let tell: (why: string) => void = () => {}
  return {
    onEnd: (why: string) => tell(why),
    next: () => new Promise<string>((resolve) => (tell = resolve)),
  }
}

describe('a protector that ends by itself', () => {
  it('is told of, and started again when it is asked for, each time', async () => {
    const config = configThat('process.exit(7)')
    const { onEnd, next } = endings()
    const first = next()
    const protector = keepProtector(config.path, onEnd)
    expect(protector.pid).toBeGreaterThan(0)
    expect(await first).toBe('exit code 7')
    expect(protector.pid).toBeNull()
    const second = next()
    protector.renew()
    protector.renew()
    expect(await second).toBe('exit code 7')
    expect(config.starts()).toBe(2)
    await protector.stop()
    protector.renew()
    expect(protector.pid).toBeNull()
  })

  it('and was killed says by what', async () => {
    const { onEnd, next } = endings()
    const killed = next()
    const protector = keepProtector(configThat('process.kill(process.pid, "SIGKILL")').path, onEnd)
    expect(await killed).toBe('SIGKILL')
    await protector.stop()
  })
})
