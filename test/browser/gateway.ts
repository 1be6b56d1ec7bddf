import type { IncomingMessage, ServerResponse } from 'node:http'
import { decodeRequest } from '../../infra/inference/protocol/bhttp/decode.ts'
import {
  encodeContent,
  encodeEnd,
  encodeResponse,
  encodeResponseHead,
} from '../../infra/inference/protocol/bhttp/encode.ts'
import type { BinaryRequest } from '../../infra/inference/protocol/bhttp/message.ts'
import { concatBytes } from '../../infra/inference/protocol/binary/bytes.ts'
import { CellPacker } from '../../infra/inference/protocol/cells.ts'
import { nodeHpke } from '../../infra/inference/protocol/hpke/nodeHpke.ts'
import { openChunkedRequest, sealChunkedResponse } from '../../infra/inference/protocol/ohttp/chunked.ts'
import { decapsulateRequest, encapsulateResponse } from '../../infra/inference/protocol/ohttp/encapsulate.ts'
import { encodeKeyConfigs } from '../../infra/inference/protocol/ohttp/keyConfig.ts'
import { createGatewayKey, keyConfigOf } from '../../infra/inference/protocol/ohttp/keys.ts'
import { ohttpMediaTypes } from '../../infra/inference/protocol/ohttp/mediaTypes.ts'

/** The size of the cells in which a chunked request is answered, in bytes. */
export const cellSize = 64

/** A gateway on `node:crypto` that sends back the content of each request, and remembers what it opened. */
export async function createGateway() {
  const own = await createGatewayKey(nodeHpke, 7, await nodeHpke.generateKeyPair())
  const keys = new Map([[own.keyId, own]])
  const received: { readonly request: BinaryRequest; readonly length: number }[] = []

  /** @param plaintext a Binary HTTP request, padded or not */
  const take = (plaintext: Uint8Array): BinaryRequest => {
    const request = decodeRequest(plaintext)
    received.push({ request, length: plaintext.length })
    return request
  }
  const answerTo = ({ content }: BinaryRequest) => ({
    informational: [],
    status: 200,
    headers: [['content-type', 'application/json']] as const,
    content,
    trailers: [['usage-tokens', '12']] as const,
  })

  async function answerWhole(body: Uint8Array, response: ServerResponse): Promise<void> {
    const opened = await decapsulateRequest(keys, body)
    const answer = encodeResponse(answerTo(take(opened.request)))
    response.writeHead(200, { 'content-type': ohttpMediaTypes.response })
    response.end(await encapsulateResponse(opened.exchange, answer))
  }

  async function answerInChunks(body: Uint8Array, response: ServerResponse): Promise<void> {
    const opener = openChunkedRequest(keys)
    const pieces = [...(await opener.push(body)), await opener.end()]
    if (opener.opened === undefined) throw new TypeError('it was opened to its end')
    const answer = answerTo(take(concatBytes(...pieces)))
    const sealer = await sealChunkedResponse(opener.opened.exchange)
    const packer = new CellPacker(cellSize)
    response.writeHead(200, { 'content-type': ohttpMediaTypes.chunkedResponse })
    for (const piece of [
      encodeResponseHead(answer),
      encodeContent(answer.content),
      encodeEnd(answer.trailers),
    ]) {
      for (const cell of [...packer.push(piece), packer.flush()]) response.write(await sealer.seal(cell))
    }
    response.end(await sealer.end())
  }

  return {
    received,
    keyConfigs: encodeKeyConfigs([keyConfigOf(own)]),
    /** Answers a POST in the form in which it came. */
    async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
      const parts: Uint8Array[] = []
      for await (const part of request) parts.push(part)
      const body = concatBytes(...parts)
      if (request.headers['content-type'] === ohttpMediaTypes.chunkedRequest)
        await answerInChunks(body, response)
      else await answerWhole(body, response)
    },
  }
}
