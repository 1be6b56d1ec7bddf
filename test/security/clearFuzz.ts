import { createHash, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createAccountKey } from '../../infra/inference/client/mint.ts'
import { mediaTypes } from '../../infra/inference/protocol/network/routes.ts'
import type { Client } from './client.ts'
import { rawExchange } from './rawExchange.ts'
import type { Roles } from './roles.ts'

/** What mint and proxy are asked in the clear, and do not take. */
export function clearFuzz(at: () => { readonly roles: Roles; readonly client: Client }, seed: number): void {
  const run = <Values>(property: fc.IAsyncProperty<Values>, numRuns: number) =>
    fc.assert(property, { seed, numRuns, endOnFailure: true })

  describe('what a mint cannot sign', () => {
    it('is refused, and costs the account nothing', async () => {
      const { roles, client } = at()
      const account = { authorization: `Bearer ${createAccountKey()}` }
      const { mint } = roles
      const left = async () => (await fetch(`${mint.url}/account`, { headers: account })).text()
      const had = await left()
      const issuer = (await client.directory()).directory.mints[0]?.keys[0]?.key ?? ''
      const keyId = createHash('sha256').update(Buffer.from(issuer, 'base64')).digest().at(-1) ?? 0
      const tooLarge = Buffer.concat([Buffer.of(0, 2, keyId), Buffer.alloc(256, 0xff)])
      const bodies = fc.oneof(
        fc.uint8Array({ maxLength: 600 }).filter((bytes) => bytes[0] !== 0 || bytes[1] !== 2),
        // Blinded messages that are no residue: of the modulus's length and above it, zero, and one.
        fc.constantFrom(
          tooLarge,
          Buffer.concat([Buffer.of(0, 2, keyId), Buffer.alloc(256)]),
          Buffer.concat([Buffer.of(0, 2, keyId), Buffer.alloc(255), Buffer.of(1)]),
          Buffer.concat([Buffer.of(0, 2, keyId ^ 1), Buffer.alloc(256, 7)]),
          Buffer.concat([Buffer.of(0, 1, keyId), Buffer.alloc(256, 7)]),
        ),
        fc.nat(258).map((length) => tooLarge.subarray(0, length)),
      )
      const paths = fc.constantFrom('/token-request', '/token-requests', '/token-reissue')
      await run(
        fc.asyncProperty(bodies, paths, async (body, path) => {
          const answer = await rawExchange(mint.url + path, {
            type: mediaTypes.tokenRequest,
            headers: account,
            body,
          })
          const tooLong = path !== '/token-requests' && body.length > 259
          const expected = tooLong ? 413 : path === '/token-reissue' ? 404 : 422
          expect([path, body.length, answer.status]).toEqual([
            path,
            body.length,
            body.length === 0 ? 422 : expected,
          ])
        }),
        80,
      )
      const much = { type: mediaTypes.tokenRequest, headers: account, body: new Uint8Array(257 * 259) }
      expect((await rawExchange(`${mint.url}/token-requests`, much)).status).toBe(413)
      for (const authorization of [
        '',
        'Bearer',
        'Bearer x',
        `Basic ${randomBytes(32).toString('base64url')}`,
      ])
        expect((await rawExchange(`${mint.url}/token-requests`, { headers: { authorization } })).status).toBe(
          401,
        )
      expect(await left()).toBe(had)
    })
  })

  describe('what a proxy is not asked', () => {
    it('is refused in OpenAI’s shape, and nothing is paid', async () => {
      const { roles } = at()
      const url = `${roles.proxy?.url}/chat/completions`
      const bodies = fc.oneof(
        fc.string({ unit: 'binary', maxLength: 100 }),
        fc.json({ maxDepth: 3 }),
        fc.json({ maxDepth: 2 }).map((json) => json.slice(0, -1)),
        fc
          .record({ model: fc.oneof(fc.string(), fc.integer(), fc.constant(null)) })
          .map((value) => JSON.stringify(value)),
      )
      await run(
        fc.asyncProperty(bodies, async (body) => {
          const answer = await rawExchange(url, { type: 'application/json', body: Buffer.from(body) })
          expect([400, 404]).toContain(answer.status)
          const { error } = JSON.parse(answer.body.replace(/^[0-9a-f]+\r\n|\r\n0\r\n\r\n$/g, '')) as {
            error: Record<string, unknown>
          }
          expect(error).toMatchObject({
            message: expect.any(String),
            type: expect.any(String),
            rialto: { role: 'client' },
          })
        }),
        60,
      )
    })
  })
}
