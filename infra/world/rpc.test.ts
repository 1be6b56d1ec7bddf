import { createServer } from 'node:http'
import { afterAll, expect, it } from 'vitest'
import { WorldRpcError } from './errors.ts'
import { createRpc } from './rpc.ts'

let answer = ''
const server = createServer((_, response) => response.end(answer))
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
const { port } = server.address() as { port: number }
const rpc = createRpc(`http://127.0.0.1:${port}`)

it('gives the result', async () => {
  answer = '{"jsonrpc":"2.0","id":1,"result":"0x7"}'
  expect(await rpc<string>('eth_chainId')).toBe('0x7')
})

it("passes the node's refusal on, for good", async () => {
  answer = '{"jsonrpc":"2.0","id":1,"error":{"code":-32003,"message":"nonce too low"}}'
  const refused = rpc('eth_sendRawTransaction', '0x')
  await expect(refused).rejects.toBeInstanceOf(WorldRpcError)
  await expect(refused).rejects.toMatchObject({
    message: 'eth_sendRawTransaction: nonce too low',
    retryable: false,
    details: { code: -32003 },
  })
})

it('says when nothing sensible answers, and that it may later', async () => {
  answer = '<html>'
  await expect(rpc('eth_chainId')).rejects.toMatchObject({ code: 'WORLD_RPC', retryable: true })
  const nobody = createRpc('http://127.0.0.1:1')
  await expect(nobody('eth_chainId')).rejects.toMatchObject({ code: 'WORLD_RPC', retryable: true })
})
