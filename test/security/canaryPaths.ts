import { expect, it } from 'vitest'
import { gatewayResources, mediaTypes } from '../../infra/inference/protocol/network/routes.ts'
import { ohttpMediaTypes } from '../../infra/inference/protocol/ohttp/mediaTypes.ts'
import { codeOf, type Scene } from './canaryScene.ts'
import { makeOrder, sendOrder, sendToGateway } from './client.ts'
import { GATEWAY, MODEL } from './roles.ts'
import { completion, lastEvents, sendJson } from './upstream.ts'

/** Requests that are answered, and those that some role refuses. */
export function askedPaths(at: () => Scene): void {
  it('plain', async () => {
    const { planted, roles, ask, heard } = at()
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
    const { planted, roles, ask, heard, streamFrom } = at()
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
    const { planted, roles, client, heard } = at()
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
    const { planted, client, ask } = at()
    const model = (await client.catalogue()).find(({ node }) => node === 'analyst')?.model
    const response = await ask(planted.chat('analyst', { model, tools: undefined, stop: undefined }))
    expect([200, 400]).toContain(response.status)
    await response.text()
  })

  it('through the proxy', async () => {
    const { planted, roles, toProxy, heard, streamFrom } = at()
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
    const { planted, toProxy } = at()
    const body = JSON.stringify(planted.chat('refused by the proxy'))
    const tried = [
      toProxy('/chat/completions', body, { authorization: `Bearer ${planted.text('wrong key')}` }),
      toProxy('/chat/completions', body, { origin: `https://${planted.text('origin')}.example` }),
      toProxy(`/${planted.text('proxy: path')}?${planted.text('proxy: query')}=1`, body),
      toProxy('/chat/completions', `{"model":"${planted.text('proxy: broken JSON')}`),
      toProxy('/chat/completions', JSON.stringify({ model: planted.text('proxy: model'), messages: [] })),
      toProxy('/chat/completions', Buffer.alloc(5e6, body)),
    ]
    expect((await Promise.all(tried)).map(({ status }) => status)).toEqual([401, 403, 404, 400, 404, 413])
  })

  it('refused by the gateway', async () => {
    const { planted, roles, client, from } = at()
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
    const { planted, roles, client, from } = at()
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
    const { planted, roles, client, from, stranger } = at()
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
      await post(`${mint.url}/token-requests`, mediaTypes.tokenRequest, account(planted.text('no account'))),
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
    const { planted, roles, client, stranger, ask } = at()
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
}
