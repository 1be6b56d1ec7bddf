import { once } from 'node:events'
import { Agent, createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { askNode, type SealedRequest } from './askNode.ts'
import { eventually } from './eventually.fixture.ts'
import { defaultLimits } from './options.ts'

const LENGTH = 4_000_000
let received: {
  readonly request: IncomingMessage
  readonly length: number
  readonly response: ServerResponse
}[]
const server = createServer((request, response) => {
  let length = 0
  request.on('data', (part: Buffer) => {
    length += part.length
  })
  request.on('end', () => {
    received.push({ request, length, response })
    server.emit('whole')
  })
  // One that is given up has no end.
  request.on('error', () => response.destroy())
})
const agent = new Agent({ keepAlive: true })
let url: string
beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
beforeEach(() => {
  received = []
})
afterAll(() => {
  agent.destroy()
  server.closeAllConnections()
  server.close()
})

const ask = (sealed: SealedRequest) =>
  askNode({
    url,
    model: 'public/model-1',
    sealed,
    authorization: 'none',
    agent,
    limits: defaultLimits,
    onContent: () => undefined,
    onOverdue: () => undefined,
  })

describe('what is sent to a node', () => {
  it('is held no longer than it may have to be sent', async () => {
    const first: SealedRequest = { bytes: new Uint8Array(LENGTH) }
    let whole = once(server, 'whole')
    const asked = ask(first)
    expect(first.bytes).toHaveLength(LENGTH)
    await whole
    // The node has it and does not answer yet.
    await eventually(() => first.bytes.length).toBe(0)
    received[0]?.response.writeHead(429).end()
    expect((await asked.answer).failure).toMatchObject({ code: 'busy' })
    // The agent has the connection back a turn later.
    await eventually(() => Object.values(agent.freeSockets).flat().length).toBe(1)

    // The same on a connection that was kept, and that the node may have closed: until it answers.
    const second: SealedRequest = { bytes: new Uint8Array(LENGTH) }
    whole = once(server, 'whole')
    const again = ask(second)
    await whole
    expect(second.bytes).toHaveLength(LENGTH)
    expect(received[1]?.request.socket).toBe(received[0]?.request.socket)
    received[1]?.response.writeHead(200, { 'content-type': 'message/bhttp' }).flushHeaders()
    await eventually(() => second.bytes.length).toBe(0)
    again.abort()
    expect((await again.answer).failure).toMatchObject({ code: 'closing' })
  })

  it('is sent once more, whole, where a connection that was kept turns out to be closed', async () => {
    const warm = ask({ bytes: new Uint8Array(10) })
    await once(server, 'whole')
    received[0]?.response.writeHead(429).end()
    await warm.answer
    await eventually(() => Object.values(agent.freeSockets).flat().length).toBe(1)
    // Closed with a reset, which the agent has no turn to see.
    const sealed: SealedRequest = { bytes: new Uint8Array(LENGTH) }
    const whole = once(server, 'whole')
    received[0]?.request.socket.resetAndDestroy()
    const asked = ask(sealed)
    await whole
    expect(received[1]?.length).toBe(LENGTH)
    received[1]?.response.writeHead(429).end()
    await asked.answer
    expect(sealed.bytes).toHaveLength(0)
  })

  it('is let go when it is given up', async () => {
    const sealed: SealedRequest = { bytes: new Uint8Array(LENGTH) }
    ask(sealed).abort()
    expect(sealed.bytes).toHaveLength(0)
  })
})
