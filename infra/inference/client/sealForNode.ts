import { createHash } from 'node:crypto'
import { BinaryHttpDecoder, type BinaryHttpEvent } from '../protocol/bhttp/decoder.ts'
import { encodeRequest } from '../protocol/bhttp/encode.ts'
import type { Field } from '../protocol/bhttp/message.ts'
import { noBytes } from '../protocol/binary/bytes.ts'
import { CellUnpacker } from '../protocol/cells.ts'
import { headers } from '../protocol/network/routes.ts'
import { largestInnerBucket } from '../protocol/network/sizes.ts'
import { openChunkedResponse, sealChunkedRequest } from '../protocol/ohttp/chunked.ts'
import type { OhttpExchange, OhttpKey } from '../protocol/ohttp/keys.ts'
import { requestBucket } from '../protocol/padding.ts'
import { refuse } from './refusals.ts'

/** How a node is to answer. */
export type AnswerForm = { readonly cells: number | 'off'; readonly cadence: number | 'off' }

/** A request that only one node can open. */
export type SealedForNode = {
  readonly innerRequest: Uint8Array
  /** SHA-256 of it: what the payment, the authorization and the receipt are bound to. */
  readonly hash: Uint8Array
  readonly exchange: OhttpExchange
  /** Bytes to which the request was padded before it was sealed. */
  readonly bucket: number
}

/**
 * Seals a request for a node: the whole body, and of its head only the content type and how to answer.
 *
 * @param parameters.bucket pads to at least this size, in bytes
 * @throws {PrivateNetworkError} `too_large`
 */
export async function sealForNode(
  key: OhttpKey,
  parameters: {
    readonly resource: string
    readonly body: Uint8Array
    readonly form: AnswerForm
    readonly bucket?: number | undefined
  },
): Promise<SealedForNode> {
  const { resource, body, form, bucket = 0 } = parameters
  const request = encodeRequest({
    method: 'POST',
    scheme: 'https',
    authority: '',
    path: resource,
    headers: [
      ['content-type', 'application/json'],
      ...(form.cells === 'off'
        ? []
        : [[headers.cells, String(form.cells)] as const, [headers.cadence, String(form.cadence)] as const]),
    ],
    content: body,
    trailers: [],
  })
  if (request.length > largestInnerBucket)
    throw refuse('too_large', { limit: { bytes: body.length, most: largestInnerBucket } })
  const padded = new Uint8Array(Math.max(bucket, requestBucket(request.length)))
  padded.set(request)
  const { sealer, exchange } = await sealChunkedRequest(key)
  const innerRequest = await sealer.end(padded)
  return {
    innerRequest,
    hash: new Uint8Array(createHash('sha256').update(innerRequest).digest()),
    exchange,
    bucket: padded.length,
  }
}

/** Opens a node's answer as its bytes arrive. */
export type NodeAnswerReader = {
  /** Status and headers, once they have arrived. */
  readonly head: { readonly status: number; readonly headers: readonly Field[] } | undefined
  /**
   * Takes bytes as they come, and returns what of the body they complete.
   *
   * @throws BrokenStreamError, DecryptionError, MalformedMessageError, MessageTooLargeError, TruncatedMessageError
   */
  push(bytes: Uint8Array): Promise<Uint8Array>
  /** Says that no bytes follow, and returns the rest. Only then is the answer whole. Throws as `push` does. */
  end(): Promise<Uint8Array>
}

/** The largest body that is taken, in bytes. */
const mostContent = 256 * 1024 * 1024
/** In cells each token takes as many bytes as a cell has. */
const mostSealed = 1024 * 1024 * 1024

/** Makes what opens the answer to one sealed request. */
export function readNodeAnswer(exchange: OhttpExchange, { cells }: AnswerForm): NodeAnswerReader {
  const opener = openChunkedResponse(exchange, { maxMessageBytes: mostSealed })
  const unpacker = cells === 'off' ? undefined : new CellUnpacker(cells)
  const decoder = new BinaryHttpDecoder('response', {
    maxContentBytes: mostContent,
    maxPaddingBytes: mostContent,
  })
  let head: NodeAnswerReader['head']

  const decode = (plaintext: Uint8Array, pieces: Uint8Array[]): void =>
    // Joined, since a cell is small and each piece costs as much as its bytes.
    take(decoder.push(unpacker === undefined ? plaintext : join(unpacker.push(plaintext))), pieces)
  const take = (events: readonly BinaryHttpEvent[], pieces: Uint8Array[]): void => {
    for (const event of events) {
      if (event.type === 'response') head = { status: event.status, headers: event.headers }
      else if (event.type === 'content') pieces.push(event.bytes)
    }
  }
  const join = (pieces: readonly Uint8Array[]): Uint8Array =>
    pieces.length === 1 && pieces[0] !== undefined
      ? pieces[0]
      : pieces.length === 0
        ? noBytes
        : Buffer.concat(pieces)

  return {
    get head() {
      return head
    },
    async push(bytes) {
      const pieces: Uint8Array[] = []
      for (const plaintext of await opener.push(bytes)) decode(plaintext, pieces)
      return join(pieces)
    },
    async end() {
      const pieces: Uint8Array[] = []
      decode(await opener.end(), pieces)
      unpacker?.end()
      take(decoder.end(), pieces)
      return join(pieces)
    },
  }
}
