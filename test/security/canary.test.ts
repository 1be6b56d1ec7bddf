import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { deferred } from '../../infra/http/rawClient.fixture.ts'
import { PrivateNetworkError } from '../../infra/inference/client/errors.ts'
import { gatewayResources, mediaTypes } from '../../infra/inference/protocol/network/routes.ts'
import { ohttpMediaTypes } from '../../infra/inference/protocol/ohttp/mediaTypes.ts'
import { fetchFrom } from './addressedFetch.ts'
import { createSearch } from './canaries.ts'
import { type Client, chat, makeOrder, openClient, sendOrder, sendToGateway } from './client.ts'
import { Planted } from './planted.ts'
import { GATEWAY, MODEL, type Roles, sayFine, startRoles } from './roles.ts'
import { type Stores, storeKinds } from './stores.ts'
import { type Asked, beginStream, completion, event, lastEvents, sendJson } from './upstream.ts'
import {
  canLookInside,
  coreLimit,
  openForWriting,
  peersOf,
  shownBy,
  type Written,
  writtenBy,
} from './written.ts'

/*
 * "A node keeps nothing." Canaries go through every path of a whole network, the failing ones too. Then every byte
 * that any role wrote is searched for them: files and their names, databases, logs at level debug, metrics, health,
 * standard output and error.
 */

const address = () => `127.${randomInt(64, 255)}.${randomInt(100, 255)}.${randomInt(100, 255)}`

describe.each(storeKinds)('a network that keeps what is spent in $name', ({ open, reason }) => {
  if (reason !== undefined) return void it.skip(reason)

  const planted = new Planted()
  /** Whence it is asked, and whence tokens are bought: of the two, the relay sees one and the mint the other. */
  const asker = address()
  const buyer = address()
  const peers = new Map<string, Set<string>>()
  const statuses: number[] = []
  let stores: Stores
  let roles: Roles
  let client: Client
  let from: ReturnType<typeof fetchFrom>
  /** For what no client of ours sends. */
  const stranger = fetchFrom(() => asker, { 'user-agent': planted.text('stranger: user agent') })

  beforeAll(async () => {
    planted.secret('address of the asker', asker)
    planted.secret('address of the buyer', buyer)
    stores = await open()
    roles = await startRoles({
      analyst: true,
      proxy: { RIALTO_PROXY_KEY: planted.text('key of the proxy') },
      upstreamKey: planted.text('key of the upstream'),
      ...(stores.shared === undefined ? {} : { shared: stores.shared }),
    })
    from = fetchFrom((url) => (url.origin === roles.relay.url ? asker : buyer), {
      'user-agent': planted.text('header: user agent'),
      cookie: `session=${planted.text('header: cookie')}`,
      authorization: `Bearer ${planted.text('header: authorization')}`,
      'x-request-id': planted.text('header: request id'),
      'x-forwarded-for': asker,
      forwarded: `for=${asker};by=${planted.text('header: forwarded')}`,
      referer: `https://example.org/${planted.text('header: referer')}`,
    })
    client = await openClient(roles, {
      fetch: from,
      onSpend: (spend) => {
        planted.tokens(spend.tokens)
        return spend
      },
    })
    await client.ready()
    planted.secret('account key', client.purse.account)
    planted.secret('seed of the wallet', client.purse.wallet.exportSeed())
  })
  beforeEach(() => {
    roles.upstream.answer = sayFine
  })
  afterAll(async () => {
    from?.close()
    stranger.close()
    await client?.close(0)
    await roles?.close()
    await stores?.close()
  })

  const look = async () => {
    if (!canLookInside) return
    for (const role of [...roles.all, { name: 'upstream', url: roles.upstream.url }]) {
      const seen = peers.get(role.name) ?? new Set()
      peers.set(role.name, seen)
      for (const peer of await peersOf(role)) seen.add(peer)
    }
  }
  const ask = async (body: object, init?: RequestInit): Promise<Response> => {
    const response = await client.fetch(...chat(body, init))
    statuses.push(response.status)
    await look()
    return response
  }
  const codeOf = async (response: Response) =>
    ((await response.json()) as { error: { code: string } }).error.code
  const toProxy = (path: string, body: string | Uint8Array, headers: Record<string, string> = {}) =>
    fetch(`${roles.proxy?.url}${path}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${planted.canaries.find(({ name }) => name === 'key of the proxy')?.bytes}`,
        cookie: planted.text('proxy: cookie'),
        'user-agent': planted.text('proxy: user agent'),
        'x-api-key': planted.text('proxy: header'),
        ...headers,
      },
      body: body as string,
    })
  /** The upstream has it, so it was there to be written down. */
  const heard = (asked: Asked | undefined, name: string) =>
    expect(
      createSearch(planted.canaries.filter((each) => each.name === name))(asked?.body ?? Buffer.of()),
    ).not.toEqual([])
  const streamFrom = (response: ServerResponse, of: string) => {
    beginStream(response, {
      'x-request-id': planted.text(`${of}: header`),
      'set-cookie': `a=${planted.text(`${of}: cookie`)}`,
    })
    response.write(event(MODEL, { role: 'assistant', content: planted.text(`${of}: completion`) }))
    response.write(
      event(MODEL, {
        reasoning_content: planted.text(`${of}: reasoning`),
        tool_calls: [
          { index: 0, function: { name: 'f', arguments: `{"a":"${planted.text(`${of}: arguments`)}` } },
        ],
      }),
    )
  }
  const recovered = () =>
    expect.poll(async () => (await ask({})).status, { timeout: 30_000, interval: 200 }).toBe(200)

  describe('on every path', () => {
    it('plain', async () => {
      const said = planted.text('plain: completion')
      roles.upstream.answer = (_, response) => {
        response.setHeader('x-request-id', planted.text('plain: header of the upstream'))
        response.setHeader('set-cookie', `a=${planted.text('plain: cookie of the upstream')}`)
        const call = { function: { name: said, arguments: planted.text('plain: arguments of a call') } }
        sendJson(response, 200, completion(MODEL, { content: `"${said}"`, tool_calls: [call] }))
      }
      const response = await ask(planted.chat('plain'))
      expect(response.status).toBe(200)
      expect(await response.text()).toContain(said)
      const asked = roles.upstream.asked.at(-1)
      for (const where of ['prompt', 'system', 'user', 'image', 'arguments', 'value of a schema', 'tool'])
        heard(asked, `plain: ${where}`)
    })

    it('streamed', async () => {
      roles.upstream.answer = (_, response) => {
        streamFrom(response, 'streamed')
        response.end(lastEvents(MODEL))
      }
      const response = await ask(planted.chat('streamed', { stream: true }))
      expect(response.status).toBe(200)
      expect(await response.text()).toContain('[DONE]')
      heard(roles.upstream.asked.at(-1), 'streamed: prompt')
    })

    it('embeddings', async () => {
      roles.upstream.answer = (_, response) =>
        sendJson(response, 200, {
          object: 'list',
          model: MODEL,
          data: [{ object: 'embedding', index: 0, embedding: planted.text('embeddings: vector') }],
          usage: { prompt_tokens: 5, total_tokens: 5 },
        })
      const response = await client.fetch('http://private.invalid/v1/embeddings', {
        method: 'POST',
        body: JSON.stringify({ model: MODEL, input: [planted.text('embeddings: input')] }),
      })
      expect(response.status).toBe(200)
      await response.text()
      heard(roles.upstream.asked.at(-1), 'embeddings: input')
    })

    it('to the reference analyst', async () => {
      const model = (await client.catalogue()).find(({ node }) => node === 'analyst')?.model
      const response = await ask(planted.chat('analyst', { model, tools: undefined, stop: undefined }))
      expect([200, 400]).toContain(response.status)
      await response.text()
    })

    it('through the proxy', async () => {
      roles.upstream.answer = (_, response) =>
        sendJson(response, 200, completion(MODEL, { content: planted.text('proxy: completion') }))
      const response = await toProxy('/chat/completions', JSON.stringify(planted.chat('proxy')))
      expect(response.status).toBe(200)
      await response.text()
      heard(roles.upstream.asked.at(-1), 'proxy: prompt')
      roles.upstream.answer = (_, answer) => {
        streamFrom(answer, 'proxy, streamed')
        answer.end(lastEvents(MODEL))
      }
      const streamed = await toProxy(
        '/chat/completions',
        JSON.stringify(planted.chat('proxy, streamed', { stream: true })),
      )
      expect(await streamed.text()).toContain('[DONE]')
    })

    it('refused by the proxy', async () => {
      const body = JSON.stringify(planted.chat('refused by the proxy'))
      const tried = [
        toProxy('/chat/completions', body, { authorization: `Bearer ${planted.text('wrong key')}` }),
        toProxy('/chat/completions', body, { origin: `https://${planted.text('origin')}.example` }),
        toProxy(`/${planted.text('proxy: path')}?${planted.text('proxy: query')}=1`, body),
        toProxy('/chat/completions', `{"model":"${planted.text('proxy: broken JSON')}`),
        toProxy('/chat/completions', JSON.stringify({ model: planted.text('proxy: model'), messages: [] })),
        toProxy('/chat/completions', Buffer.alloc(5e6, body)),
      ]
      expect((await Promise.all(tried)).map(({ status }) => status)).toEqual([401, 403, 404, 400, 404, 400])
    })

    it('refused by the gateway', async () => {
      const body = Buffer.from(JSON.stringify(planted.chat('refused by the gateway')))
      const paid = async (change: (order: Awaited<ReturnType<typeof makeOrder>>) => object, to = {}) => {
        const order = await makeOrder(client, { node: 'node-a', body })
        const answered = await sendOrder(
          client,
          roles,
          { ...order, ...change(order) },
          { node: 'node-a', fetch: from, ...to },
        )
        if (!answered.hasChange) await client.purse.wallet.release(order.spend.id)
        return `${answered.status} ${answered.code}`
      }
      expect(
        await paid(({ spend }) => ({
          spend: {
            ...spend,
            tokens: spend.tokens.map((token) => token.map((byte, at) => (at === 353 ? byte ^ 1 : byte))),
          },
        })),
      ).toBe('402 tokens_refused')
      expect(await paid(() => ({}), { model: planted.text('gateway: model') })).toBe('404 model_unknown')
      expect(await paid(() => ({}), { node: planted.text('gateway: node') })).toBe('404 node_unknown')
      expect(await paid(({ innerRequest }) => ({ innerRequest: innerRequest.subarray(1) }))).toBe(
        '400 not_padded',
      )
      // What was spent on one request is offered for another.
      const order = await makeOrder(client, { node: 'node-a', body })
      const again = await makeOrder(client, { node: 'node-a', body })
      expect((await sendOrder(client, roles, order, { node: 'node-a', fetch: from })).status).toBe(200)
      expect(
        (await sendOrder(client, roles, { ...again, spend: order.spend }, { node: 'node-a', fetch: from }))
          .code,
      ).toBe('token_spent')
      await client.purse.wallet.release(again.spend.id)
      for (const [path, status] of [
        [gatewayResources.infer, 400],
        [gatewayResources.reclaim, 400],
        [gatewayResources.tokenStatus, 400],
        [gatewayResources.reissue, 400],
        [`/${planted.text('gateway: path')}?${planted.text('gateway: query')}`, 404],
      ] as const) {
        const content = Buffer.from(`${planted.text(`gateway: content for ${path}`)}.`)
        expect((await sendToGateway(client, roles, { path, content, fetch: from })).status).toBe(status)
      }
    })

    it('refused by the node', async () => {
      const prompt = (of: string) => `${planted.text(of)} `.repeat(1_000)
      const text = (of: string) => planted.text(of)
      const sealed = async (what: { body?: Buffer; plaintext?: Buffer; path?: string }) => {
        const order = await makeOrder(client, { node: 'node-a', ...what })
        const answered = await sendOrder(client, roles, order, { node: 'node-a', fetch: from })
        expect(answered.hasChange).toBe(true)
        const { status, body } = await order.open(answered.content)
        return `${status} ${(JSON.parse(body.toString()) as { error: { code: string } }).error.code}`
      }
      const json = (value: object) => Buffer.from(JSON.stringify(value))
      const messages = [{ role: 'user', content: prompt('ceiling too low: prompt') }]
      expect(await sealed({ body: json({ model: MODEL, messages }) })).toBe('402 ceiling_too_low')
      expect(await sealed({ body: json({ model: text('node: model'), messages: [] }) })).toBe(
        '404 model_unknown',
      )
      expect(
        await sealed({ body: Buffer.from(`{"model":"${MODEL}","messages":["${text('node: JSON')}`) }),
      ).toBe('400 malformed')
      expect(await sealed({ plaintext: Buffer.from(text('node: no Binary HTTP')) })).toBe('400 malformed')
      expect(await sealed({ path: `/v1/${text('node: path')}`, body: json({}) })).toBe('400 malformed')
    })

    it('undecryptable', async () => {
      const body = Buffer.from(JSON.stringify(planted.chat('undecryptable')))
      const order = await makeOrder(client, { node: 'node-a', body })
      const innerRequest = order.innerRequest.map((byte, at) => (at === 100 ? byte ^ 1 : byte))
      expect(
        await sendOrder(client, roles, { ...order, innerRequest }, { node: 'node-a', fetch: from }),
      ).toMatchObject({ status: 502, code: 'node_failed', hasChange: true })
      const { relay, gateway, mint } = roles
      const node = roles.nodes[0] ?? gateway
      const post = async (url: string, type: string, headers: Record<string, string> = {}) =>
        (
          await stranger(url, {
            method: 'POST',
            headers: { 'content-type': type, ...headers },
            body: `${planted.text(`garbage for ${url}`)} `.repeat(100),
          })
        ).status
      const secret = { 'rialto-authorization': planted.text('no authorization') }
      expect(await post(`${relay.url}/gateways/${GATEWAY}`, ohttpMediaTypes.chunkedRequest)).toBe(400)
      expect(await post(`${relay.url}/gateways/${GATEWAY}`, planted.text('media type'))).toBe(415)
      expect(await post(`${gateway.url}/ohttp`, ohttpMediaTypes.chunkedRequest)).toBe(400)
      expect(await post(`${node.url}/ohttp`, ohttpMediaTypes.chunkedRequest, secret)).toBe(401)
      const account = (key: string) => ({ authorization: `Bearer ${key}` })
      expect(
        await post(`${mint.url}/token-requests`, mediaTypes.tokenRequest, account(client.purse.account)),
      ).toBe(422)
      expect(
        await post(
          `${mint.url}/token-requests`,
          mediaTypes.tokenRequest,
          account(planted.text('no account')),
        ),
      ).toBe(401)
      for (const role of [relay, gateway, node, mint])
        expect((await stranger(`${role.url}/${planted.text('path')}?${planted.text('query')}`)).status).toBe(
          404,
        )
      expect((await stranger(`${relay.url}/gateways/${planted.text('no gateway')}`)).status).toBe(404)
      expect((await stranger(`${mint.url}/directories/${planted.text('no witness')}/1`)).status).toBe(404)
      await client.reclaim()
    })

    it('oversized', async () => {
      const body = Buffer.alloc(9_000_000, planted.text('oversized'))
      const post = async (url: string, type: string, headers: Record<string, string> = {}) =>
        (await stranger(url, { method: 'POST', headers: { 'content-type': type, ...headers }, body })).status
      const { chunkedRequest } = ohttpMediaTypes
      expect(await post(`${roles.relay.url}/gateways/${GATEWAY}`, chunkedRequest)).toBe(413)
      expect(await post(`${roles.gateway.url}/ohttp`, chunkedRequest)).toBe(400)
      expect(await post(`${roles.nodes[0]?.url}/ohttp`, chunkedRequest)).toBe(413)
      const authorization = { authorization: `Bearer ${client.purse.account}` }
      expect(await post(`${roles.mint.url}/token-requests`, mediaTypes.tokenRequest, authorization)).toBe(413)
      const response = await ask({ messages: [{ role: 'user', content: body.toString() }] })
      expect([response.status, await codeOf(response)]).toEqual([400, 'context_length_exceeded'])
    })

    it('while the upstream is down', async () => {
      await roles.upstream.pause()
      const response = await ask(planted.chat('upstream down'))
      expect([response.status, await codeOf(response)]).toEqual([502, 'upstream_failed'])
      await roles.upstream.resume()
    })

    it.each([
      [
        'an error that quotes the prompt',
        500,
        'application/json',
        (text: string) => ({ error: { message: text, type: text, code: text, param: text } }),
        500,
      ],
      ['a page that quotes it', 500, 'text/html', (text: string) => `<html>${text}</html>`, 500],
      [
        'a refusal of the key',
        401,
        'application/json',
        (text: string) => ({ error: { message: text } }),
        502,
      ],
      ['another place', 302, 'text/html', (text: string) => text, 502],
      ['no JSON', 200, 'application/json', (text: string) => `{"a":"${text}`, 502],
      ['what is compressed', 200, 'application/json', (text: string) => text, 502],
      [
        'too many at once',
        429,
        'application/json',
        (text: string) => ({ error: { message: text, type: 'x' } }),
        429,
      ],
    ] as const)('with an upstream that answers %s', async (of, status, type, body, expected) => {
      roles.upstream.answer = ({ body: quoted }, response) => {
        const text = `${planted.text(`${of}: body`)} ${quoted.toString()}`
        const said = body(text)
        response.writeHead(status, {
          'content-type': type,
          location: `http://127.0.0.1:1/${planted.text(`${of}: location`)}`,
          'www-authenticate': planted.text(`${of}: header`),
          ...(of === 'what is compressed' ? { 'content-encoding': planted.text(`${of}: coding`) } : {}),
        })
        response.end(typeof said === 'string' ? said : JSON.stringify(said))
      }
      const response = await ask(planted.chat(`upstream answers ${of}`))
      expect(response.status).toBe(expected)
      await response.text()
    })

    it('with an upstream that speaks no HTTP', async () => {
      roles.upstream.answer = (_, { socket }) => void socket?.end(`${planted.text('no HTTP')}\r\n\r\n`)
      expect(await codeOf(await ask(planted.chat('no HTTP')))).toBe('upstream_failed')
    })

    it('with a stream that is none', async () => {
      roles.upstream.answer = (_, response) => {
        beginStream(response)
        response.end(`data: {"error":"${planted.text('broken event')}\n\n: ${planted.text('comment')}\n\n`)
      }
      const response = await ask(planted.chat('broken events', { stream: true }))
      expect(response.status).toBe(200)
      await response.text().catch((error: unknown) => expect(error).toBeInstanceOf(PrivateNetworkError))
    })

    it('with an upstream that is cut midway', async () => {
      roles.upstream.answer = (_, response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100_000 })
        response.write(`{"choices":["${planted.text('cut: completion')}`, () => response.destroy())
      }
      expect(await codeOf(await ask(planted.chat('cut')))).toBe('upstream_failed')
      roles.upstream.answer = (_, response) => {
        streamFrom(response, 'cut stream')
        response.write(event(MODEL, {}), () => response.destroy())
      }
      const response = await ask(planted.chat('cut stream', { stream: true }))
      await expect(response.text()).rejects.toMatchObject({ code: 'INFERENCE_STREAM_BROKEN' })
    })

    it('with a client that goes midway', async () => {
      const begun = hold('gone')
      const gone = new AbortController()
      const response = await ask(planted.chat('gone', { stream: true }), { signal: gone.signal })
      const reader = response.body?.getReader()
      await reader?.read()
      gone.abort()
      await expect(reader?.read()).rejects.toMatchObject({ name: 'AbortError' })
      ;(await begun).end(lastEvents(MODEL))

      const other = hold('proxy gone')
      const streamed = await toProxy(
        '/chat/completions',
        JSON.stringify(planted.chat('proxy gone', { stream: true })),
      )
      const proxied = streamed.body?.getReader()
      await proxied?.read()
      await roles.proxy?.kill()
      ;(await other).end(lastEvents(MODEL))
      await expect(proxied?.read().then(() => proxied.read())).rejects.toThrow('terminated')
      roles.upstream.answer = sayFine
      await roles.proxy?.start()
      const after = await toProxy('/chat/completions', JSON.stringify(planted.chat('proxy again')))
      expect(after.status).toBe(200)
      await after.text()
    })

    it.each(['node', 'relay', 'gateway'] as const)('with a %s that is killed in mid-answer', async (name) => {
      const role = name === 'node' ? roles.nodes[0] : roles[name]
      const begun = hold(`${name} killed`)
      const response = await ask(planted.chat(`${name} killed`, { stream: true }))
      const reader = response.body?.getReader()
      await reader?.read()
      const upstream = await begun
      const left = once(upstream, 'close')
      await role?.kill()
      if (name === 'relay') upstream.end(lastEvents(MODEL))
      await left
      await expect(
        (async () => {
          for (;;) if ((await reader?.read())?.done === true) return
        })(),
      ).rejects.toMatchObject({ code: 'INFERENCE_STREAM_BROKEN' })
      // Nobody listens: that is a path, too.
      const refused = await ask(planted.chat(`${name} is down`))
      expect([502, 503]).toContain(refused.status)
      await refused.text()
      roles.upstream.answer = sayFine
      await role?.start()
      await recovered()
      await client.reclaim()
      expect(client.wallet.unsettled()).toEqual([])
    })
  })

  /** Has the upstream begin an answer, and wait. @returns the answer that has begun */
  function hold(of: string): Promise<ServerResponse> {
    const begun = deferred<ServerResponse>()
    roles.upstream.answer = (_, response) => {
      streamFrom(response, of)
      begun.resolve(response)
    }
    return begun.promise
  }

  describe('and then', () => {
    let written: readonly Written[] = []
    let mine: readonly Written[] = []
    const findings = (places: readonly Written[], canaries: Planted['canaries']) => {
      const search = createSearch(canaries)
      return places.flatMap(({ place, bytes }) =>
        search(bytes).map(({ canary, as }) => `${canary}, ${as}, in ${place}`),
      )
    }

    beforeAll(async () => {
      await look()
      const shown = (await Promise.all(roles.all.map(shownBy))).flat()
      const outside = canLookInside
        ? (
            await Promise.all(roles.all.map(async (role) => [role, await openForWriting(role)] as const))
          ).flatMap(([{ name, folder }, paths]) =>
            paths.filter((path) => !path.startsWith(folder)).map((path) => `${name}: ${path}`),
          )
        : []
      expect(outside).toEqual([])
      if (canLookInside) expect(new Set(await Promise.all(roles.all.map(coreLimit)))).toEqual(new Set(['0']))
      await client.close()
      // In order, so that nothing waits in a buffer any more.
      await Promise.all(roles.all.map((role) => role.stop()))
      written = [
        ...shown,
        ...(await Promise.all(roles.all.map(writtenBy))).flat(),
        ...(await stores.written()),
      ]
      const purses = join(roles.folder, 'purses')
      mine = await Promise.all(
        ['test.wallet', 'test.epochs', 'test.account', 'test.passphrase'].map(async (file) => ({
          place: file,
          bytes: await readFile(join(purses, file)),
        })),
      )
      for (const kind of ['account', 'passphrase'])
        planted.secret(
          `${kind} of the proxy`,
          (
            await readFile(
              join(roles.folder, 'proxy', 'state', 'inference', 'purses', `proxy.${kind}`),
              'utf8',
            )
          ).trim(),
        )
    })

    it('there was much to find, and much that was written', () => {
      expect(planted.canaries.length).toBeGreaterThan(300)
      expect(planted.nullifiers.length).toBeGreaterThan(20)
      expect(new Set(statuses)).toEqual(new Set([200, 400, 429, 500, 502, 503]))
      for (const role of roles.all) expect(role.stderr().length).toBeGreaterThan(100)
      const places = written.map(({ place }) => place)
      for (const role of roles.all) expect(places).toContain(`${role.name}/metrics`)
      for (const file of ['gateway/state/identity', 'mint/state/ledger.log', 'node-a/state/identity'])
        expect(places).toContain(file)
    })

    it('a canary that is planted with any role is found', async () => {
      const control = new Planted()
      const text = control.text('control')
      for (const role of roles.all) {
        const hidden = join(role.folder, 'tmp', 'a', '.b')
        await mkdir(hidden, { recursive: true })
        await writeFile(join(hidden, 'c'), `x${Buffer.from(text).toString('base64')}`)
        expect(findings(await writtenBy(role), control.canaries)).not.toEqual([])
        await rm(join(hidden, 'c'))
        expect(findings(await writtenBy(role), control.canaries)).toEqual([])
        await writeFile(join(hidden, text), '')
        expect(findings(await writtenBy(role), control.canaries)).not.toEqual([])
      }
    })

    it('nobody has written down anything of them', () => {
      const secrets = ['account of the proxy', 'passphrase of the proxy']
      expect(
        findings(
          written,
          planted.canaries.filter(({ name }) => !secrets.includes(name)),
        ),
      ).toEqual([])
    })

    it('what is spent is known to the gateway’s own store, and to nobody else', () => {
      const search = createSearch(planted.nullifiers)
      const found = written.filter(({ bytes }) => search(bytes).length > 0)
      expect(found.map(({ place }) => place)).toEqual(stores.nullifiers)
    })

    it('the secrets of a client are in the files that are there for them', () => {
      const found = (name: string, places: readonly Written[]) => [
        ...new Set(
          findings(
            places,
            planted.canaries.filter((each) => each.name === name),
          ).map((line) => line.replace(/^.* in /, '')),
        ),
      ]
      const purse = 'proxy/state/inference/purses/proxy'
      expect(found('account of the proxy', written)).toEqual([`${purse}.account`])
      expect(found('passphrase of the proxy', written)).toEqual([`${purse}.passphrase`])
      expect(found('account key', mine)).toEqual(['test.account'])
      const others = planted.canaries.filter(({ name }) => name !== 'account key')
      expect(findings(mine, [...others, ...planted.nullifiers])).toEqual([])
    })

    it('the upstream was told prompts, and nothing of who asked or paid', () => {
      const { asked } = roles.upstream
      const told = [
        {
          place: 'upstream',
          bytes: Buffer.from(
            asked.map(({ rawHeaders, path }) => `${path} ${rawHeaders.join('\n')}`).join('\n'),
          ),
        },
        ...asked.map(({ body }) => ({ place: 'upstream', bytes: body })),
      ]
      const ofClients = planted.canaries.filter(({ name }) =>
        /^(header|stranger|proxy: (cookie|header|user agent)|address|account|seed|nonce|signature|key of the proxy|wrong key)/.test(
          name,
        ),
      )
      expect(ofClients.length).toBeGreaterThan(30)
      expect(findings(told, [...ofClients, ...planted.nullifiers])).toEqual([])
      const key = planted.canaries.filter(({ name }) => name === 'key of the upstream')
      expect(findings(told, key)).not.toEqual([])
    })

    it.runIf(canLookInside)('the relay alone has seen whence it was asked', () => {
      expect(peers.get('relay')).toContain(asker)
      expect(peers.get('mint')).toContain(buyer)
      expect([...(peers.get('relay') ?? [])]).not.toContain(buyer)
      for (const name of ['gateway', 'node-a', 'analyst', 'upstream']) {
        const seen = [...(peers.get(name) ?? [])].filter((each) => each !== '127.0.0.1')
        // Strangers knocked at every door themselves, and were turned away.
        expect(seen.filter((each) => each !== asker || name === 'upstream')).toEqual([])
      }
    })

    it('the client’s own reports tell nothing of what was said', () => {
      const told = Buffer.from(JSON.stringify([client.paths, client.notices]))
      const said = planted.canaries.filter(({ name }) => !name.startsWith('address'))
      expect(findings([{ place: 'reports', bytes: told }], said)).toEqual([])
      expect(client.paths.length).toBeGreaterThan(20)
    })
  })
})
