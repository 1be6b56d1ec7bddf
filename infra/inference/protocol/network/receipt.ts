import { createHash } from 'node:crypto'
import { ByteReader } from '../binary/byteReader.ts'
import { byteStringToBytes, concatBytes } from '../binary/bytes.ts'
import { MalformedMessageError } from '../errors.ts'
import { type Identity, type IdentityKey, sign, signatureLength, verify } from './identity.ts'

/** What a node says that a request used, signed with its identity. */
export type Receipt = {
  /** What was paid, in payment tokens. */
  readonly ceiling: number
  /** What it used of that, in payment tokens, rounded up: the coarse step that is all a gateway learns. */
  readonly used: number
  /** SHA-256 of the name of the model that answered, 32 bytes. */
  readonly modelDigest: Uint8Array
  readonly signature: Uint8Array
}

const version = 1
const label = byteStringToBytes('rialto receipt v1\0')

/** SHA-256 of a model's name in UTF-8. */
export const modelDigest = (model: string): Uint8Array =>
  new Uint8Array(createHash('sha256').update(model, 'utf8').digest())

type Signed = Omit<Receipt, 'signature'>

const signedBytes = ({ ceiling, used, modelDigest: digest }: Signed, innerRequestHash: Uint8Array) =>
  concatBytes(label, innerRequestHash, Uint8Array.of(ceiling, used), digest)

/**
 * Signs a usage for the request with that hash.
 *
 * @param used at most the ceiling, in payment tokens
 * @param innerRequestHash SHA-256 of the sealed request, 32 bytes
 */
export function createReceipt(
  node: IdentityKey,
  parameters: {
    readonly ceiling: number
    readonly used: number
    readonly model: string
    readonly innerRequestHash: Uint8Array
  },
): Receipt {
  const { ceiling, used, model, innerRequestHash } = parameters
  const signed = { ceiling, used, modelDigest: modelDigest(model) }
  return { ...signed, signature: sign(node, signedBytes(signed, innerRequestHash)) }
}

/** Whether that node signed the receipt for that request, and it charges no more than was paid. */
export const checkReceipt = (
  receipt: Receipt,
  { node, innerRequestHash }: { readonly node: Identity; readonly innerRequestHash: Uint8Array },
): boolean =>
  receipt.used <= receipt.ceiling && verify(node, signedBytes(receipt, innerRequestHash), receipt.signature)

/**
 * The receipt on the wire:
 *
 *     struct {
 *       uint8 version = 1;
 *       uint8 ceiling;
 *       uint8 used;
 *       opaque model_digest[32];
 *       opaque signature[64];
 *     } Receipt;
 *
 * with an Ed25519 signature over
 * `"rialto receipt v1" || 0x00 || inner_request_hash[32] || ceiling || used || model_digest`.
 */
export const encodeReceipt = (receipt: Receipt): Uint8Array =>
  concatBytes(Uint8Array.of(version, receipt.ceiling, receipt.used), receipt.modelDigest, receipt.signature)

/** Reads what {@link encodeReceipt} writes. @throws MalformedMessageError, TruncatedMessageError */
export function decodeReceipt(bytes: Uint8Array): Receipt {
  const reader = new ByteReader(bytes, 'a receipt')
  if (reader.uint8() !== version) throw new MalformedMessageError('has a receipt of an unknown version')
  const receipt = {
    ceiling: reader.uint8(),
    used: reader.uint8(),
    modelDigest: reader.bytes(32).slice(),
    signature: reader.bytes(signatureLength).slice(),
  }
  if (reader.remaining > 0) throw new MalformedMessageError('has bytes behind a receipt')
  return receipt
}
