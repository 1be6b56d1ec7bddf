import { CompactSign, compactVerify, errors } from 'jose'
import { MalformedMessageError } from '../errors.ts'
import type { Identity, IdentityKey } from './identity.ts'
import { fromBase64Url } from './text.ts'

/**
 * A JSON document with its signature: a JWS in compact form (RFC 7515) with Ed25519 (RFC 8037) and a `typ` of its
 * own, so that one kind of document never passes as another.
 */
export type DocumentType = 'rialto-directory+jwt' | 'rialto-node+jwt'

/** Signs a document. */
export const signDocument = (key: IdentityKey, type: DocumentType, document: object): Promise<string> =>
  new CompactSign(new TextEncoder().encode(JSON.stringify(document)))
    .setProtectedHeader({ alg: 'EdDSA', typ: type })
    .sign(key.privateKey)

/**
 * The content of a document, if that identity signed it.
 *
 * @returns the JSON value, of which nothing but the signature is known
 * @throws MalformedMessageError when it is no such document, or the signature is not the identity's
 */
export async function openDocument(text: string, type: DocumentType, signer: Identity): Promise<unknown> {
  // A decoder that forgives would let one document have several texts, and sources are compared by their texts.
  for (const part of text.split('.')) fromBase64Url(part, 'a signed document')
  try {
    const { payload, protectedHeader } = await compactVerify(text, signer.handle, { algorithms: ['EdDSA'] })
    if (protectedHeader.typ !== type) throw new MalformedMessageError('is a signed document of another kind')
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload)) as unknown
  } catch (error) {
    if (error instanceof MalformedMessageError) throw error
    if (error instanceof errors.JWSSignatureVerificationFailed)
      throw new MalformedMessageError('has a signature that is not of the identity that it names')
    throw new MalformedMessageError('is no signed document')
  }
}

/**
 * The content of a document before its signature is checked: only to find out who claims to have signed it.
 *
 * @throws MalformedMessageError
 */
export function peekDocument(text: string): unknown {
  const [, payload = ''] = text.split('.')
  try {
    return JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as unknown
  } catch {
    throw new MalformedMessageError('is no signed document')
  }
}
