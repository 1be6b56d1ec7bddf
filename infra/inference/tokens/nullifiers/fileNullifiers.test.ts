import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { OpenFile } from '../log/groupCommitLog.ts'
import { fileNullifiers } from './fileNullifiers.ts'
import { memoryNullifiers } from './memoryNullifiers.ts'
import { nullifierStoreSuite, randomDigests, randomSpend, unsettledBy } from './testNullifierStore.ts'
import { expectToSurviveKill } from './testSurvival.ts'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-nullifiers-'))
  path = join(folder, 'nullifiers.log')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))
const code = (value: string) => expect.objectContaining({ code: value })

nullifierStoreSuite('memory', async () => memoryNullifiers())
nullifierStoreSuite('file', () => fileNullifiers(path))

describe('a file of nullifiers', () => {
  it('remembers spends and settlements when it is opened again', async () => {
    const spends = Array.from({ length: 300 }, () => randomSpend())
    const first = await fileNullifiers(path)
    await Promise.all(spends.map((spend) => first.reserve(spend)))
    await Promise.all(spends.map((spend, at) => first.settle(spend, at % 5, randomDigests(at % 5))))
    await first.close()
    const second = await fileNullifiers(path)
    for (const [at, spend] of spends.entries())
      expect(await second.reserve(spend)).toEqual({ kind: 'repeated', change: at % 5 })
    await second.close()
  })

  it('counts the age of a reservation on through a restart, and names who reserved it', async () => {
    const [open, settled] = [randomSpend(), randomSpend()]
    const digests = randomDigests(2)
    let time = 1_800_000_000_000
    const now = () => time
    const first = await fileNullifiers(path, { now, owner: 'first' })
    await first.reserve(open)
    await first.reserve(settled)
    await first.settle(settled, 2, digests)
    time += 1_500
    expect(await first.reserve(open)).toEqual({ kind: 'repeated', change: null, age: 1_500, owner: 'first' })
    await first.close()
    time += 60_000
    const second = await fileNullifiers(path, { now, owner: 'second' })
    expect(await second.reserve(open)).toEqual({
      kind: 'repeated',
      change: null,
      age: 61_500,
      owner: 'first',
    })
    expect(await second.reserve(settled)).toEqual({ kind: 'repeated', change: 2 })
    for (const digest of digests) expect(await second.wasSigned(digest)).toBe(true)
    expect(await second.wasSigned(randomDigests(1)[0] ?? new Uint8Array())).toBe(false)
    time -= 3_600_000
    expect(await second.reserve(open)).toMatchObject({ age: 0 })
    await second.close()
  })

  it('gives every opening an owner of its own, and takes none that does not fit a record', async () => {
    const owners = new Set<string>()
    for (let at = 0; at < 3; at++) {
      const store = await fileNullifiers(path)
      owners.add(store.owner)
      await store.close()
    }
    expect(owners.size).toBe(3)
    for (const owner of ['', 'a b', 'x'.repeat(65), 'ä'])
      await expect(fileNullifiers(path, { owner })).rejects.toThrow(code('INVARIANT'))
    await (await fileNullifiers(path)).close()
  })

  it('groups what comes at once into few lines', async () => {
    const store = await fileNullifiers(path)
    await Promise.all(Array.from({ length: 200 }, () => store.reserve(randomSpend())))
    await store.close()
    expect(readFileSync(path, 'utf8').trim().split('\n').length).toBeLessThan(5)
  })

  it('serves one process at a time', async () => {
    const store = await fileNullifiers(path)
    await expect(fileNullifiers(path, { patience: 0 })).rejects.toThrow(code('LOG_LOCKED'))
    await store.close()
    await (await fileNullifiers(path)).close()
  })

  it('cuts off a torn last line, at whichever byte, and keeps all before', async () => {
    const [kept, torn] = [randomSpend(1), randomSpend(1)]
    const store = await fileNullifiers(path)
    await store.reserve(kept)
    const whole = statSync(path).size
    await store.reserve(torn)
    await store.close()
    const content = readFileSync(path)
    for (let cut = whole; cut < content.length; cut += 13) {
      writeFileSync(path, content.subarray(0, cut))
      const again = await fileNullifiers(path)
      expect(await again.reserve(kept)).toEqual(unsettledBy(store.owner))
      expect(await again.reserve(torn)).toEqual({ kind: 'fresh' })
      await again.close()
    }
  })

  it('cuts off a last line with pages that never reached the disk', async () => {
    const [kept, torn] = [randomSpend(1), randomSpend(1)]
    const store = await fileNullifiers(path)
    await store.reserve(kept)
    const whole = statSync(path).size
    await store.reserve(torn)
    await store.close()
    const content = readFileSync(path)
    writeFileSync(path, content.fill(0, whole + 20, whole + 90))
    const again = await fileNullifiers(path)
    expect(await again.reserve(torn)).toEqual({ kind: 'fresh' })
    await again.close()
  })

  it('refuses a file that was damaged or edited, wherever', async () => {
    const store = await fileNullifiers(path)
    for (let line = 0; line < 3; line++) await store.reserve(randomSpend(1))
    await store.close()
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
    const [first = '', second = '', third = ''] = lines
    const flipped = third.replace(/.(?="\]\]$)/, (digit) => (digit === '0' ? '1' : '0'))
    const edits = [
      [first, third],
      [second, third],
      [second, first, third],
      [first, second, third, third],
      [first, second, flipped],
      ['', first, second, third],
    ]
    for (const edit of edits) {
      writeFileSync(path, `${edit.join('\n')}\n`)
      await expect(fileNullifiers(path)).rejects.toThrow(code('LOG_CORRUPT'))
    }
    writeFileSync(path, `${lines.join('\n')}\n`)
    await (await fileNullifiers(path)).close()
  })

  it('refuses everything further once another process wrote to it', async () => {
    const store = await fileNullifiers(path)
    const spend = randomSpend()
    await store.reserve(spend)
    appendFileSync(path, 'x')
    await expect(store.reserve(randomSpend())).rejects.toThrow(code('LOG_UNWRITABLE'))
    await expect(store.settle(spend, 1, randomDigests(1))).rejects.toThrow(code('LOG_UNWRITABLE'))
    await store.close()
  })

  it.each(['datasync', 'write'] as const)(
    'acknowledges nothing when %s fails, then or later',
    async (call) => {
      let failing = false
      const failingOpen: OpenFile = async (...parameters) => {
        const file = await open(...parameters)
        return new Proxy(file, {
          get: (target, name) => {
            if (name === call && failing)
              return () =>
                Promise.reject(Object.assign(new RangeError('EIO: i/o error, failed'), { code: 'EIO' }))
            const value = Reflect.get(target, name, target)
            return typeof value === 'function' ? value.bind(target) : value
          },
        })
      }
      const store = await fileNullifiers(path, { open: failingOpen })
      const [before, during] = [randomSpend(), randomSpend()]
      await store.reserve(before)
      failing = true
      const results = await Promise.allSettled([
        store.reserve(during),
        store.reserve(during),
        store.settle(before, 2, randomDigests(2)),
      ])
      for (const result of results)
        expect(result).toMatchObject({ status: 'rejected', reason: { code: 'LOG_UNWRITABLE' } })
      failing = false
      await expect(store.reserve(during)).rejects.toThrow(code('LOG_UNWRITABLE'))
      await expect(store.reserve(randomSpend())).rejects.toThrow(code('LOG_UNWRITABLE'))
      await store.close()
    },
  )

  it('loses nothing that was acknowledged across kill -9', () =>
    expectToSurviveKill(['file', path], () => fileNullifiers(path)))
})
