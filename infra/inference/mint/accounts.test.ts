import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { mediaTypes, routes } from '../protocol/network/routes.ts'
import {
  balanceOf,
  buy,
  bytesOf,
  codeOf,
  currentKey,
  mintIn,
  newAccount,
  newFolder,
  newRequests,
} from './mint.fixture.ts'

describe('accounts', () => {
  it('that nobody knows get nothing, and are told no more', async () => {
    const known = newAccount()
    const mint = await mintIn(newFolder(), { accounts: { [known.hash]: 1 } })
    const body = bytesOf(newRequests(await currentKey(mint.url), 1))
    const ask = (authorization?: string) =>
      fetch(`${mint.url}${routes.mint.tokenRequest}`, {
        method: 'POST',
        body,
        headers: {
          'content-type': mediaTypes.tokenRequest,
          ...(authorization === undefined ? {} : { authorization }),
        },
      })
    const long = randomBytes(33).toString('base64url')
    // The last character of a key has two bits to spare: another spelling of the same bytes is no key.
    const spelled = `${known.key.slice(0, 42)}${known.key.endsWith('A') ? 'B' : String.fromCharCode(known.key.charCodeAt(42) + 1)}`
    for (const authorization of [
      undefined,
      '',
      'Bearer',
      `Basic ${known.key}`,
      `Bearer ${newAccount().key}`,
      `Bearer ${long}`,
      `Bearer ${known.key}=`,
      `Bearer ${known.key} x`,
      `Bearer ${spelled}`,
    ]) {
      const answer = await ask(authorization)
      expect([answer.status, await codeOf(answer), answer.headers.get('www-authenticate')]).toEqual([
        401,
        'account_unknown',
        'Bearer',
      ])
    }
    expect((await ask(`bearer ${known.key}`)).status).toBe(200)
    expect((await fetch(`${mint.url}${routes.mint.account}`)).status).toBe(401)
  })

  it('are given what is configured once, more when that grows, and keep it when it shrinks', async () => {
    const state = newFolder()
    const { key, hash } = newAccount()
    for (const [configured, expected] of [
      [5, 4],
      [5, 3],
      [7, 4],
      [1, 3],
      [8, 3],
    ] as const) {
      const mint = await mintIn(state, { accounts: { [hash]: configured } })
      await buy(mint.url, key, bytesOf(newRequests(await currentKey(mint.url), 1)))
      expect(await balanceOf(mint.url, key)).toBe(expected)
      await mint.close()
    }
  })

  it('are served by the faucet once', async () => {
    const state = newFolder()
    const { key } = newAccount()
    const mint = await mintIn(state, { faucet: 2 })
    expect(await balanceOf(mint.url, key)).toBe(2)
    await buy(mint.url, key, bytesOf(newRequests(await currentKey(mint.url), 2)))
    expect(await balanceOf(mint.url, key)).toBe(0)
    await mint.close()
    const again = await mintIn(state, { faucet: 2 })
    expect(await balanceOf(again.url, key)).toBe(0)
    expect((await buy(again.url, key, bytesOf(newRequests(await currentKey(again.url), 1)))).status).toBe(402)
  })

  it('are served by the faucet up to so many an hour, through a restart', async () => {
    const state = newFolder()
    let time = Date.now()
    const options = { faucet: 1, faucetAccountsPerHour: 2, now: () => time }
    const mint = await mintIn(state, options)
    const publicKey = await currentKey(mint.url)
    const newcomer = (url: string) => buy(url, newAccount().key, bytesOf(newRequests(publicKey, 1)))
    // Who only looks, or asks for what cannot be had, takes nobody's place.
    await balanceOf(mint.url, newAccount().key)
    expect((await buy(mint.url, newAccount().key, bytesOf(newRequests(publicKey, 2)))).status).toBe(402)
    expect((await buy(mint.url, newAccount().key, randomBytes(259))).status).toBe(422)
    expect((await newcomer(mint.url)).status).toBe(200)
    time += 1_800_000
    expect((await newcomer(mint.url)).status).toBe(200)
    await mint.close()
    const again = await mintIn(state, options)
    const refused = await newcomer(again.url)
    expect([refused.status, await codeOf(refused)]).toEqual([429, 'faucet_exhausted'])
    time += 1_800_001
    expect((await newcomer(again.url)).status).toBe(200)
    expect((await newcomer(again.url)).status).toBe(429)
  })
})
