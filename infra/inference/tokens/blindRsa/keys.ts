import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { concat, sameBytes, sha256 } from '../bytes.ts'
import { TokenError } from '../errors.ts'
import { toInteger, toOctets } from './integers.ts'

/** An RSA public key, read once: the integers for blinding, OpenSSL's handle for verifying. */
export type BlindRsaPublicKey = {
  readonly n: bigint
  readonly e: bigint
  /** The modulus as big-endian bytes, as long as {@link length}: comparing bytes makes no integer of them. */
  readonly modulus: Uint8Array
  readonly bits: number
  /** Bytes of the modulus, of a blinded message and of a signature. */
  readonly length: number
  /** Kept, because reading a key takes longer than verifying with it (114 against 18 µs). */
  readonly handle: KeyObject
}

/** A key of token type 0x0002: 2048 bits, known by the digest of its encoding. */
export type TokenPublicKey = BlindRsaPublicKey & {
  /** The SubjectPublicKeyInfo with the RSASSA-PSS object identifier. 342 bytes. */
  readonly spki: Uint8Array
  /** SHA-256 of {@link spki}. 32 bytes. */
  readonly id: Uint8Array
}

/** What signs. The private key stays in OpenSSL. */
export type TokenKeyPair = { readonly publicKey: TokenPublicKey; readonly privateKey: KeyObject }

/** The exponent that every key has. */
const EXPONENT = 65_537n
const MODULUS_LENGTH = 256

/**
 * The DER of RFC 9578 section 6.5 up to the modulus, which is the same for every key of 2048 bits:
 *
 *     0:d=0  hl=4 l= 338 cons: SEQUENCE
 *     4:d=1  hl=2 l=  61 cons: SEQUENCE
 *     6:d=2  hl=2 l=   9 prim: OBJECT            :rsassaPss
 *    17:d=2  hl=2 l=  48 cons: SEQUENCE
 *    19:d=3  hl=2 l=  13 cons: cont [ 0 ]
 *    21:d=4  hl=2 l=  11 cons: SEQUENCE
 *    23:d=5  hl=2 l=   9 prim: OBJECT            :sha384
 *    34:d=3  hl=2 l=  26 cons: cont [ 1 ]
 *    36:d=4  hl=2 l=  24 cons: SEQUENCE
 *    38:d=5  hl=2 l=   9 prim: OBJECT            :mgf1
 *    49:d=5  hl=2 l=  11 cons: SEQUENCE
 *    51:d=6  hl=2 l=   9 prim: OBJECT            :sha384
 *    62:d=3  hl=2 l=   3 cons: cont [ 2 ]
 *    64:d=4  hl=2 l=   1 prim: INTEGER           :30
 *    67:d=1  hl=4 l= 271 prim: BIT STRING
 *
 * OpenSSL writes a NULL after each hash and so another encoding, with another key id. Hence ours.
 */
const SPKI_HEAD = Buffer.from(
  '30820152303d06092a864886f70d01010a3030a00d300b0609608648016503040202a11a301806092a864886f70d010108300b' +
    '0609608648016503040202a2030201300382010f003082010a0282010100',
  'hex',
)
const SPKI_TAIL = Buffer.from('0203010001', 'hex')
const SPKI_LENGTH = SPKI_HEAD.length + MODULUS_LENGTH + SPKI_TAIL.length

/** A key from its integers, of any size. @throws {TokenError} `TOKEN_KEY` when it can be no RSA key. */
export function publicKeyOf(modulus: Uint8Array, exponent: Uint8Array): BlindRsaPublicKey {
  const n = toInteger(modulus)
  const e = toInteger(exponent)
  const bits = n.toString(2).length
  // An even modulus is no product of two odd primes, and an even exponent has no inverse.
  if ((n & 1n) === 0n || (e & 1n) === 0n || e < 3n || e >= n) throw notAKey('its numbers are no RSA key')
  try {
    const handle = createPublicKey({
      format: 'jwk',
      key: {
        kty: 'RSA',
        n: Buffer.from(modulus).toString('base64url'),
        e: Buffer.from(exponent).toString('base64url'),
      },
    })
    const length = Math.ceil(bits / 8)
    return { n, e, modulus: toOctets(n, length), bits, length, handle }
  } catch (cause) {
    throw notAKey('OpenSSL does not take it', cause)
  }
}

/**
 * Reads a token key: 2048 bits, exponent 65537, in the one encoding that RFC 9578 section 6.5 allows. Any other way
 * to write the same key is refused, since it would give the key a second id.
 *
 * @throws {TokenError} `TOKEN_KEY`
 */
export function readTokenKey(spki: Uint8Array): TokenPublicKey {
  if (spki.length !== SPKI_LENGTH) throw notAKey(`it has ${spki.length} bytes instead of ${SPKI_LENGTH}`)
  const modulus = spki.slice(SPKI_HEAD.length, SPKI_HEAD.length + MODULUS_LENGTH)
  if (
    !sameBytes(spki.subarray(0, SPKI_HEAD.length), SPKI_HEAD) ||
    !sameBytes(spki.subarray(SPKI_HEAD.length + MODULUS_LENGTH), SPKI_TAIL)
  )
    throw notAKey('it is not encoded as RFC 9578 section 6.5 asks')
  const key = publicKeyOf(modulus, SPKI_TAIL.subarray(2))
  if (key.bits !== MODULUS_LENGTH * 8) throw notAKey(`it has ${key.bits} bits instead of 2048`)
  return { ...key, spki: Uint8Array.from(spki), id: sha256(spki) }
}

/** Makes a key. It takes OpenSSL a tenth of a second or so, off the event loop. */
export async function generateTokenKey(): Promise<TokenKeyPair> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: MODULUS_LENGTH * 8,
    publicExponent: Number(EXPONENT),
  })
  return pairOf(privateKey)
}

/** The private key as PKCS #8 in DER, to be kept secret. */
export const exportPrivateKey = (pair: TokenKeyPair): Uint8Array =>
  pair.privateKey.export({ format: 'der', type: 'pkcs8' })

/**
 * Reads what {@link exportPrivateKey} wrote.
 *
 * @throws {TokenError} `TOKEN_KEY` when it is not an RSA key of 2048 bits with exponent 65537.
 */
export function readPrivateKey(pkcs8: Uint8Array): TokenKeyPair {
  let privateKey: KeyObject
  try {
    privateKey = createPrivateKey({ format: 'der', type: 'pkcs8', key: Buffer.from(pkcs8) })
  } catch {
    // The cause is left out: it is OpenSSL's word on bytes that are a secret.
    throw notAKey('it is no private key in PKCS #8')
  }
  // A key marked as RSASSA-PSS would do, but OpenSSL refuses it the unpadded operation that blind signing is.
  if (privateKey.asymmetricKeyType !== 'rsa') throw notAKey('it is no RSA key')
  return pairOf(privateKey)
}

function pairOf(privateKey: KeyObject): TokenKeyPair {
  const { n = '', e = '' } = createPublicKey(privateKey).export({ format: 'jwk' })
  const modulus = Buffer.from(n, 'base64url')
  if (toInteger(Buffer.from(e, 'base64url')) !== EXPONENT) throw notAKey('its exponent is not 65537')
  return { publicKey: readTokenKey(concat(SPKI_HEAD, modulus, SPKI_TAIL)), privateKey }
}

const notAKey = (problem: string, cause?: unknown): TokenError =>
  new TokenError('TOKEN_KEY', `The token key cannot be used: ${problem}.`, {
    fix: 'Use an RSA key of 2048 bits with exponent 65537, encoded as RFC 9578 section 6.5 says.',
    cause,
  })
