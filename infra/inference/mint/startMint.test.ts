import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type IssuerConfig,
  TokenChallenge as OracleChallenge,
  publicVerif,
  sendTokenRequest,
} from '@cloudflare/privacypass-ts'
import { describe, expect, it } from 'vitest'
import { mediaTypes, routes } from '../protocol/network/routes.ts'
import { readTokenKey } from '../tokens/blindRsa/keys.ts'
import { finalizeToken } from '../tokens/privacyPass/issuance.ts'
import { createRedeemer } from '../tokens/privacyPass/redemption.ts'
import { encodeToken } from '../tokens/privacyPass/token.ts'
import { gatewayChallenge } from '../tokens/privacyPass/tokenChallenge.ts'
import {
  balanceOf,
  buy,
  bytesOf,
  codeOf,
  currentKey,
  finish,
  listedKeys,
  mintIn,
  newAccount,
  newFolder,
  newRequests,
} from './mint.fixture.ts'

const challenge = gatewayChallenge({ issuer: 'mint.example', gateway: 'gateway.example' })
const readBytes = async (answer: Response) => Buffer.from(await answer.arrayBuffer())
const files = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())

describe('buying', () => {
  it('gives as many tokens as were asked for, which a gateway takes, and charges one for each', async () => {
    const account = newAccount()
    const mint = await mintIn(newFolder(), { accounts: { [account.hash]: 300 } })
    const publicKey = await currentKey(mint.url)
    const requests = newRequests(publicKey, 256)
    const answer = await buy(mint.url, account.key, bytesOf(requests))
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, mediaTypes.tokenResponse])
    const bytes = Buffer.from(await answer.arrayBuffer())
    const redeem = createRedeemer([{ publicKey, challenge }])
    const nullifiers = requests.map(
      (request, at) =>
        redeem(encodeToken(finalizeToken(request, bytes.subarray(256 * at, 256 * at + 256)))).nullifier,
    )
    expect(new Set(nullifiers.map((nullifier) => Buffer.from(nullifier).toString('hex'))).size).toBe(256)
    expect(await balanceOf(mint.url, account.key)).toBe(44)
  })

  it('interoperates with the client of privacypass-ts', async () => {
    const mint = await mintIn(newFolder(), { faucet: 2 })
    const { key } = newAccount()
    const at = `${mint.url}${routes.mint.issuerDirectory}`
    const directory = await fetch(at)
    expect(directory.headers.get('content-type')).toBe(mediaTypes.issuerDirectory)
    const config = (await directory.json()) as IssuerConfig
    const spki = Buffer.from(config['token-keys'].at(-1)?.['token-key'] ?? '', 'base64url')
    const client = new publicVerif.Client(publicVerif.BlindRSAMode.PSS)
    const request = await client.createTokenRequest(
      new OracleChallenge(2, 'mint.example', new Uint8Array(0), ['gateway.example']),
      Uint8Array.from(spki),
    )
    const response = await sendTokenRequest(
      request.serialize(),
      new URL(config['issuer-request-uri'], at),
      new Headers({ authorization: `Bearer ${key}` }),
    )
    const token = await client.finalize(client.deserializeTokenResponse(response))
    const redeemed = createRedeemer([{ publicKey: readTokenKey(spki), challenge }])(token.serialize())
    expect(redeemed.nullifier).toHaveLength(32)
    expect(await balanceOf(mint.url, key)).toBe(1)
  })

  it('gives the same again for nothing: at once, in part, in another order, after a restart', async () => {
    const state = newFolder()
    const { key } = newAccount()
    const mint = await mintIn(state, { faucet: 10 })
    const requests = newRequests(await currentKey(mint.url), 8)
    const body = bytesOf(requests)
    const answers = await Promise.all([1, 2, 3, 4].map(() => buy(mint.url, key, body)))
    const bytes = await Promise.all(answers.map(readBytes))
    for (const each of bytes) expect(each).toEqual(bytes[0])
    expect(await balanceOf(mint.url, key)).toBe(2)
    await mint.close()

    const again = await mintIn(state, { faucet: 10 })
    expect(await readBytes(await buy(again.url, key, body))).toEqual(bytes[0])
    const reversed = requests.toReversed()
    expect(await finish(reversed, await buy(again.url, key, bytesOf(reversed)))).toBe(8)
    const some = requests.slice(2, 4)
    expect(await finish(some, await buy(again.url, key, bytesOf([...some])))).toBe(2)
    const twice = [...some, ...some]
    expect(await finish(twice, await buy(again.url, key, bytesOf(twice)))).toBe(4)
    expect(await balanceOf(again.url, key)).toBe(2)
  })

  it('charges what is asked for twice in one request once', async () => {
    const { key } = newAccount()
    const mint = await mintIn(newFolder(), { faucet: 1 })
    const [request] = newRequests(await currentKey(mint.url), 1)
    const twice = request === undefined ? [] : [request, request]
    expect(await finish(twice, await buy(mint.url, key, bytesOf(twice)))).toBe(2)
    expect(await balanceOf(mint.url, key)).toBe(0)
  })

  it('lets nobody have for nothing what another account paid for', async () => {
    const [first, second] = [newAccount(), newAccount()]
    const mint = await mintIn(newFolder(), { accounts: { [first.hash]: 4, [second.hash]: 3 } })
    const body = bytesOf(newRequests(await currentKey(mint.url), 4))
    expect((await buy(mint.url, first.key, body)).status).toBe(200)
    expect((await buy(mint.url, second.key, body)).status).toBe(402)
    expect((await buy(mint.url, second.key, body.subarray(0, 259 * 3))).status).toBe(200)
    expect(await balanceOf(mint.url, second.key)).toBe(0)
  })

  it('gives all that was asked for or nothing, however many ask at once', async () => {
    const account = newAccount()
    const mint = await mintIn(newFolder(), {
      accounts: { [account.hash]: 10 },
      limits: { requestsOfAccount: 100 },
    })
    const publicKey = await currentKey(mint.url)
    const batches = Array.from({ length: 12 }, () => bytesOf(newRequests(publicKey, 3)))
    const answers = await Promise.all(batches.map((body) => buy(mint.url, account.key, body)))
    const statuses = answers.map(({ status }) => status)
    expect([statuses.filter((status) => status === 200).length, new Set(statuses)]).toEqual([
      3,
      new Set([200, 402]),
    ])
    const refused = answers.find(({ status }) => status === 402)
    expect(await refused?.json()).toMatchObject({
      error: {
        code: 'account_empty',
        type: 'insufficient_quota',
        rialto: { role: 'mint', limit: { tokens: 1, asked: 3 } },
      },
    })
    expect(await balanceOf(mint.url, account.key)).toBe(1)
  })

  it('keeps no account key, no blinded message and no address, and its files to itself', async () => {
    const state = newFolder()
    const { key, hash } = newAccount()
    const lines: string[] = []
    const log = (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`)
    const mint = await mintIn(state, { faucet: 4, logger: { debug: log, info: log, warn: log, error: log } })
    const requests = newRequests(await currentKey(mint.url), 4)
    await finish(requests, await buy(mint.url, key, bytesOf(requests)))
    const metrics = await (await fetch(`${mint.url}/metrics`)).text()
    await mint.close()
    const written = files(state).map(({ parentPath, name }) => {
      const path = join(parentPath, name)
      expect(statSync(path).mode & 0o077).toBe(0)
      return readFileSync(path, 'latin1')
    })
    const everything = [...written, metrics, ...lines].join('\n')
    const secrets = requests.flatMap(({ request: { blindedMessage } }) => {
      const bytes = Buffer.from(blindedMessage)
      return [bytes.toString('hex'), bytes.toString('base64url'), bytes.toString('base64')]
    })
    for (const secret of [key, Buffer.from(key, 'base64url').toString('hex'), ...secrets])
      expect(everything).not.toContain(secret.slice(0, 40))
    expect(`${metrics}${lines}`).not.toContain(hash.slice(0, 16))
    expect(metrics).toContain('rialto_mint_requests_total{route="token-requests",outcome="ok"} 1')
    expect(lines).toHaveLength(2)
  })
})

describe('a mint', () => {
  it('uses its folder alone', async () => {
    const state = newFolder()
    await mintIn(state)
    await expect(mintIn(state)).rejects.toMatchObject({ code: 'LOG_LOCKED' })
  })

  it('starts again after it was closed, and after a start that failed', async () => {
    const state = newFolder()
    const first = await mintIn(state)
    const port = Number(new URL(first.url).port)
    const other = newFolder()
    await expect(mintIn(other, { port })).rejects.toMatchObject({ code: 'HTTP_LISTEN' })
    await mintIn(other)
    await first.close()
    await mintIn(state, { port })
  })

  it('does not start with a ledger that was edited', async () => {
    const state = newFolder()
    const { hash } = newAccount()
    const mint = await mintIn(state, { accounts: { [hash]: 5 } })
    await mint.close()
    const path = join(state, 'ledger.log')
    writeFileSync(path, readFileSync(path, 'utf8').replace(`"${hash}",5,`, `"${hash}",9,`))
    await expect(mintIn(state)).rejects.toMatchObject({ code: 'LOG_CORRUPT' })
  })

  it('tells that it cannot record, and sells nothing then', async () => {
    const state = newFolder()
    const { key, hash } = newAccount()
    const mint = await mintIn(state, { accounts: { [hash]: 5 } })
    const publicKey = await currentKey(mint.url)
    expect((await fetch(`${mint.url}/healthz`)).status).toBe(200)
    // Somebody else writes to the ledger, which it notices before it writes itself.
    writeFileSync(join(state, 'ledger.log'), 'x', { flag: 'a' })
    for (let time = 0; time < 2; time++) {
      const answer = await buy(mint.url, key, bytesOf(newRequests(publicKey, 1)))
      expect([answer.status, await codeOf(answer)]).toEqual([503, 'state_unavailable'])
    }
    const health = await fetch(`${mint.url}/healthz`)
    expect([health.status, await health.json()]).toEqual([
      503,
      { status: 'unavailable', reason: 'What is sold cannot be recorded.' },
    ])
  })

  it('lists its keys with their times', async () => {
    const mint = await mintIn(newFolder())
    const now = Date.now() / 1_000
    const keys = await listedKeys(mint.url)
    expect(keys).toHaveLength(1)
    const day = 86_400
    for (const key of keys) {
      expect(Object.keys(key)).toEqual(['token-type', 'token-key', 'not-before', 'not-after'])
      expect(key['not-before']).toBeLessThanOrEqual(now)
      expect(key['not-after'] - key['not-before']).toBe(60 * day)
    }
  })

  it.each([
    ['lets what is under way end', 3_600_000],
    ['cuts what is under way, which is paid and given after a restart', 0],
  ])('%s when it is closed', async (_, grace) => {
    const state = newFolder()
    const { key } = newAccount()
    const mint = await mintIn(state, { faucet: 256 })
    const requests = newRequests(await currentKey(mint.url), 256)
    const answer = buy(mint.url, key, bytesOf(requests)).then(
      (whole) => finish(requests, whole),
      () => 'cut' as const,
    )
    while ((await balanceOf(mint.url, key)) !== 0) await new Promise(setImmediate)
    await mint.close(grace)
    expect(await answer).toBe(grace > 0 ? 256 : 'cut')
    const again = await mintIn(state, { faucet: 256 })
    expect(await finish(requests, await buy(again.url, key, bytesOf(requests)))).toBe(256)
    expect(await balanceOf(again.url, key)).toBe(0)
  })
})
