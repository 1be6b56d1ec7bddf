import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readWorldFile, removeWorldFile, type WorldFile, writeWorldFile } from './worldFile.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-worldfile-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const WORLD: WorldFile = {
  pid: 4711,
  url: 'http://127.0.0.1:4000',
  chainId: 31337,
  genesisHash: `0x${'ab'.repeat(32)}`,
  play: {
    scenario: 'black-thursday',
    seed: 0,
    blocks: 96,
    from: null,
    to: null,
    startBlock: 6,
    startTimestamp: 1_700_000_000,
    guarded: `0x${'01'.repeat(20)}`,
    twin: `0x${'02'.repeat(20)}`,
    liquidator: `0x${'03'.repeat(20)}`,
  },
}

it('reads what was written, before and after the stage is set', async () => {
  expect(await readWorldFile(folder)).toBeNull()
  for (const world of [{ ...WORLD, play: null }, WORLD]) {
    await writeWorldFile(folder, world)
    expect(await readWorldFile(folder)).toEqual(world)
  }
  expect(readdirSync(folder)).toEqual(['world.json'])
  expect(statSync(join(folder, 'world.json')).mode & 0o777).toBe(0o600)
  await removeWorldFile(folder)
  await removeWorldFile(folder)
  expect(await readWorldFile(folder)).toBeNull()
})

it.each([
  ['cut off', '{"pid":', /not JSON/],
  ['of another form', JSON.stringify({ ...WORLD, pid: 'one' }), /pid is not as expected/],
  ['with no genesis', JSON.stringify({ ...WORLD, genesisHash: '0x12' }), /genesisHash/],
  [
    'with a strange address',
    JSON.stringify({ ...WORLD, play: { ...WORLD.play, twin: '0x1' } }),
    /play\.twin/,
  ],
])('refuses a file that is %s, and says what to do', async (_what, text, message) => {
  writeFileSync(join(folder, 'world.json'), text)
  const read = readWorldFile(folder)
  await expect(read).rejects.toMatchObject({ code: 'WORLD_FILE', fix: expect.stringMatching(/Delete it/) })
  await expect(read).rejects.toThrow(message)
})

it('says in one line when it cannot be written', async () => {
  mkdirSync(join(folder, 'world.json.new'))
  await expect(writeWorldFile(folder, WORLD)).rejects.toMatchObject({ code: 'DIRECTORY_UNUSABLE' })
  const nowhere = join(folder, 'nowhere')
  await expect(writeWorldFile(nowhere, WORLD)).rejects.toMatchObject({ code: 'DIRECTORY_UNUSABLE' })
})
