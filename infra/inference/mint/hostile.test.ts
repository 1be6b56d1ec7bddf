import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { connectRaw, statusOf } from '../../http/rawClient.fixture.ts'
import { mediaTypes, routes } from '../protocol/network/routes.ts'
import {
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

const head = (path: string, key: string, more: string) =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-type: ${mediaTypes.tokenRequest}\r\n${more}\r\n\r\n`

describe('whatever is sent to a mint', () => {
  it('as token requests, is signed whole or refused, and paid just when it is signed', async () => {
    const { key, hash } = newAccount()
    const mint = await mintIn(newFolder(), { accounts: { [hash]: 1_000_000 } })
    const publicKey = await currentKey(mint.url)
    const good = newRequests(publicKey, 4).map((request) => bytesOf([request]))
    const request = fc.oneof(
      { weight: 6, arbitrary: fc.nat(3).map((at) => good[at] ?? Buffer.alloc(0)) },
      fc.uint8Array({ minLength: 259, maxLength: 259 }).map((bytes) => Buffer.from(bytes)),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      fc.tuple(fc.nat(3), fc.nat(2), fc.integer({ min: 1, max: 255 })).map(([which, at, mask]) => {
        const bytes = Buffer.from(good[which] ?? [])
        bytes.writeUInt8((bytes[at] ?? 0) ^ mask, at)
        return bytes
      }),
    )
    const paid = new Set<string>()
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 6 }), async (parts) => {
        const body = Buffer.concat(parts)
        const answer = await buy(mint.url, key, body)
        const bytes = Buffer.from(await answer.arrayBuffer())
        const isGood = parts.length > 0 && parts.every((part) => good.includes(part))
        if (isGood) {
          expect([answer.status, bytes.length]).toEqual([200, 256 * parts.length])
          for (const part of parts) paid.add(part.toString('latin1'))
        } else if (answer.status === 200) {
          // Random bytes below the modulus are a blinded message like any other, if they name the key.
          expect(bytes.length).toBe((body.length / 259) * 256)
          for (let at = 0; at < body.length; at += 259)
            paid.add(body.subarray(at, at + 259).toString('latin1'))
        } else expect(answer.status).toBe(422)
        expect(await balanceOf(mint.url, key)).toBe(1_000_000 - paid.size)
      }),
      { numRuns: 150 },
    )
  })

  it('as a path or an authorization, is answered with what is documented', async () => {
    const mint = await mintIn(newFolder())
    const word = fc.string({
      unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
      maxLength: 60,
    })
    const path = fc.oneof(
      fc
        .array(fc.oneof(fc.constantFrom('directories', '..', '%2e', 'latest', '1', ''), word), {
          maxLength: 5,
        })
        .map((parts) => `/${parts.join('/')}`),
      fc.constantFrom(...Object.values(routes.mint).filter((each) => typeof each === 'string')),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('GET', 'POST', 'HEAD'),
        path,
        word,
        async (method, target, authorization) => {
          const client = await connectRaw(mint.url)
          client.send(
            `${method} ${target} HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`,
          )
          const { text } = await client.ended()
          expect([200, 400, 401, 404, 405]).toContain(statusOf(text))
        },
      ),
      { numRuns: 200 },
    )
  })

  it('slowly, or not to its end, costs nothing', async () => {
    const { key, hash } = newAccount()
    const mint = await mintIn(newFolder(), {
      accounts: { [hash]: 10 },
      limits: { head: 300, uploadStall: 300 },
    })
    const body = bytesOf(newRequests(await currentKey(mint.url), 2))
    const stalled = await connectRaw(mint.url)
    stalled.send(head(routes.mint.tokenRequests, key, `content-length: ${body.length}`))
    stalled.send(body.subarray(0, 400))
    expect(statusOf(await stalled.until('body_stalled'))).toBe(408)
    const slow = await connectRaw(mint.url)
    slow.send(head(routes.mint.tokenRequests, key, `content-length: ${body.length}`))
    const drip = setInterval(() => slow.send('a'), 20)
    expect(statusOf(await slow.until('body_stalled'))).toBe(408)
    clearInterval(drip)
    const headless = await connectRaw(mint.url)
    headless.send('POST /token-requests HTTP/1.1\r\nauthorization: ')
    expect(statusOf((await headless.ended()).text)).toBe(408)
    for (const end of ['end', 'resetAndDestroy'] as const) {
      const client = await connectRaw(mint.url)
      client.send(head(routes.mint.tokenRequests, key, `content-length: ${body.length}`))
      client.send(body.subarray(0, 400))
      client.socket[end]()
      await client.ended()
    }
    expect(await balanceOf(mint.url, key)).toBe(10)
    for (const client of [stalled, slow]) client.socket.destroy()
  })

  it('in chunks of a byte each, is what it is', async () => {
    const { key } = newAccount()
    const mint = await mintIn(newFolder(), { faucet: 2 })
    const requests = newRequests(await currentKey(mint.url), 2)
    const client = await connectRaw(mint.url)
    client.send(head(routes.mint.tokenRequests, key, 'transfer-encoding: chunked'))
    for (const byte of bytesOf(requests)) client.send(Buffer.from([0x31, 13, 10, byte, 13, 10]))
    client.send('0\r\n\r\n')
    const text = await client.until(/\r\n\r\n.{512}$/s)
    expect(statusOf(text)).toBe(200)
    const signatures = Buffer.from(text.slice(-512), 'latin1')
    expect(await finish(requests, new Response(signatures))).toBe(2)
    client.socket.destroy()
  })

  it('by somebody who goes away is paid and waits for him', async () => {
    const { key } = newAccount()
    const mint = await mintIn(newFolder(), { faucet: 256 })
    const requests = newRequests(await currentKey(mint.url), 256)
    const client = await connectRaw(mint.url)
    const body = bytesOf(requests)
    client.send(head(routes.mint.tokenRequests, key, `content-length: ${body.length}`))
    client.send(body)
    while ((await balanceOf(mint.url, key)) !== 0) await new Promise(setImmediate)
    client.socket.resetAndDestroy()
    expect(await finish(requests, await buy(mint.url, key, body))).toBe(256)
    expect(await balanceOf(mint.url, key)).toBe(0)
  })

  it('as a token to be given again is 404 unless the same account paid for it', async () => {
    const [first, second] = [newAccount(), newAccount()]
    const mint = await mintIn(newFolder(), { accounts: { [first.hash]: 5, [second.hash]: 5 } })
    const requests = newRequests(await currentKey(mint.url), 1)
    const again = (key: string, body: Buffer) => buy(mint.url, key, body, routes.mint.tokenReissue)
    expect((await again(first.key, bytesOf(requests))).status).toBe(404)
    expect((await buy(mint.url, first.key, bytesOf(requests))).status).toBe(200)
    expect(await finish(requests, await again(first.key, bytesOf(requests)))).toBe(1)
    expect((await again(second.key, bytesOf(requests))).status).toBe(404)
    expect((await again(first.key, randomBytes(259))).status).toBe(404)
    expect([await balanceOf(mint.url, first.key), await balanceOf(mint.url, second.key)]).toEqual([4, 5])
  })
})
