import { createHash } from 'node:crypto'
import { encodeRequest } from '../protocol/bhttp/encode.ts'
import { noBytes } from '../protocol/binary/bytes.ts'
import { nodeHpke } from '../protocol/hpke/nodeHpke.ts'
import { checkAuthorization, createAuthorization } from '../protocol/network/authorization.ts'
import { generateIdentity } from '../protocol/network/identity.ts'
import { createReceipt } from '../protocol/network/receipt.ts'
import { openChunkedRequest, sealChunkedRequest, sealChunkedResponse } from '../protocol/ohttp/chunked.ts'
import { createGatewayKey } from '../protocol/ohttp/keys.ts'
import { padRequest } from '../protocol/padding.ts'
import { EventStream } from './eventStream.ts'
import { readInnerRequest } from './innerRequest.ts'
import type { NodeModelOptions } from './options.ts'
import { planRequest } from './planRequest.ts'

const rounds = 10
const model: NodeModelOptions = {
  id: 'warm-up',
  upstreamModel: 'x',
  privacy: 'private',
  context: 1_024,
  price: { prompt: 1, completion: 1_000_000 },
  serves: ['chat'],
}

/**
 * Walks the way of a request with keys that are thrown away, so that the first client does not wait for code to be
 * loaded and compiled: that is some 30 ms, and would tell that it was the first.
 */
export async function warmUp(): Promise<void> {
  const gateway = generateIdentity()
  const node = generateIdentity()
  const key = await createGatewayKey(nodeHpke, 0, await nodeHpke.generateKeyPair())
  const models = new Map([[model.id, model]])
  const content = Buffer.from(JSON.stringify({ model: model.id, stream: true, messages: [] }))
  const event = Buffer.from(`data: ${JSON.stringify({ model: 'x', choices: [] })}\n\n`)
  for (let round = 0; round < rounds; round++) {
    const { sealer } = await sealChunkedRequest(key)
    const head = { method: 'POST', scheme: 'https', authority: 'node', path: '/v1/chat/completions' }
    const sealed = await sealer.end(
      padRequest(encodeRequest({ ...head, headers: [], content, trailers: [] })),
    )
    const innerRequestHash = createHash('sha256').update(sealed).digest()
    const issuedAt = Date.now()
    checkAuthorization(
      createAuthorization(gateway, { ceiling: 1, issuedAt }, { node: node.identity, innerRequestHash }),
      { gateways: [gateway.identity], node: node.identity, innerRequestHash, now: issuedAt },
    )
    const opener = openChunkedRequest(new Map([[key.keyId, key]]))
    await opener.push(sealed)
    const { kind, body } = readInnerRequest(await opener.end())
    planRequest(body, { kind, models, ceiling: 255 })
    const events = new EventStream({ model: model.id, dropUsage: true })
    for (const piece of [...events.push(event), ...events.end()]) {
      if (opener.opened === undefined) continue
      const answer = await sealChunkedResponse(opener.opened.exchange)
      await answer.seal(piece)
      await answer.end(noBytes)
    }
    createReceipt(node, { ceiling: 1, used: 1, model: model.id, innerRequestHash })
  }
}
