import { beforeAll, describe, expect, it } from 'vitest'
import { readPrivateKey, type TokenKeyPair } from '../../infra/inference/tokens/blindRsa/keys.ts'
import { decodeTokenRequest, issueToken } from '../../infra/inference/tokens/privacyPass/issuance.ts'
import type { Token } from '../../infra/inference/tokens/privacyPass/token.ts'
import { deriveSecrets } from '../../infra/inference/tokens/wallet/deriveSecrets.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { hasLoopbackNet } from './addressedFetch.ts'
import { blindingBetween } from './blinding.ts'
import { type Asked, type Client, openClient } from './clients.ts'
import { judge, type RoleView } from './facts.ts'
import { paymentsOf, purchasesOf, type SeenPayment } from './issuances.ts'
import { type Role, roles, startTappedNetwork } from './network.ts'
import { exchangesOf, observe } from './observe.ts'
import { openWith } from './open.ts'
import { restOf } from './readHttp.ts'
import { mentions, viewOf } from './search.ts'
import { table } from './table.ts'

const asked: Asked[] = []
const clients: Client[] = []
const views = new Map<Role, RoleView>()
let payments: readonly SeenPayment[] = []

const viewFor = (role: Role): RoleView => {
  const view = views.get(role)
  if (view === undefined) throw new InvariantError('A role was not recorded.', { role })
  return view
}

/** The only file of a role in one of its folders. */
function fileOf(role: Role, folder: string): string {
  const found = [...viewFor(role).recording.files].find(([path]) => path.startsWith(`${folder}/`))
  return found?.[1].toString('utf8').trim() ?? ''
}

/** The private keys that sign tokens, out of the files of those who have them. */
const mintKey = (): TokenKeyPair => {
  const { privateKey } = JSON.parse(fileOf('mint', 'keys')) as { privateKey: string }
  return readPrivateKey(Buffer.from(privateKey, 'base64'))
}
const changeKey = (): TokenKeyPair => readPrivateKey(Buffer.from(fileOf('gateway', 'change'), 'base64'))

const isOf = (pair: TokenKeyPair) => (token: Token) => Buffer.from(token.tokenKeyId).equals(pair.publicKey.id)
const spentTokens = () => payments.flatMap(({ tokens }) => tokens)

// Without addresses of their own, clients could not be told apart by anybody.
describe.runIf(await hasLoopbackNet())('complete views (needs 127.0.0.0/8 to be local, as on Linux)', () => {
  // Five clients, one after the other, each of whom asks both models, in all price classes, and acts on each answer.
  beforeAll(async () => {
    const network = await startTappedNetwork()
    try {
      for (let index = 0; index < 5; index++) {
        const client = await openClient(network, index)
        clients.push(client)
        await client.ready()
        for (const [kind, maxTokens, stream] of [
          ['private', 3, false],
          ['anonymized', 20, false],
          ['anonymized', 90, true],
          ['private', 60, true],
        ] as const)
          asked.push(await client.ask({ kind, maxTokens, stream, act: true }))
        expect(client.troubles).toEqual([])
        await client.close()
      }
      for (const [role, recording] of await network.record()) {
        const observed = await observe(recording)
        views.set(role, { recording, observed, search: viewOf(recording, observed) })
      }
      payments = await paymentsOf(viewFor('gateway').recording)
    } finally {
      await network.close()
    }
  })

  describe('hold what the table says', () => {
    it.each(table.map(([coalition, expected]) => [coalition.join(' and '), coalition, expected] as const))(
      '%s',
      (_, coalition, expected) => {
        expect(judge(coalition, views, asked)).toEqual(expected)
      },
    )
  })

  // What the table rests on would hold of a recorder that is blind, too.
  describe('are complete', () => {
    it('every role has heard of every request or of every client', () => {
      for (const role of roles) {
        const { requests, deeds } = viewFor(role).observed
        expect(requests.length + deeds.length, role).toBeGreaterThanOrEqual(clients.length)
      }
    })

    it('every byte that passed is in a message that was read', () => {
      for (const role of roles)
        for (const connection of viewFor(role).recording.connections)
          expect(restOf(connection).length, connection.link).toBe(0)
    })

    it('a value that a role logs, in any usual encoding, is found', () => {
      const [{ prompt } = { prompt: '' }] = asked
      const { recording, observed } = viewFor('mint')
      const withLog = (line: string) => viewOf({ ...recording, logs: [line] }, observed)
      const bytes = Buffer.from(prompt)
      for (const encoding of ['utf8', 'hex', 'base64', 'base64url'] as const)
        expect(mentions(withLog(`{"it":"${bytes.toString(encoding)}"}`), prompt), encoding).toBe(true)
      const leaky = new Map(views).set('mint', { recording, observed, search: withLog(prompt) })
      expect(() => judge(['mint'], leaky, asked)).toThrow(/neither all nor nothing/)
    })

    it('a mark on the requests of one client is found', () => {
      const { recording, observed, search } = viewFor('gateway')
      const requests = observed.requests.map((each, at) =>
        asked[at]?.client === 2 ? { ...each, traits: [...each.traits, 'accept-language: tlh'] } : each,
      )
      const all = new Map(views).set('gateway', { recording, observed: { ...observed, requests }, search })
      expect(() => judge(['gateway'], all, asked)).toThrow(/recurs/)
    })
  })

  describe('keep apart what is sealed', () => {
    it('the outer seal opens for the gateway alone, the inner one for the node alone', async () => {
      const sealed = {
        gateway: exchangesOf(viewFor('relay').recording, 'client-relay'),
        node: exchangesOf(viewFor('gateway').recording, 'gateway-node'),
      }
      for (const addressee of ['gateway', 'node'] as const)
        for (const { request, response } of sealed[addressee].filter((each) => each.request.body.length > 0))
          for (const role of roles) {
            const opened = await openWith(viewFor(role).recording.keys, request.body, response.body)
            expect(opened !== undefined, `${role} opens what is for the ${addressee}`).toBe(
              role === addressee,
            )
          }
    })

    it('what comes back of a payment shows in no length: the end of an answer is as long as what was paid', () => {
      const lengths = new Map<number, Set<number>>()
      for (const { tokens, trailers } of payments)
        lengths.set(tokens.length, (lengths.get(tokens.length) ?? new Set()).add(trailers))
      for (const of of lengths.values()) expect(of.size).toBe(1)
      const { requests } = viewFor('gateway').observed
      const costs = requests.filter(({ known }) => known.paid === '16').map(({ known }) => known.used)
      expect(new Set(costs).size).toBeGreaterThan(1)
    })
  })

  describe('do not link a token to its purchase, whoever has the keys', () => {
    it('nothing that the mint saw or signed is anywhere in what the gateway has', () => {
      const purchases = purchasesOf(viewFor('mint').recording)
      expect(purchases.length).toBe(clients.length * 48)
      const { search } = viewFor('gateway')
      for (const { blindedMessage, blindSignature } of purchases)
        for (const value of [blindedMessage, blindSignature])
          for (const at of [0, 128]) expect(mentions(search, value.subarray(at, at + 128))).toBe(false)
    })

    it('all tokens are of the same two keys and for the same two challenges: the mint and change', () => {
      const kinds = spentTokens().map(({ tokenKeyId, challengeDigest }) =>
        Buffer.concat([tokenKeyId, challengeDigest]).toString('hex'),
      )
      expect(new Set(kinds).size).toBe(2)
    })

    it('every purchase can have become every token: for each pair there is one blinding that makes it so', () => {
      const pair = mintKey()
      const purchases = purchasesOf(viewFor('mint').recording)
      // The mint's own work, done again with its own key.
      for (const { request, blindSignature } of purchases.slice(0, 5))
        expect(Buffer.from(issueToken([pair], decodeTokenRequest(request)))).toEqual(
          Buffer.from(blindSignature),
        )

      const tokens = spentTokens()
        .filter(isOf(pair))
        .filter((_, at) => at % 3 === 0)
      let own = 0
      for (const { address, seed } of clients) {
        const bought = purchases.filter((each) => each.address === address).slice(0, 6)
        for (const token of tokens)
          for (const [counter, purchase] of bought.entries()) {
            const blinding = blindingBetween(pair.publicKey, purchase, token)
            expect(blinding).toBeDefined()
            // Which of them it was, only the client can tell: it drew the blinding.
            const { publicKey } = pair
            const { challengeDigest } = token
            const secrets = deriveSecrets({ seed, publicKey, challengeDigest, counter })
            const isOwn = Buffer.from(secrets.nonce).equals(token.nonce)
            expect(blinding === secrets.blind).toBe(isOwn)
            if (isOwn) own += 1
          }
      }
      expect(own).toBeGreaterThan(0)
    })

    it('nor does the gateway recognise its own change, with its own key', () => {
      const pair = changeKey()
      const issued = payments.flatMap(({ change }) => change.slice(0, 1))
      const spent = spentTokens().filter(isOf(pair))
      expect(spent.length).toBeGreaterThan(0)
      for (const token of spent.slice(0, 20))
        for (const each of issued) expect(blindingBetween(pair.publicKey, each, token)).toBeDefined()
    })

    it('what cannot belong together is told apart, so the argument could have failed', () => {
      const pair = mintKey()
      const [first, second] = purchasesOf(viewFor('mint').recording)
      const own = spentTokens().find(isOf(pair))
      const other = spentTokens().find(isOf(changeKey()))
      if (!first || !second || !own || !other) throw new InvariantError('The test bought and spent tokens.')
      expect(blindingBetween(pair.publicKey, first, own)).toBeDefined()
      expect(blindingBetween(pair.publicKey, first, other)).toBeUndefined()
      const mixed = { blindedMessage: first.blindedMessage, blindSignature: second.blindSignature }
      expect(blindingBetween(pair.publicKey, mixed, own)).toBeUndefined()
    })
  })
})
