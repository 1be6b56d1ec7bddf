import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { generateTokenKey, type TokenKeyPair } from '../blindRsa/keys.ts'
import { toHex } from '../bytes.ts'
import { decodeTokenRequest, encodeTokenResponse, issueToken } from '../privacyPass/issuance.ts'
import { gatewayChallenge } from '../privacyPass/tokenChallenge.ts'
import { openWallet, type Wallet, type WalletIssuer } from './openWallet.ts'

const [mintKeys, changeKeys] = await Promise.all([generateTokenKey(), generateTokenKey()])
const issuerOf = ({ publicKey }: TokenKeyPair, issuer: string): WalletIssuer => ({
  publicKey,
  challenge: gatewayChallenge({ issuer, gateway: 'gateway.example' }),
})
const mint = issuerOf(mintKeys, 'mint.example')
const change = issuerOf(changeKeys, 'gateway.example')

let folder: string
let wallet: Wallet
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-wallet-'))
  wallet = await openWallet({ path: join(folder, 'wallet'), secret: { kind: 'seed', seed: randomBytes(32) } })
})
afterEach(async () => {
  await wallet.close()
  rmSync(folder, { recursive: true, force: true })
})

async function buy(count: number, issuer = mint, keys = mintKeys): Promise<void> {
  const requests = await wallet.request(issuer, count)
  const sign = (request: Uint8Array) => encodeTokenResponse(issueToken([keys], decodeTokenRequest(request)))
  await wallet.receive(
    issuer,
    requests.map(({ counter, request }) => ({ counter, response: sign(request) })),
  )
}

const spending = (count: number) => ({
  issuers: [change, mint],
  count,
  innerRequestHash: randomBytes(32),
  change,
})

describe('a spend', () => {
  it('takes all that it has of an issuer that is named first before any of the next', async () => {
    await buy(3)
    await buy(3, change, changeKeys)
    for (const issuers of [
      [change, mint],
      [mint, change],
      [mint, mint, change],
    ]) {
      const { id, tokens } = await wallet.spend({ ...spending(4), issuers })
      const [named, next] = issuers[0] === mint ? [mint, change] : [change, mint]
      expect([wallet.balance(named).spending, wallet.balance(next).spending]).toEqual([3, 1])
      expect(new Set(tokens.map(toHex)).size).toBe(4)
      await wallet.release(id)
    }
  })

  it('draws at random what it offers, also after tokens came back that were offered before', async () => {
    await buy(12)
    const offered = new Set<string>()
    const first = await wallet.spend(spending(1))
    await wallet.release(first.id)
    // That each of 60 is the same one of twelve, as it was when the first ready one was taken, is one in 12^60.
    for (let round = 0; round < 60; round++) {
      const { id, tokens } = await wallet.spend(spending(1))
      for (const token of tokens) offered.add(toHex(token))
      await wallet.release(id)
    }
    expect(offered.size).toBeGreaterThan(1)
    expect(wallet.balance(mint)).toEqual({ requested: 0, ready: 12, spending: 0, spent: 0 })
  })
})
