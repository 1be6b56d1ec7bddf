import { InvariantError } from '../../../../runtime/core/errors.ts'
import { concatBytes, noBytes } from '../binary/bytes.ts'
import { TruncatedMessageError } from '../errors.ts'
import type { HpkePrivateKey } from '../hpke/suite.ts'
import {
  type GatewayKey,
  type GatewayKeys,
  type OhttpExchange,
  type OhttpKey,
  readRequestHeader,
  requestHeaderLength,
} from './keys.ts'
import { deriveResponseKeys, responseNonceLength } from './responseKeys.ts'

/**
 * Seals a request for a gateway, as `message/ohttp-req` (RFC 9458, section 4.3).
 *
 *     Encapsulated Request {
 *       Key Identifier (8),
 *       HPKE KEM ID (16),
 *       HPKE KDF ID (16),
 *       HPKE AEAD ID (16),
 *       Encapsulated KEM Shared Secret (8 * Nenc),
 *       HPKE-Protected Request (..),
 *     }
 *
 *     enc, sctxt = SetupBaseS(pkR, info)
 *     ct = sctxt.Seal("", request)
 *     enc_request = concat(hdr, enc, ct)
 *
 * @param request a Binary HTTP request
 * @param ephemeral for published vectors only: a key that is used twice breaks the encryption
 * @returns the message, and the exchange that {@link decapsulateResponse} needs
 * @throws InvalidKeyError if the gateway's key is a point of low order
 * @example
 * const key = await createOhttpKey(webHpke, selectKeyConfig(decodeKeyConfigs(bytes)))
 * const { message, exchange } = await encapsulateRequest(key, encodeRequest(request))
 * const answer = await fetch(relay, { method: 'POST', body: message, headers: { 'content-type': ohttpMediaTypes.request } })
 * decodeResponse(await decapsulateResponse(exchange, new Uint8Array(await answer.arrayBuffer())))
 */
export async function encapsulateRequest(
  key: OhttpKey,
  request: Uint8Array,
  ephemeral?: HpkePrivateKey,
): Promise<{ readonly message: Uint8Array; readonly exchange: OhttpExchange }> {
  const sender = await key.suite.setupSender(key.publicKey, key.requestInfo, ephemeral)
  return {
    message: await sender.seal(request, noBytes, concatBytes(key.header, sender.enc)),
    exchange: { suite: key.suite, enc: sender.enc, export: sender.export },
  }
}

/**
 * Opens a request at its gateway (RFC 9458, section 4.3).
 *
 * It does not know whether the request was received before: ask a {@link ReplaySet} with `exchange.enc` next,
 * before anything is done for it.
 *
 * @throws TruncatedMessageError if it ends within its header
 * @throws UnknownKeyError if it is sealed for another key
 * @throws DecryptionError whatever else is wrong
 */
export async function decapsulateRequest(
  keys: GatewayKeys,
  message: Uint8Array,
): Promise<{ readonly request: Uint8Array; readonly key: GatewayKey; readonly exchange: OhttpExchange }> {
  const { key, enc } = readRequestHeader(message, keys)
  const recipient = await key.suite.setupRecipient(enc, key.privateKey, key.requestInfo)
  const request = await recipient.open(message.subarray(requestHeaderLength))
  return { request, key, exchange: { suite: key.suite, enc: recipient.enc, export: recipient.export } }
}

/**
 * Seals the response to a request, as `message/ohttp-res` (RFC 9458, section 4.4).
 *
 *     Encapsulated Response {
 *       Nonce (8 * max(Nn, Nk)),
 *       AEAD-Protected Response (..),
 *     }
 *
 *     ct = Seal(aead_key, aead_nonce, "", response)
 *     enc_response = concat(response_nonce, ct)
 *
 * @param response a Binary HTTP response
 * @param responseNonce for published vectors only: it must be random
 */
export async function encapsulateResponse(
  exchange: OhttpExchange,
  response: Uint8Array,
  responseNonce: Uint8Array = exchange.suite.randomBytes(responseNonceLength),
): Promise<Uint8Array> {
  checkResponseNonce(responseNonce)
  const { aead, nonce } = await deriveResponseKeys(exchange, responseNonce, 'whole')
  return aead.seal(nonce, noBytes, response, responseNonce)
}

/**
 * Opens the response to a request (RFC 9458, section 4.4).
 *
 * @throws TruncatedMessageError if it ends within its nonce
 * @throws DecryptionError whatever else is wrong
 */
export async function decapsulateResponse(exchange: OhttpExchange, message: Uint8Array): Promise<Uint8Array> {
  if (message.length < responseNonceLength) throw new TruncatedMessageError('an encapsulated response')
  const responseNonce = message.subarray(0, responseNonceLength)
  const { aead, nonce } = await deriveResponseKeys(exchange, responseNonce, 'whole')
  return aead.open(nonce, noBytes, message.subarray(responseNonceLength))
}

/** @throws InvariantError */
export function checkResponseNonce(responseNonce: Uint8Array): void {
  if (responseNonce.length !== responseNonceLength)
    throw new InvariantError(`A response nonce has ${responseNonceLength} bytes.`)
}
