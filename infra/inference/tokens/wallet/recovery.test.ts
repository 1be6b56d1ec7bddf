import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { generateTokenKey } from '../blindRsa/keys.ts'
import { toHex } from '../bytes.ts'
import { decodeTokenRequest, encodeTokenResponse, issueToken } from '../privacyPass/issuance.ts'
import { decodeToken, nullifierOf } from '../privacyPass/token.ts'
import { gatewayChallenge } from '../privacyPass/tokenChallenge.ts'
import { openWallet, type Wallet } from './openWallet.ts'

const [mintKeys, changeKeys] = await Promise.all([generateTokenKey(), generateTokenKey()])
const mint = {
  publicKey: mintKeys.publicKey,
  challenge: gatewayChallenge({ issuer: 'mint.example', gateway: 'gateway.example' }),
}
const change = {
  publicKey: changeKeys.publicKey,
  challenge: gatewayChallenge({ issuer: 'gateway.example', gateway: 'gateway.example' }),
}
const secret = { kind: 'seed', seed: randomBytes(32) } as const

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-recovery-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const open = (name: string): Promise<Wallet> => openWallet({ path: join(folder, name), secret })
const sign = (keys: typeof mintKeys, request: Uint8Array) =>
  encodeTokenResponse(issueToken([keys], decodeTokenRequest(request)))

it('finds change behind any number of payments that left none', async () => {
  const payments = 40
  const signed = new Map<string, Uint8Array>()
  const spentTokens = new Set<string>()
  const lost = await open('lost')
  const requests = await lost.request(mint, payments + 4)
  await lost.receive(
    mint,
    requests.map(({ counter, request }) => {
      const response = sign(mintKeys, request)
      signed.set(toHex(request), response)
      return { counter, response }
    }),
  )
  const pay = async (count: number, due: number): Promise<void> => {
    const spend = await lost.spend({
      issuers: [mint],
      count,
      innerRequestHash: randomBytes(32),
      change,
    })
    for (const token of spend.tokens) spentTokens.add(toHex(nullifierOf(decodeToken(token))))
    const responses = spend.changeRequests.slice(0, due).map((request) => {
      const response = sign(changeKeys, request)
      signed.set(toHex(request), response)
      return response
    })
    await lost.settle(spend.id, responses)
  }
  for (let count = 0; count < payments; count++) await pay(1, 0)
  await pay(4, 3)
  await lost.close()

  const found = await open('found')
  const source = {
    reissue: async (request: Uint8Array) => signed.get(toHex(request)) ?? null,
    isSpent: async (nullifier: Uint8Array) => spentTokens.has(toHex(nullifier)),
    gap: 4,
  }
  expect(await found.recover(mint, source)).toBe(0)
  const { spent } = found.balance(mint)
  expect(spent).toBe(payments + 4)
  // The gap alone ends before it.
  expect(await found.recover(change, source)).toBe(0)
  expect(await found.recover(change, { ...source, atLeast: spent })).toBe(3)
  await found.close()
})

it('counts the change that was spent too', async () => {
  const signed = new Map<string, Uint8Array>()
  const probe = await open('probe')
  const requests = await probe.request(change, 20)
  await probe.close()
  // The first eight were signed, and spent one by one for nothing back; then four came back of a last payment.
  for (const at of [0, 1, 2, 3, 4, 5, 6, 7, 15]) {
    const { request = new Uint8Array() } = requests[at] ?? {}
    signed.set(toHex(request), sign(changeKeys, request))
  }
  let asked = 0
  const found = await open('found')
  expect(
    await found.recover(change, {
      reissue: async (request) => signed.get(toHex(request)) ?? null,
      isSpent: async () => asked++ < 8,
      gap: 1,
      atLeast: 8,
    }),
  ).toBe(1)
  await found.close()
})

it('shows nothing in a payment that was shown in a recovery, and is found again all the same', async () => {
  const signed = new Map<string, Uint8Array>()
  const shown = new Set<string>()
  const source = {
    reissue: async (request: Uint8Array) => {
      shown.add(toHex(request))
      return signed.get(toHex(request)) ?? null
    },
    isSpent: async () => false,
    gap: 4,
    isAnonymous: true,
  }
  const first = await open('first')
  await first.recover(change, source)
  expect(shown.size).toBe(4)
  const requests = await first.request(mint, 4)
  await first.receive(
    mint,
    requests.map(({ counter, request }) => ({ counter, response: sign(mintKeys, request) })),
  )
  const spend = await first.spend({ issuers: [mint], count: 4, innerRequestHash: randomBytes(32), change })
  for (const request of spend.changeRequests) {
    expect(shown.has(toHex(request))).toBe(false)
    signed.set(toHex(request), sign(changeKeys, request))
  }
  await first.close()

  const second = await open('second')
  expect(await second.recover(change, { ...source, atLeast: 4 })).toBe(4)
  await second.close()
})
