import { InvariantError } from '../../../../runtime/core/errors.ts'
import { ByteQueue } from '../binary/byteQueue.ts'
import { byteStringToBytes, concatBytes, noBytes } from '../binary/bytes.ts'
import { BrokenStreamError, DecryptionError } from '../errors.ts'
import { NonceSequence } from '../hpke/sequence.ts'
import type { HpkePrivateKey } from '../hpke/suite.ts'
import { ChunkFrames, type ChunkLimits, chunkHead, maxChunkLength } from './chunkFrames.ts'
import { diagnoseChunk } from './diagnoseChunk.ts'
import { checkResponseNonce } from './encapsulate.ts'
import {
  type GatewayKey,
  type GatewayKeys,
  type OhttpExchange,
  type OhttpKey,
  readRequestHeader,
  requestHeaderLength,
} from './keys.ts'
import { deriveResponseKeys, responseNonceLength } from './responseKeys.ts'

/** "The final chunk in a request uses an AAD of the string "final"" (chunked OHTTP, section 6.1). */
const finalAad = byteStringToBytes('final')
const aadOf = (final: boolean): Uint8Array => (final ? finalAad : noBytes)

/** Seals a message piece by piece. What it returns belongs on the wire in the order of the calls. */
export type ChunkSealer = {
  /** Seals a piece; more than {@link maxChunkLength} bytes become several chunks. */
  seal(plaintext: Uint8Array): Promise<Uint8Array>
  /** Seals the last piece, which may be empty, with the final marker. Nothing can be sealed after it. */
  end(plaintext?: Uint8Array): Promise<Uint8Array>
}

/** Opens a message piece by piece. Calls may overlap; they are answered in their order. */
export type ChunkOpener = {
  /**
   * Takes bytes as the transport cut them, and returns the chunks that they complete.
   *
   * What it returns is authentic and in order, but not yet the whole message. After a failure every call fails
   * alike.
   *
   * @throws DecryptionError, BrokenStreamError, MessageTooLargeError
   */
  push(bytes: Uint8Array): Promise<Uint8Array[]>
  /**
   * Says that the transport has ended, and returns the final chunk. Only then is the message complete.
   *
   * @throws BrokenStreamError `truncated` if there was no final chunk
   * @throws DecryptionError
   */
  end(): Promise<Uint8Array>
}

/**
 * Begins a request in chunks, as `message/ohttp-chunked-req` (draft-ietf-ohai-chunked-ohttp-08, section 6.1).
 *
 *     Chunked Encapsulated Request {
 *       Chunked Request Header (56 + 8 * Nenc),
 *       Chunked Request Chunks (..),
 *     }
 *
 *     sealed_chunk = sctxt.Seal("", chunk)
 *     sealed_chunk_len = varint_encode(len(sealed_chunk))
 *     non_final_chunk = concat(sealed_chunk_len, sealed_chunk)
 *
 *     sealed_final_chunk = sctxt.Seal("final", chunk)
 *     final_chunk = concat(varint_encode(0), sealed_final_chunk)
 *
 * @param ephemeral for published vectors only: a key that is used twice breaks the encryption
 * @returns the sealer, and the exchange that {@link openChunkedResponse} needs
 * @throws InvalidKeyError if the gateway's key is a point of low order
 * @example
 * const { sealer, exchange } = await sealChunkedRequest(key)
 * const body = await sealer.end(encodeRequest(request)) // a request that is there at once
 */
export async function sealChunkedRequest(
  key: OhttpKey,
  ephemeral?: HpkePrivateKey,
): Promise<{ readonly sealer: ChunkSealer; readonly exchange: OhttpExchange }> {
  const sender = await key.suite.setupSender(key.publicKey, key.chunkedRequestInfo, ephemeral)
  return {
    sealer: createSealer(concatBytes(key.header, sender.enc), sender.seal),
    exchange: { suite: key.suite, enc: sender.enc, export: sender.export },
  }
}

/** Opens a chunked request, and knows its exchange as soon as the first chunk has opened. */
export type ChunkedRequestOpener = ChunkOpener & {
  /**
   * Whose request this is: `undefined` before anything of it has opened.
   *
   * Ask a {@link ReplaySet} with `exchange.enc` before anything is done for the request.
   */
  readonly opened: { readonly key: GatewayKey; readonly exchange: OhttpExchange } | undefined
}

/**
 * Opens a chunked request at its gateway (draft-ietf-ohai-chunked-ohttp-08, section 6.1).
 *
 * Whatever does not open is one {@link DecryptionError}: a gateway does not look for the reason.
 *
 * Its methods also throw `UnknownKeyError` if the request is sealed for another key.
 */
export function openChunkedRequest(keys: GatewayKeys, limits?: ChunkLimits): ChunkedRequestOpener {
  let opened: ChunkedRequestOpener['opened']
  const opener = createOpener(requestHeaderLength, limits, async (header) => {
    const { key, enc } = readRequestHeader(header, keys)
    const recipient = await key.suite.setupRecipient(enc, key.privateKey, key.chunkedRequestInfo)
    return async (sealed, final) => {
      const plaintext = await recipient.open(sealed, aadOf(final))
      opened ??= { key, exchange: { suite: key.suite, enc: recipient.enc, export: recipient.export } }
      return plaintext
    }
  })
  return {
    ...opener,
    get opened() {
      return opened
    },
  }
}

/**
 * Begins the response to a request in chunks, as `message/ohttp-chunked-res`
 * (draft-ietf-ohai-chunked-ohttp-08, section 6.2).
 *
 *     Chunked Encapsulated Response {
 *       Response Nonce (Nk),
 *       Chunked Response Chunks (..),
 *     }
 *
 *     chunk_nonce = aead_nonce XOR encode(Nn, counter)
 *     sealed_chunk = Seal(aead_key, chunk_nonce, "", chunk)
 *     sealed_chunk_len = varint_encode(len(sealed_chunk))
 *     non_final_chunk = concat(sealed_chunk_len, sealed_chunk)
 *     counter++
 *
 *     chunk_nonce = aead_nonce XOR encode(Nn, counter)
 *     sealed_final_chunk = Seal(aead_key, chunk_nonce, "final", chunk)
 *     final_chunk = concat(varint_encode(0), sealed_final_chunk)
 *
 * @param responseNonce for published vectors only: it must be random
 */
export async function sealChunkedResponse(
  exchange: OhttpExchange,
  responseNonce: Uint8Array = exchange.suite.randomBytes(responseNonceLength),
): Promise<ChunkSealer> {
  checkResponseNonce(responseNonce)
  const { aead, nonce } = await deriveResponseKeys(exchange, responseNonce, 'chunked')
  const nonces = new NonceSequence(nonce)
  return createSealer(responseNonce, async (plaintext, aad, head) =>
    aead.seal(nonces.take(), aad, plaintext, head),
  )
}

/**
 * Opens the response to a request in chunks (draft-ietf-ohai-chunked-ohttp-08, section 6.2).
 *
 * The client holds the key, so it can tell what was done to a stream: a chunk that does not open is tried at
 * the places around its own, and {@link BrokenStreamError} says which it was; what opens nowhere is a
 * {@link DecryptionError}.
 */
export function openChunkedResponse(exchange: OhttpExchange, limits?: ChunkLimits): ChunkOpener {
  return createOpener(responseNonceLength, limits, async (responseNonce) => {
    const { aead, nonce } = await deriveResponseKeys(exchange, responseNonce, 'chunked')
    const nonces = new NonceSequence(nonce)
    return async (sealed, final) => {
      nonces.check()
      const position = nonces.position
      const openAt = async (sequence: number, asFinal: boolean, bytes: Uint8Array) =>
        aead.open(nonces.at(sequence), aadOf(asFinal), bytes)
      try {
        const plaintext = await openAt(position, final, sealed)
        nonces.advance()
        return plaintext
      } catch (error) {
        if (!(error instanceof DecryptionError)) throw error
        return diagnoseChunk(openAt, position, final, sealed)
      }
    }
  })
}

/**
 * Opens a message from whatever it arrives on, chunk by chunk.
 *
 * @param source the bytes of the message, cut anyhow
 * @throws what {@link ChunkOpener} throws; a consumer that leaves early ends the source
 * @example
 * for await (const plaintext of openChunks(openChunkedResponse(exchange), response.body)) show(plaintext)
 * // Only here is the answer known to be whole.
 */
export async function* openChunks(
  opener: ChunkOpener,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const bytes of source) yield* await opener.push(bytes)
  yield await opener.end()
}

function createSealer(
  prefix: Uint8Array,
  sealChunk: (plaintext: Uint8Array, aad: Uint8Array, head: Uint8Array) => Promise<Uint8Array>,
): ChunkSealer {
  let start = prefix
  let ended = false

  const sealOne = (plaintext: Uint8Array, final: boolean): Promise<Uint8Array> => {
    const head = chunkHead(plaintext.length, final, start)
    start = noBytes
    return sealChunk(plaintext, aadOf(final), head)
  }

  // Everything that orders chunks happens before the first await, so that calls may overlap.
  const sealAll = async (plaintext: Uint8Array, final: boolean): Promise<Uint8Array> => {
    if (ended) throw new InvariantError('A chunk was to be sealed behind the final one.')
    ended = final
    if (plaintext.length <= maxChunkLength) return sealOne(plaintext, final)
    const chunks: Promise<Uint8Array>[] = []
    for (let at = 0; at < plaintext.length; at += maxChunkLength) {
      const end = at + maxChunkLength
      chunks.push(sealOne(plaintext.subarray(at, end), final && end >= plaintext.length))
    }
    return concatBytes(...(await Promise.all(chunks)))
  }

  return {
    seal: (plaintext) => sealAll(plaintext, false),
    end: (plaintext = noBytes) => sealAll(plaintext, true),
  }
}

type OpenChunk = (sealed: Uint8Array, final: boolean) => Promise<Uint8Array>

/**
 * @param headLength how many bytes precede the chunks
 * @param begin makes of them what opens the chunks
 */
function createOpener(
  headLength: number,
  limits: ChunkLimits | undefined,
  begin: (head: Uint8Array) => Promise<OpenChunk>,
): ChunkOpener {
  const headQueue = new ByteQueue()
  const frames = new ChunkFrames(limits)
  let openChunk: OpenChunk | undefined
  let ended = false
  let last: Promise<unknown> = Promise.resolve()

  /** Runs steps one after the other; after one that failed, all others fail with it. */
  const inTurn = <Value>(step: () => Promise<Value>): Promise<Value> => {
    const result = last.then(step)
    last = result
    // Whoever called is told; this only keeps a failure that was told from being reported a second time.
    result.catch(() => undefined)
    return result
  }

  const push = async (bytes: Uint8Array): Promise<Uint8Array[]> => {
    if (bytes.length === 0) return []
    if (ended) throw new BrokenStreamError('trailing')
    let rest = bytes
    if (openChunk === undefined) {
      const missing = headLength - headQueue.length
      headQueue.push(rest.subarray(0, missing))
      rest = rest.subarray(missing)
      const head = headQueue.take(headLength)
      if (head === undefined) return []
      openChunk = await begin(head)
    }
    frames.push(rest)
    const plaintexts: Uint8Array[] = []
    for (let sealed = frames.next(); sealed !== undefined; sealed = frames.next())
      plaintexts.push(await openChunk(sealed, false))
    return plaintexts
  }

  return {
    push: (bytes) => inTurn(() => push(bytes)),
    end: () =>
      inTurn(async () => {
        if (ended) throw new InvariantError('A stream of chunks was ended twice.')
        ended = true
        if (openChunk === undefined) throw new BrokenStreamError('truncated')
        return openChunk(frames.end(), true)
      }),
  }
}
