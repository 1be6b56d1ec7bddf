import { byteStringToBytes, concatBytes } from '../binary/bytes.ts'
import { type Aead, suiteLengths } from '../hpke/suite.ts'
import type { OhttpExchange } from './keys.ts'

const { Nk, Nn } = suiteLengths

/** Length of a response nonce, in bytes: `max(Nn, Nk)` (RFC 9458, section 4.4). */
export const responseNonceLength = Math.max(Nn, Nk)

const responseLabels = {
  whole: byteStringToBytes('message/bhttp response'),
  chunked: byteStringToBytes('message/bhttp chunked response'),
}
const keyLabel = byteStringToBytes('key')
const nonceLabel = byteStringToBytes('nonce')

/**
 * The keys that protect a response.
 *
 *     secret = context.Export("message/bhttp response", entropy_len)
 *     response_nonce = random(entropy_len)
 *     salt = concat(enc, response_nonce)
 *     prk = Extract(salt, secret)
 *     aead_key = Expand(prk, "key", Nk)
 *     aead_nonce = Expand(prk, "nonce", Nn)
 *
 * (RFC 9458, section 4.4; chunked OHTTP, section 6.2, has `"message/bhttp chunked response"`)
 *
 * @param responseNonce {@link responseNonceLength} bytes
 */
export async function deriveResponseKeys(
  exchange: OhttpExchange,
  responseNonce: Uint8Array,
  kind: keyof typeof responseLabels,
): Promise<{ readonly aead: Aead; readonly nonce: Uint8Array }> {
  const { suite, enc } = exchange
  const secret = await exchange.export(responseLabels[kind], responseNonceLength)
  const prk = await suite.extract(concatBytes(enc, responseNonce), secret)
  const key = await suite.expand(prk, keyLabel, Nk)
  const nonce = await suite.expand(prk, nonceLabel, Nn)
  return { aead: await suite.aead(key), nonce }
}
