import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ReplayedRequestError, UnknownKeyError } from '../../protocol/errors.ts'
import { encodeKeyConfigs } from '../../protocol/ohttp/keyConfig.ts'
import { keyConfigOf } from '../../protocol/ohttp/keys.ts'
import { SharedReplayError } from '../errors.ts'
import { openChangeKeys } from './changeKeys.ts'
import { createDerivedKeys } from './derivedKeys.ts'
import { openDirectoryFiles } from './directoryFiles.ts'
import { createMemoryKeys } from './memoryKeys.ts'
import { redisReplay } from './redisReplay.ts'
import type { SharedReplay } from './sharedReplay.ts'
import { createStateFile, openStateFolder } from './stateFile.ts'

const hour = 3_600_000
let time: number
let folder: string
beforeEach(async () => {
  time = 1_800_000_000_000
  folder = await mkdtemp(join(tmpdir(), 'gateway-keys-'))
})
afterEach(() => rm(folder, { recursive: true }))
const now = () => time

describe('keys in memory', () => {
  const create = (fields: Partial<Parameters<typeof createMemoryKeys>[0]> = {}) =>
    createMemoryKeys({
      rotation: hour,
      capacity: 10,
      lastId: 254,
      now,
      onNearlyFull: () => undefined,
      ...fields,
    })

  it('have the next identifier, around the end', async () => {
    const keys = await create()
    const ids = [keys.current.keyId]
    for (let turn = 0; turn < 2; turn++) {
      time += hour
      await keys.rotate()
      ids.push(keys.current.keyId)
    }
    expect(ids).toEqual([255, 0, 1])
  })

  it('are accepted as long as a directory names them, and at most four at once', async () => {
    const keys = await create()
    const first = keys.current
    keys.published(time + 100 * hour)
    time += hour
    await keys.rotate()
    expect([...keys.accepted.values()]).toContain(first)
    // The second was named by no directory, so it goes when it has rotated.
    const second = keys.current
    time += hour
    await keys.rotate()
    expect([...keys.accepted.values()]).not.toContain(second)
    for (let turn = 0; turn < 3; turn++) {
      keys.published(time + 100 * hour)
      time += hour
      await keys.rotate()
    }
    expect(keys.accepted.size).toBe(4)
    expect([...keys.accepted.values()]).not.toContain(first)
    expect(() => keys.admit(first, randomBytes(32))).toThrow(UnknownKeyError)
  })

  it('do not rotate early, admit once, and stop when they can remember no more', async () => {
    let nearlyFull = 0
    const keys = await create({ onNearlyFull: () => void nearlyFull++ })
    const key = keys.current
    await keys.rotate()
    expect(keys.current).toBe(key)
    const seen = randomBytes(32)
    keys.admit(key, seen)
    expect(() => keys.admit(key, seen)).toThrow(ReplayedRequestError)
    for (let turn = 1; turn < 9; turn++) keys.admit(key, randomBytes(32))
    expect(nearlyFull).toBe(1)
    keys.published(time + hour)
    await keys.rotate()
    expect(keys.current).not.toBe(key)
    keys.admit(key, randomBytes(32))
    expect(keys.accepted.has(key.keyId)).toBe(true)
    expect(() => keys.admit(key, randomBytes(32))).toThrow(UnknownKeyError)
    expect(keys.accepted.has(key.keyId)).toBe(false)
  })
})

describe('keys that are derived', () => {
  const seed = randomBytes(32)
  const replay: SharedReplay = { admit: () => Promise.resolve(true) }
  const create = (name = 'gateway-a', clock = now) =>
    createDerivedKeys({ cluster: { seed, replay }, name, rotation: hour, now: clock })
  const ids = ({ accepted }: Awaited<ReturnType<typeof create>>) =>
    [...accepted.values()].map(({ keyId, publicKey }) => [
      keyId,
      Buffer.from(publicKey.bytes).toString('hex'),
    ])

  it('are the same for every process of one name, and for no other', async () => {
    const [one, two, other] = await Promise.all([create(), create(), create('gateway-b')])
    expect(ids(two)).toEqual(ids(one))
    expect(ids(other)[0]?.[1]).not.toBe(ids(one)[0]?.[1])
    expect(one.current.keyId).toBe(Math.floor(time / hour) & 0xff)
  })

  it('are accepted from one period ahead to two behind', async () => {
    const keys = await create()
    const first = keys.current
    for (const accepted of [true, true, false]) {
      time += hour
      await keys.rotate()
      expect([...keys.accepted.values()].includes(first)).toBe(accepted)
    }
    expect(keys.accepted.size).toBe(4)
  })

  it('follow a clock that is ahead, and nothing else', async () => {
    const keys = await create()
    const ahead = await create('gateway-a', () => time + hour)
    const far = await create('gateway-a', () => time + 5 * hour)
    const published = ({ current }: typeof keys) => encodeKeyConfigs([keyConfigOf(current)])
    await keys.adopt(published(far))
    expect(keys.current.keyId).not.toBe(far.current.keyId)
    await keys.adopt(published(ahead))
    expect(keys.current.keyId).toBe(ahead.current.keyId)
    await keys.rotate()
    expect(keys.current.keyId).toBe(ahead.current.keyId)
  })

  it('refuse a replay, and whatever cannot be known', async () => {
    const answers: (boolean | Error)[] = [true, false, new SharedReplayError()]
    const keys = await createDerivedKeys({
      cluster: {
        seed,
        replay: {
          async admit(key, enc, ttl) {
            expect([key, enc.length, ttl]).toEqual([String(Math.floor(time / hour)), 32, 4 * hour])
            const answer = answers.shift()
            if (answer instanceof Error) throw answer
            return answer === true
          },
        },
      },
      name: 'gateway-a',
      rotation: hour,
      now,
    })
    await keys.admit(keys.current, randomBytes(32))
    await expect(keys.admit(keys.current, randomBytes(32))).rejects.toThrow(ReplayedRequestError)
    await expect(keys.admit(keys.current, randomBytes(32))).rejects.toThrow(SharedReplayError)
  })
})

describe('replays in Redis', () => {
  it('that does not answer are not admitted', async () => {
    const silent = redisReplay({ set: () => new Promise(() => undefined) } as never, {
      gateway: 'a',
      patience: 10,
    })
    await expect(silent.admit('1', randomBytes(32), 1_000)).rejects.toThrow(SharedReplayError)
    const broken = redisReplay({ set: () => Promise.reject(new RangeError('gone')) } as never, {
      gateway: 'a',
    })
    await expect(broken.admit('1', randomBytes(32), 1_000)).rejects.toThrow(SharedReplayError)
  })
})

describe('change keys', () => {
  const lifetime = 24 * hour
  const open = () => openChangeKeys({ folder, lifetime, now })
  const ids = ({ all }: Awaited<ReturnType<typeof open>>) =>
    all.map(({ pair }) => Buffer.from(pair.publicKey.id).toString('hex'))

  it('are the same after a restart, and for processes that open the folder at once', async () => {
    const [one, two] = await Promise.all([open(), open()])
    expect(ids(one)).toHaveLength(1)
    expect(ids(two)).toEqual(ids(one))
    expect(ids(await open())).toEqual(ids(one))
  })

  it('are left out when their tokens have ended, and stay on the disk', async () => {
    const keys = await open()
    const [first] = ids(keys)
    time += lifetime
    await keys.rotate()
    expect(ids(keys)).toHaveLength(2)
    expect(ids(keys)[0]).toBe(first)
    time += lifetime
    await keys.rotate()
    expect(ids(keys)).toHaveLength(2)
    expect(ids(keys)).not.toContain(first)
    expect(await readdir(folder)).toHaveLength(3)
    const last = keys.all.at(-1)
    expect([last?.notBefore, last?.notAfter]).toEqual([
      (Math.floor(time / lifetime) * lifetime) / 1000,
      ((Math.floor(time / lifetime) + 2) * lifetime) / 1000,
    ])
  })

  it('outlive a clock that is wrong for a while', async () => {
    const keys = await open()
    const before = ids(keys)
    time += 1_000 * lifetime
    await keys.rotate()
    expect(ids(keys)).not.toContain(before[0])
    time -= 1_000 * lifetime
    await keys.rotate()
    expect(ids(keys)).toContain(before[0])
    expect(ids(await open())).toContain(before[0])
  })

  it('that are damaged are told of, and no other is made in their place', async () => {
    await open()
    const [name = ''] = await readdir(folder)
    await writeFile(join(folder, name), 'damaged')
    await expect(open()).rejects.toMatchObject({ code: 'GATEWAY_STATE' })
    expect(await readdir(folder)).toEqual([name])
  })
})

describe('the files of a gateway', () => {
  it('are made once, whole, by one of many', async () => {
    const path = join(folder, 'file')
    const made = await Promise.all(
      Array.from({ length: 10 }, (_, at) => createStateFile(path, `content ${at}`)),
    )
    expect(made.filter(Boolean)).toHaveLength(1)
    expect(await readFile(path, 'utf8')).toBe(`content ${made.indexOf(true)}`)
    expect(await readdir(folder)).toEqual(['file'])
  })

  it('have no drafts of killed processes beside them for long', async () => {
    for (const name of ['old.1.aa.draft', 'new.2.bb.draft']) await writeFile(join(folder, name), 'half')
    await utimes(join(folder, 'old.1.aa.draft'), 0, 0)
    await openStateFolder(folder)
    expect(await readdir(folder)).toEqual(['new.2.bb.draft'])
  })

  it.skipIf(process.getuid?.() === 0)('say so when they cannot be written', async () => {
    await chmod(folder, 0o500)
    await expect(createStateFile(join(folder, 'file'), '')).rejects.toMatchObject({ code: 'GATEWAY_STATE' })
    await chmod(folder, 0o700)
  })

  it('say so when there is a file where a folder should be', async () => {
    await writeFile(join(folder, 'file'), '')
    await expect(openStateFolder(join(folder, 'file'))).rejects.toMatchObject({ code: 'GATEWAY_STATE' })
    await expect(createStateFile(join(folder, 'none', 'file'), '')).rejects.toMatchObject({
      code: 'GATEWAY_STATE',
    })
  })

  it('give an epoch to one directory, for good, and keep the latest', async () => {
    const files = await openDirectoryFiles(folder)
    expect(await files.latest()).toBeUndefined()
    for (let epoch = 1; epoch <= 20; epoch++)
      expect(await files.publish({ epoch, document: `document ${epoch}` })).toBe(true)
    expect(await files.publish({ epoch: 20, document: 'another' })).toBe(false)
    const again = await openDirectoryFiles(folder)
    expect(await again.latest()).toEqual({ epoch: 20, document: 'document 20' })
    expect(await readdir(folder)).toHaveLength(16)
  })
})
