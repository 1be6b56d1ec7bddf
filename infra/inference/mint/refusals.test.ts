import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { routes } from '../protocol/network/routes.ts'
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
import { startMint } from './startMint.ts'

describe('a mint refuses', () => {
  it.each([
    ['nothing', () => Buffer.alloc(0), 422, 'token_request_refused'],
    ['less than a request', () => randomBytes(258), 422, 'token_request_refused'],
    ['more than a request', () => randomBytes(260), 422, 'token_request_refused'],
    [
      'another token type',
      () => Buffer.concat([Buffer.from([0, 1]), randomBytes(257)]),
      422,
      'token_request_refused',
    ],
    ['more than it sells at once', () => randomBytes(259 * 257), 413, 'too_large'],
  ] as const)('%s', async (_, body, status, code) => {
    const { key, hash } = newAccount()
    const mint = await mintIn(newFolder(), { accounts: { [hash]: 300 } })
    const answer = await buy(mint.url, key, body())
    expect([answer.status, await codeOf(answer)]).toEqual([status, code])
    expect(await balanceOf(mint.url, key)).toBe(300)
  })

  it('a request that cannot be signed, with all that came with it, for free', async () => {
    const { key, hash } = newAccount()
    const mint = await mintIn(newFolder(), { accounts: { [hash]: 9 } })
    const publicKey = await currentKey(mint.url)
    const good = bytesOf(newRequests(publicKey, 1))
    const bad = (change: (bytes: Buffer) => void) => {
      const bytes = Buffer.from(good)
      change(bytes)
      return bytes
    }
    const modulus = Buffer.from(publicKey.n.toString(16).padStart(512, '0'), 'hex')
    for (const one of [
      bad((bytes) => bytes.writeUInt8((bytes[2] ?? 0) ^ 1, 2)),
      bad((bytes) => bytes.fill(0, 3)),
      bad((bytes) => bytes.fill(0, 3).writeUInt8(1, 258)),
      bad((bytes) => modulus.copy(bytes, 3)),
      bad((bytes) => bytes.fill(255, 3)),
    ]) {
      expect((await buy(mint.url, key, one, routes.mint.tokenRequest)).status).toBe(422)
      expect((await buy(mint.url, key, Buffer.concat([good, one]))).status).toBe(422)
    }
    expect((await buy(mint.url, key, Buffer.concat([good, good]), routes.mint.tokenRequest)).status).toBe(413)
    expect(await balanceOf(mint.url, key)).toBe(9)
  })

  it.each([
    ['GET', routes.mint.tokenRequest, 405, 'method_not_allowed'],
    ['DELETE', routes.mint.tokenRequests, 405, 'method_not_allowed'],
    ['POST', routes.mint.account, 405, 'method_not_allowed'],
    ['POST', routes.mint.issuerDirectory, 405, 'method_not_allowed'],
    ['GET', '/', 404, 'not_found'],
    ['GET', '/keys', 404, 'not_found'],
    ['GET', `${routes.mint.account}?x`, 404, 'not_found'],
  ])('%s %s', async (method, path, status, code) => {
    const mint = await mintIn(newFolder())
    const answer = await fetch(`${mint.url}${path}`, { method })
    expect([answer.status, await codeOf(answer)]).toEqual([status, code])
    if (status === 405) expect(answer.headers.get('allow')).toMatch(/^(GET|POST)$/)
  })

  it('a body that is no token request by its own word', async () => {
    const { key } = newAccount()
    const mint = await mintIn(newFolder(), { faucet: 1 })
    const answer = await fetch(`${mint.url}${routes.mint.tokenRequest}`, {
      method: 'POST',
      body: bytesOf(newRequests(await currentKey(mint.url), 1)),
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/octet-stream' },
    })
    expect([answer.status, await codeOf(answer)]).toEqual([415, 'media_type'])
  })

  it('more at once than its limits, of one account and of all', async () => {
    const [first, second] = [newAccount(), newAccount()]
    const mint = await mintIn(newFolder(), {
      accounts: { [first.hash]: 1_000, [second.hash]: 1_000 },
      limits: { requestsOfAccount: 2, requests: 3 },
    })
    const publicKey = await currentKey(mint.url)
    const statuses = async (accounts: readonly { key: string }[]) => {
      const body = bytesOf(newRequests(publicKey, 40))
      const answers = await Promise.all(accounts.map(({ key }) => buy(mint.url, key, body)))
      return answers.map(({ status }) => status).sort()
    }
    expect(await statuses([first, first, first])).toEqual([200, 200, 429])
    expect(await statuses([first, first, second, second])).toEqual([200, 200, 200, 429])
    expect(await statuses([first, second])).toEqual([200, 200])
  })

  it.each([
    [{ name: 'mint example' }, 'name'],
    [{ faucet: -1 }, 'faucet'],
    [{ faucet: 0.5 }, 'faucet'],
    [{ faucet: 1, faucetAccountsPerHour: Number.NaN }, 'faucet'],
    [{ keyLifetime: 1_000 }, 'lifetime'],
    [{ accounts: { me: 1 } }, 'account'],
    [{ accounts: { [newAccount().hash]: -1 } }, 'account'],
    [{ accounts: { [newAccount().hash.toUpperCase()]: 1 } }, 'account'],
  ])('options that make no sense: %j', async (options, what) => {
    const error = await startMint({ state: newFolder(), name: 'mint.example', ...options }).catch(
      (thrown) => thrown,
    )
    expect(error).toMatchObject({ code: 'MINT_OPTIONS' })
    expect(error.message.toLowerCase()).toContain(what)
  })
})
