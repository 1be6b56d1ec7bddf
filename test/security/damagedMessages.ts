import fc from 'fast-check'
import { encodeRequest } from '../../infra/inference/protocol/bhttp/encode.ts'
import { concatBytes } from '../../infra/inference/protocol/binary/bytes.ts'
import { nodeHpke } from '../../infra/inference/protocol/hpke/nodeHpke.ts'
import { sealingKey } from '../../infra/inference/protocol/network/nodeDescription.ts'
import { headers, mediaTypes } from '../../infra/inference/protocol/network/routes.ts'
import { sealChunkedRequest } from '../../infra/inference/protocol/ohttp/chunked.ts'
import { encodeKeyConfigs } from '../../infra/inference/protocol/ohttp/keyConfig.ts'
import { createGatewayKey, keyConfigOf, type OhttpKey } from '../../infra/inference/protocol/ohttp/keys.ts'
import { padRequest } from '../../infra/inference/protocol/padding.ts'
import { MODEL } from './roles.ts'

/** What is done to a sealed message. The first seven bytes name its key, in the clear; they stay. */
export function damaged(sealed: Uint8Array): fc.Arbitrary<Uint8Array> {
  const place = fc.integer({ min: 7, max: sealed.length - 1 })
  return fc.oneof(
    fc.integer({ min: 0, max: sealed.length - 1 }).map((length) => sealed.subarray(0, length)),
    fc
      .tuple(place, fc.integer({ min: 0, max: 7 }))
      .map(([at, bit]) => sealed.map((byte, index) => (index === at ? byte ^ (1 << bit) : byte))),
    fc.uint8Array({ minLength: 1, maxLength: 64 }).map((more) => concatBytes(sealed, more)),
    fc
      .tuple(place, place)
      .filter(([from, to]) => from <= to)
      .map(([from, to]) => concatBytes(sealed.subarray(0, from), sealed.subarray(to + 1))),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => concatBytes(sealed.subarray(0, 7), bytes)),
  )
}

/** A request for a gateway that names node and model, padded. */
export const outerRequest = (path: string, content: Uint8Array) =>
  padRequest(
    encodeRequest({
      method: 'POST',
      scheme: 'https',
      authority: '',
      path,
      headers: [
        ['content-type', mediaTypes.paidRequest],
        [headers.node, 'node-a'],
        [headers.model, MODEL],
      ],
      content,
      trailers: [],
    }),
  )

/** Seals in chunks of a length, each a piece of what is returned; the key's name and `enc` come with the first. */
export async function sealInChunks(
  key: OhttpKey,
  message: Uint8Array,
  length: number,
): Promise<Uint8Array[]> {
  const { sealer } = await sealChunkedRequest(key)
  const pieces: Uint8Array[] = []
  for (let at = 0; at < message.length - length; at += length)
    pieces.push(await sealer.seal(message.subarray(at, at + length)))
  pieces.push(await sealer.end(message.subarray(pieces.length * length)))
  return pieces
}

/** Pieces in another order than they were sealed in, with some left out or repeated. */
export const disordered = (count: number): fc.Arbitrary<readonly number[]> =>
  fc
    .array(fc.integer({ min: 0, max: count - 1 }), { minLength: 1, maxLength: count + 1 })
    .filter((order) => order.length !== count || order.some((piece, at) => piece !== at))

/** A key of the same name as one that is in use, and another pair. */
export async function impostorOf(key: OhttpKey): Promise<OhttpKey> {
  const pair = await createGatewayKey(nodeHpke, key.keyId, await nodeHpke.generateKeyPair())
  return sealingKey(nodeHpke, encodeKeyConfigs([keyConfigOf(pair)]))
}
