import {
  encodeContent,
  encodeEnd,
  encodeRequest,
  encodeRequestHead,
  encodeResponse,
  encodeResponseHead,
} from './bhttp/encode.ts'
import type { BinaryRequest, BinaryResponse, Field } from './bhttp/message.ts'
import { concatBytes, noBytes } from './binary/bytes.ts'
import { CellPacker } from './cells.ts'
import { fromHex, toHex, utf8 } from './hex.fixture.ts'
import type { HpkeSuite } from './hpke/suite.ts'
import { sealChunkedRequest, sealChunkedResponse } from './ohttp/chunked.ts'
import { encapsulateRequest, encapsulateResponse } from './ohttp/encapsulate.ts'
import { encodeKeyConfigs } from './ohttp/keyConfig.ts'
import { createGatewayKey, createOhttpKey, keyConfigOf } from './ohttp/keys.ts'
import { padRequest } from './padding.ts'

/** Secrets of the vectors: plain patterns, so that nobody takes them for keys. */
const gatewaySecret = '01'.repeat(32)
const ephemeralSecret = '02'.repeat(32)
const responseNonce = '03'.repeat(16)
const otherPublicKey = '04'.repeat(32)

const request: BinaryRequest = {
  method: 'POST',
  scheme: 'https',
  authority: 'node.example',
  path: '/v1/chat/completions',
  headers: [['content-type', 'application/json']],
  content: utf8('{"model":"reference-analyst","stream":true}'),
  trailers: [],
}
const response: BinaryResponse = {
  informational: [{ status: 103, headers: [['link', '</v1/models>']] }],
  status: 200,
  headers: [['content-type', 'text/event-stream']],
  content: utf8('data: {"choices":[]}\n\ndata: [DONE]\n\n'),
  trailers: [['usage-tokens', '12']],
}

/**
 * Our own vectors, as `vectors.json` holds them: each the inputs and the bytes on the wire, in hexadecimal.
 *
 * They hold what the published vectors do not: indeterminate-length messages in pieces, padding, cells, and a
 * whole answer in cells in chunks. Every suite must give the same.
 */
export async function buildVectors(suite: HpkeSuite) {
  const own = await createGatewayKey(suite, 7, await suite.importPrivateKey(fromHex(gatewaySecret)))
  const key = await createOhttpKey(suite, keyConfigOf(own))
  const ephemeral = await suite.importPrivateKey(fromHex(ephemeralSecret))
  const nonce = fromHex(responseNonce)

  const known = encodeRequest(request)
  const whole = await encapsulateRequest(key, padRequest(known), ephemeral)
  const answer = encodeResponse(response)

  const chunkedRequest = await sealChunkedRequest(key, ephemeral)
  const answerPieces = [
    encodeResponseHead(response),
    encodeContent(response.content.subarray(0, 22)),
    encodeContent(response.content.subarray(22)),
    encodeEnd(response.trailers),
  ]
  const cells = answerPieces.flatMap((piece) => {
    const packer = new CellPacker(64)
    const full = packer.push(piece)
    return packer.pending > 0 ? [...full, packer.flush()] : full
  })
  const chunks = await sealChunkedResponse(chunkedRequest.exchange, nonce)
  const sealedCells = await Promise.all(cells.map((cell) => chunks.seal(cell)))

  return {
    description:
      'Vectors of docs/wire.md, in hexadecimal. The keys are patterns and the nonce is fixed: never use them.',
    binaryHttp: {
      request: describeMessage(request),
      requestKnownLength: toHex(known),
      requestKnownLengthTruncated: toHex(encodeRequest(request, { truncate: true })),
      requestIndeterminateLength: toHex(encodeRequest(request, { framing: 'indeterminate' })),
      requestHeadOfStream: toHex(encodeRequestHead(request)),
      response: {
        ...describeMessage(response),
        informational: response.informational.map(({ status, headers }) => ({
          status,
          headers: describeFields(headers),
        })),
      },
      responseKnownLength: toHex(answer),
      responseStreamed: toHex(concatBytes(...answerPieces)),
    },
    padding: {
      length: known.length,
      paddedLength: padRequest(known).length,
    },
    cells: {
      size: 64,
      cells: cells.map((cell) => ({ cell: toHex(cell) })),
      empty: toHex(new CellPacker(64).flush()),
    },
    keyConfigs: {
      keyId: own.keyId,
      privateKey: gatewaySecret,
      publicKey: toHex(own.publicKey.bytes),
      encoded: toHex(encodeKeyConfigs([keyConfigOf(own)])),
      withASecond: toHex(
        encodeKeyConfigs([
          keyConfigOf(own),
          {
            keyId: 8,
            publicKey: fromHex(otherPublicKey),
            algorithms: [
              { kdfId: 1, aeadId: 1 },
              { kdfId: 1, aeadId: 3 },
            ],
          },
        ]),
      ),
    },
    ohttp: {
      ephemeralPrivateKey: ephemeralSecret,
      enc: toHex(whole.exchange.enc),
      responseNonce,
      encapsulatedRequest: toHex(whole.message),
      encapsulatedResponse: toHex(await encapsulateResponse(whole.exchange, answer, nonce)),
    },
    chunkedOhttp: {
      ephemeralPrivateKey: ephemeralSecret,
      responseNonce,
      requestChunks: [{ plaintext: toHex(known), final: true }],
      encapsulatedRequest: toHex(await chunkedRequest.sealer.end(known)),
      responseChunks: [
        ...cells.map((cell) => ({ plaintext: toHex(cell), final: false })),
        { plaintext: '', final: true },
      ],
      encapsulatedResponse: toHex(concatBytes(...sealedCells, await chunks.end(noBytes))),
    },
  }
}

function describeFields(fields: readonly Field[]) {
  return fields.map(([name, value]) => ({ name, value }))
}

function describeMessage({ content, headers, trailers, ...control }: BinaryRequest | BinaryResponse) {
  return {
    ...control,
    headers: describeFields(headers),
    content: toHex(content),
    trailers: describeFields(trailers),
  }
}
