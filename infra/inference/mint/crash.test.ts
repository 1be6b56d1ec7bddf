import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { expect, it } from 'vitest'
import { entryPoint } from '../../process/entryPoint.ts'
import {
  afterTest,
  balanceOf,
  buy,
  bytesOf,
  currentKey,
  finish,
  mintIn,
  newAccount,
  newFolder,
  newRequests,
} from './mint.fixture.ts'

const CREDIT = 3_000
const BATCH = 20

/** A mint in a process of its own. */
async function spawnMint(state: string, account: string): Promise<{ child: ChildProcess; url: string }> {
  const { path, execArgv } = entryPoint(import.meta.url, './testMinter')
  const child = spawn(process.execPath, [...execArgv, path, state, account, String(CREDIT)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  afterTest(() => child.kill('SIGKILL'))
  for await (const url of createInterface({ input: child.stdout ?? process.stdin })) return { child, url }
  return expect.unreachable('It ended before it listened.')
}

it('through kill -9 in mid-issue nothing is paid twice, and nothing that was paid is lost', async () => {
  const state = newFolder()
  const { key, hash } = newAccount()
  const batches: { readonly requests: ReturnType<typeof newRequests>; isAnswered: boolean }[] = []

  for (let round = 0; round < 4; round++) {
    const { child, url } = await spawnMint(state, hash)
    const publicKey = await currentKey(url)
    const answered = { count: 0 }
    const ended = once(child, 'exit')
    // Four at a time without a pause, so that the end finds each of them somewhere else on its way.
    const buying = [0, 1, 2, 3].map(async () => {
      for (;;) {
        const batch = { requests: newRequests(publicKey, BATCH), isAnswered: false }
        batches.push(batch)
        const answer = await buy(url, key, bytesOf(batch.requests)).catch(() => undefined)
        if (answer === undefined) return
        expect(answer.status).toBe(200)
        const count = await finish(batch.requests, answer).catch(() => undefined)
        if (count === undefined) return
        batch.isAnswered = true
        answered.count += 1
        if (answered.count === 5 + 3 * round) child.kill('SIGKILL')
      }
    })
    await Promise.all(buying)
    expect(await ended).toEqual([null, 'SIGKILL'])
  }

  const mint = await mintIn(state, { accounts: { [hash]: CREDIT } })
  const left = await balanceOf(mint.url, key)
  const charged = CREDIT - left
  const answeredTokens = batches.filter(({ isAnswered }) => isAnswered).length * BATCH
  // Each charge is whole, covers what was handed out, and is for something that was asked for.
  expect(charged % BATCH).toBe(0)
  expect(charged).toBeGreaterThanOrEqual(answeredTokens)
  expect(charged).toBeLessThanOrEqual(batches.length * BATCH)
  // What was handed out is given again for nothing.
  for (const { requests } of batches.filter(({ isAnswered }) => isAnswered))
    expect(await finish(requests, await buy(mint.url, key, bytesOf(requests)))).toBe(BATCH)
  expect(await balanceOf(mint.url, key)).toBe(left)
  // What was not is to be had, and in the end every token was charged once, whenever that was.
  for (let again = 0; again < 2; again++) {
    for (const { requests } of batches)
      expect(await finish(requests, await buy(mint.url, key, bytesOf(requests)))).toBe(BATCH)
    expect(await balanceOf(mint.url, key)).toBe(CREDIT - batches.length * BATCH)
  }
})
