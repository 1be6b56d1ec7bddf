import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { WORLD_START } from './deploy/deployWorld.ts'
import { WorldCacheError } from './errors.ts'
import { worldState } from './worldState.ts'

const folder = mkdtempSync(join(tmpdir(), 'rialto-cache-'))
afterAll(() => rmSync(folder, { recursive: true }))

const contents = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'))

/** Paths at which two values differ: a state is a megabyte, of which nobody wants to read a diff. */
function differences(a: unknown, b: unknown, path = ''): string[] {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b ? [] : [path]
  const [one, other] = [a as Record<string, unknown>, b as Record<string, unknown>]
  const keys = new Set([...Object.keys(one), ...Object.keys(other)])
  return [...keys].flatMap((key) => differences(one[key], other[key], `${path}/${key}`))
}

describe('worldState', () => {
  it('builds the same world wherever and whenever it does, once', async () => {
    const [a, b] = [join(folder, 'a'), join(folder, 'b')]
    const first = await worldState(a)
    expect(first).toMatchObject({ cached: false, blockNumber: 4n, timestamp: WORLD_START })
    expect(await worldState(a)).toEqual({ ...first, cached: true })
    const second = await worldState(b)
    expect(second.addressBook).toEqual(first.addressBook)
    expect(differences(contents(second.stateFile), contents(first.stateFile))).toEqual([])
  })

  it('survives several builders at once, and leaves nothing lying about', async () => {
    const cache = join(folder, 'contended')
    const states = await Promise.all([worldState(cache), worldState(cache), worldState(cache)])
    expect(new Set(states.map(({ stateFile }) => stateFile)).size).toBe(1)
    expect(readdirSync(join(cache, 'world'))).toHaveLength(1)
    expect((await worldState(cache)).cached).toBe(true)
  })

  it('builds again what was damaged', async () => {
    const cache = join(folder, 'damaged')
    const { stateFile, addressBook } = await worldState(cache)
    const whole = readFileSync(stateFile, 'utf8')
    writeFileSync(stateFile, whole.slice(0, 1_000))
    expect(await worldState(cache)).toMatchObject({ cached: false, addressBook })
    writeFileSync(join(stateFile, '../world.json'), '{"stateHash":')
    expect(await worldState(cache)).toMatchObject({ cached: false, addressBook })
    expect(differences(contents(stateFile), JSON.parse(whole))).toEqual([])
  })

  it('says which folder it cannot write to', async () => {
    const file = join(folder, 'file')
    writeFileSync(file, '')
    await expect(worldState(file)).rejects.toBeInstanceOf(WorldCacheError)
    await expect(worldState(file)).rejects.toMatchObject({
      code: 'WORLD_CACHE_UNWRITABLE',
      details: { folder: file },
    })
  })
})
