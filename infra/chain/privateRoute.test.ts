import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { type Hex, keccak256, recoverMessageAddress, toHex } from 'viem'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openPrivateRoute } from './privateRoute.ts'

type Heard = { readonly headers: IncomingMessage['headers']; readonly body: string }

const raw: Hex = '0x02c0'
const heard: Heard[] = []
const operator = createServer(async (request, response) => {
  const body = await text(request)
  heard.push({ headers: request.headers, body })
  response.end(JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(body).id, result: keccak256(raw) }))
})
let url: string
beforeAll(async () => {
  await new Promise<void>((resolve) => operator.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(operator.address() as AddressInfo).port}`
})
beforeEach(() => {
  heard.length = 0
})
afterAll(() => operator.close())

const noChain = { head: () => expect.unreachable(), transaction: async () => null }

/** Who signed a request, as a relay finds out. */
async function senderOf({ headers, body }: Heard): Promise<string> {
  const [address = '', signature = ''] = String(headers['x-flashbots-signature']).split(':')
  const recovered = await recoverMessageAddress({
    message: keccak256(toHex(body)),
    signature: signature as Hex,
  })
  expect(recovered).toBe(address)
  return address
}

describe('the private route to a relay', () => {
  it('signs each request, over the very bytes of its body', async () => {
    const route = openPrivateRoute({ url, kind: 'send-private' })
    await route.send(raw, noChain)
    await route.send(raw, noChain)
    expect(heard.map(({ body }) => JSON.parse(body))).toEqual([
      expect.objectContaining({ method: 'eth_sendPrivateTransaction', params: [{ tx: raw }] }),
      expect.objectContaining({ method: 'eth_sendPrivateTransaction', params: [{ tx: raw }] }),
    ])
    const [first, second] = await Promise.all(heard.map(senderOf))
    expect(second).toBe(first)
    expect(heard[0]?.headers['content-type']).toBe('application/json')
  })

  it('is somebody else to the relay each time that it is opened', async () => {
    for (let n = 0; n < 2; n += 1) await openPrivateRoute({ url, kind: 'send-private' }).send(raw, noChain)
    const [first, second] = await Promise.all(heard.map(senderOf))
    expect(second).not.toBe(first)
  })

  it('tells a protected RPC nothing about itself', async () => {
    await openPrivateRoute({ url, kind: 'protected-rpc' }).send(raw, noChain)
    expect(heard[0]?.headers['x-flashbots-signature']).toBeUndefined()
  })
})
