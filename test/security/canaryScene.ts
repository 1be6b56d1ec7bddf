import { randomInt } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { expect } from 'vitest'
import { deferred } from '../../infra/http/rawClient.fixture.ts'
import { fetchFrom } from './addressedFetch.ts'
import { createSearch } from './canaries.ts'
import { type Client, chat, openClient } from './client.ts'
import { Planted } from './planted.ts'
import { MODEL, type Roles, startRoles } from './roles.ts'
import type { Stores } from './stores.ts'
import { type Asked, beginStream, event } from './upstream.ts'
import { canLookInside, peersOf } from './written.ts'

/** A network that is asked with canaries, and what came of it. */
export type Scene = {
  readonly planted: Planted
  readonly stores: Stores
  readonly roles: Roles
  readonly client: Client
  /** Whence it is asked, and whence tokens are bought: of the two, the relay sees one and the mint the other. */
  readonly asker: string
  readonly buyer: string
  /** Connects from these two, with headers that no client of ours sends. */
  readonly from: typeof globalThis.fetch
  /** Somebody else, who knocks at every door. */
  readonly stranger: typeof globalThis.fetch
  /** The addresses that were seen at each role's port. */
  readonly peers: ReadonlyMap<string, ReadonlySet<string>>
  /** Of all answers to the client. */
  readonly statuses: readonly number[]
  /** Looks at who is connected to whom. */
  look(): Promise<void>
  ask(body: object, init?: RequestInit): Promise<Response>
  toProxy(path: string, body: string | Uint8Array, headers?: Record<string, string>): Promise<Response>
  /** Makes sure that the upstream was told something: then it was there to be written down. */
  heard(asked: Asked | undefined, name: string): void
  /** Begins a streamed answer. */
  streamFrom(response: ServerResponse, of: string): void
  /** Has the upstream begin an answer, and wait. @returns the answer that has begun */
  hold(of: string): Promise<ServerResponse>
  /** Waits until a request is answered again. */
  recovered(): Promise<void>
  close(): Promise<void>
}

/** An address of this machine that nobody else uses. */
const randomAddress = () => `127.${randomInt(64, 255)}.${randomInt(100, 255)}.${randomInt(100, 255)}`

export const codeOf = async (response: Response): Promise<string> =>
  ((await response.json()) as { error: { code: string } }).error.code

export async function openScene(open: () => Promise<Stores>): Promise<Scene> {
  const planted = new Planted()
  const address = (of: string): string => {
    const text = randomAddress()
    planted.secret(`address of the ${of}`, text)
    return text
  }
  const [asker, buyer, other] = [address('asker'), address('buyer'), address('stranger')]
  const proxyKey = planted.text('key of the proxy')
  const stores = await open()
  const roles = await startRoles({
    analyst: true,
    proxy: { RIALTO_PROXY_KEY: proxyKey },
    upstreamKey: planted.text('key of the upstream'),
    ...(stores.shared === undefined ? {} : { shared: stores.shared }),
  })
  const from = fetchFrom((url) => (url.origin === roles.relay.url ? asker : buyer), {
    'user-agent': planted.text('header: user agent'),
    cookie: `session=${planted.text('header: cookie')}`,
    authorization: `Bearer ${planted.text('header: authorization')}`,
    'x-request-id': planted.text('header: request id'),
    'x-forwarded-for': asker,
    forwarded: `for=${asker};by=${planted.text('header: forwarded')}`,
    referer: `https://example.org/${planted.text('header: referer')}`,
  })
  const stranger = fetchFrom(() => other, { 'user-agent': planted.text('stranger: user agent') })
  const client = await openClient(roles, {
    fetch: from,
    onSpend: (spend) => {
      planted.tokens(spend.tokens)
      return spend
    },
  })
  await client.ready().catch(async (error: unknown) => {
    await roles.close()
    throw error
  })
  planted.secret('account key', client.purse.account)
  planted.secret('seed of the wallet', client.purse.wallet.exportSeed())
  const peers = new Map<string, Set<string>>()
  const statuses: number[] = []

  const scene: Scene = {
    ...{ planted, stores, roles, client, asker, buyer, from, stranger, peers, statuses },
    async look() {
      if (!canLookInside) return
      for (const role of [...roles.all, { name: 'upstream', url: roles.upstream.url }]) {
        const seen = peers.get(role.name) ?? new Set()
        peers.set(role.name, seen)
        for (const peer of await peersOf(role)) seen.add(peer)
      }
    },
    async ask(body, init) {
      const response = await client.fetch(...chat(body, init))
      statuses.push(response.status)
      await scene.look()
      return response
    },
    toProxy: (path, body, headers = {}) =>
      fetch(`${roles.proxy?.url}${path}`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${proxyKey}`,
          cookie: planted.text('proxy: cookie'),
          'user-agent': planted.text('proxy: user agent'),
          'x-api-key': planted.text('proxy: header'),
          ...headers,
        },
        body: body as string,
      }),
    heard(asked, name) {
      const search = createSearch(planted.canaries.filter((each) => each.name === name))
      expect(search(asked?.body ?? Buffer.of())).not.toEqual([])
    },
    streamFrom(response, of) {
      beginStream(response, {
        'x-request-id': planted.text(`${of}: header`),
        'set-cookie': `a=${planted.text(`${of}: cookie`)}`,
      })
      response.write(event(MODEL, { role: 'assistant', content: planted.text(`${of}: completion`) }))
      const called = { name: 'f', arguments: `{"a":"${planted.text(`${of}: arguments`)}` }
      response.write(
        event(MODEL, {
          reasoning_content: planted.text(`${of}: reasoning`),
          tool_calls: [{ index: 0, function: called }],
        }),
      )
    },
    hold(of) {
      const begun = deferred<ServerResponse>()
      roles.upstream.answer = (_, response) => {
        scene.streamFrom(response, of)
        begun.resolve(response)
      }
      return begun.promise
    },
    recovered: () =>
      expect.poll(async () => (await scene.ask({})).status, { timeout: 30_000, interval: 200 }).toBe(200),
    async close() {
      from.close()
      stranger.close()
      await client.close(0)
      await roles.close()
      await stores.close()
    },
  }
  return scene
}
