import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  balanceOf,
  buy,
  bytesOf,
  currentKey,
  finish,
  listedKeys,
  mintIn,
  newAccount,
  newFolder,
  newRequests,
} from './mint.fixture.ts'

const HOUR = 3_600_000
const START = 1_900_000_000_000

/** A mint whose keys sign for an hour, at a time that the test moves. */
async function start(state = newFolder(), from = START) {
  const clock = { time: from }
  const account = newAccount()
  const options = { keyLifetime: HOUR, now: () => clock.time, accounts: { [account.hash]: 100 } }
  const mint = await mintIn(state, options)
  const seconds = () => Math.floor(clock.time / 1_000)
  return { ...mint, state, clock, account, seconds, again: () => mintIn(state, options) }
}

const keyFiles = (state: string) => readdirSync(join(state, 'keys'))
const times = async (url: string) =>
  (await listedKeys(url)).map((key) => [
    (key['not-before'] * 1_000 - START) / HOUR,
    (key['not-after'] * 1_000 - START) / HOUR,
  ])

describe('the keys of a mint', () => {
  it('follow one another without a gap: known before they sign, and listed until their tokens end', async () => {
    const { url, clock, state } = await start()
    expect(await times(url)).toEqual([[0, 2]])
    clock.time = START + 0.8 * HOUR
    expect(await times(url)).toEqual([
      [1, 3],
      [0, 2],
    ])
    clock.time = START + 1.8 * HOUR
    expect(await times(url)).toEqual([
      [2, 4],
      [1, 3],
      [0, 2],
    ])
    clock.time = START + 2 * HOUR
    expect(await times(url)).toEqual([
      [2, 4],
      [1, 3],
    ])
    // A key that has ended stays on the disk.
    expect(keyFiles(state)).toHaveLength(3)
  })

  it('sign what is new only while they are current, give or take a clock', async () => {
    const { url, clock, account, seconds } = await start()
    const first = await currentKey(url, seconds())
    clock.time = START + 0.8 * HOUR
    const next = await currentKey(url, seconds() + 3_600)
    const tryWith = async (key: typeof first) =>
      (await buy(url, account.key, bytesOf(newRequests(key, 1)))).status
    expect([await tryWith(first), await tryWith(next)]).toEqual([200, 422])
    clock.time = START + HOUR - 60_000
    expect([await tryWith(first), await tryWith(next)]).toEqual([200, 200])
    clock.time = START + HOUR + 60_000
    expect([await tryWith(first), await tryWith(next)]).toEqual([200, 200])
    clock.time = START + 1.1 * HOUR
    expect([await tryWith(first), await tryWith(next)]).toEqual([422, 200])
    expect(await balanceOf(url, account.key)).toBe(94)
  })

  it('sign what was paid for as long as they are listed, and then no more', async () => {
    const { url, clock, account, seconds, close, again } = await start()
    const requests = newRequests(await currentKey(url, seconds()), 3)
    const body = bytesOf(requests)
    expect((await buy(url, account.key, body)).status).toBe(200)
    clock.time = START + 1.9 * HOUR
    expect(await finish(requests, await buy(url, account.key, body))).toBe(3)
    await close()
    const later = await again()
    expect(await finish(requests, await buy(later.url, account.key, body))).toBe(3)
    clock.time = START + 2 * HOUR
    expect((await buy(later.url, account.key, body)).status).toBe(422)
    expect(await balanceOf(later.url, account.key)).toBe(97)
  })

  it('are the same after a restart', async () => {
    const { url, close, again } = await start()
    const before = await listedKeys(url)
    await close()
    expect(await listedKeys((await again()).url)).toEqual(before)
  })

  it('are new after a long sleep, and after a clock that went wrong', async () => {
    const state = newFolder()
    const first = await start(state)
    await first.close()
    const slept = await start(state, START + 100 * HOUR)
    expect(await times(slept.url)).toEqual([[100, 102]])
    await slept.close()
    // A key of the future stays for its time; now another one signs.
    const corrected = await start(state, START + 50 * HOUR)
    expect(await times(corrected.url)).toEqual([
      [100, 102],
      [50, 52],
    ])
    const requests = newRequests(await currentKey(corrected.url, corrected.seconds()), 1)
    expect((await buy(corrected.url, corrected.account.key, bytesOf(requests))).status).toBe(200)
  })

  it('outlive a clock that is wrong for a while, and so do the tokens of them', async () => {
    const { url, clock, account, seconds } = await start()
    const before = await listedKeys(url)
    const requests = newRequests(await currentKey(url, seconds()), 1)
    clock.time = START + 100 * HOUR
    expect(await times(url)).toEqual([[100, 102]])
    clock.time = START
    expect(await listedKeys(url)).toEqual(expect.arrayContaining([...before]))
    expect(await finish(requests, await buy(url, account.key, bytesOf(requests)))).toBe(1)
  })

  it('never share the byte by which a request names one', async () => {
    const { url, clock } = await start()
    for (let hour = 0; hour < 6; hour++) {
      clock.time = START + (hour + 0.8) * HOUR
      const bytes = await Promise.all(
        (await listedKeys(url)).map(async (key) => (await currentKey(url, key['not-before'])).id.at(-1)),
      )
      expect(new Set(bytes).size).toBe(bytes.length)
    }
  })

  it('are refused when others can read them, or nobody', async () => {
    const { state, close, again } = await start()
    await close()
    const path = join(state, 'keys', keyFiles(state)[0] ?? '')
    chmodSync(path, 0o640)
    await expect(again()).rejects.toMatchObject({ code: 'MINT_STATE' })
    chmodSync(path, 0o600)
    const content = readFileSync(path, 'utf8')
    writeFileSync(path, content.slice(0, -20))
    const error = await again().catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'MINT_STATE' })
    expect(`${error.stack}${JSON.stringify(error)}`).not.toContain(
      JSON.parse(content).privateKey.slice(100, 140),
    )
    writeFileSync(path, content)
    await (await again()).close()
  })
})
