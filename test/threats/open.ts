import { createHash } from 'node:crypto'
import { decodeRequest, decodeResponse } from '../../infra/inference/protocol/bhttp/decode.ts'
import type { BinaryRequest, BinaryResponse, Field } from '../../infra/inference/protocol/bhttp/message.ts'
import { CellUnpacker } from '../../infra/inference/protocol/cells.ts'
import { nodeHpke } from '../../infra/inference/protocol/hpke/nodeHpke.ts'
import type { HpkePrivateKey } from '../../infra/inference/protocol/hpke/suite.ts'
import { headers } from '../../infra/inference/protocol/network/routes.ts'
import {
  type ChunkOpener,
  openChunkedRequest,
  openChunkedResponse,
} from '../../infra/inference/protocol/ohttp/chunked.ts'
import { createGatewayKey, type OhttpExchange } from '../../infra/inference/protocol/ohttp/keys.ts'
import { RialtoError } from '../../runtime/core/errors.ts'

/** A sealed request that a key opened, with the answer to it where it could be read. */
export type Opened = { readonly request: BinaryRequest; readonly response: BinaryResponse | undefined }

/** SHA-256 in hex: by that two roles know that they saw the same bytes. */
export const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

export const field = (fields: readonly Field[], name: string): string | undefined =>
  fields.find(([each]) => each === name)?.[1]

/** Tries keys on a `message/ohttp-chunked-req`, as whoever holds them can. */
export async function openWith(
  keys: readonly HpkePrivateKey[],
  sealed: Uint8Array,
  answer: Uint8Array,
): Promise<Opened | undefined> {
  for (const key of keys) {
    const gatewayKey = await createGatewayKey(nodeHpke, sealed[0] ?? 0, key)
    const opener = openChunkedRequest(new Map([[gatewayKey.keyId, gatewayKey]]))
    const plaintext = await openWhole(opener, sealed)
    if (plaintext === undefined || opener.opened === undefined) continue
    const request = decodeRequest(plaintext)
    return { request, response: await openAnswer(opener.opened.exchange, request, answer) }
  }
  return undefined
}

async function openAnswer(
  exchange: OhttpExchange,
  request: BinaryRequest,
  answer: Uint8Array,
): Promise<BinaryResponse | undefined> {
  const plaintext = await openWhole(openChunkedResponse(exchange), answer)
  if (plaintext === undefined) return undefined
  const cells = field(request.headers, headers.cells)
  if (cells === undefined) return decodeResponse(plaintext)
  const unpacker = new CellUnpacker(Number(cells))
  const data = unpacker.push(plaintext)
  unpacker.end()
  return decodeResponse(Buffer.concat(data))
}

/** The plaintext of a chunked message; undefined when the key is not the one. */
async function openWhole(opener: ChunkOpener, bytes: Uint8Array): Promise<Buffer | undefined> {
  try {
    const chunks = await opener.push(bytes)
    chunks.push(await opener.end())
    return Buffer.concat(chunks)
  } catch (error) {
    if (error instanceof RialtoError) return undefined
    throw error
  }
}
