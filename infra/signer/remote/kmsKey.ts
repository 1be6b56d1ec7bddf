import { fromDerBytes } from 'ox/Signature'
import {
  type Address,
  bytesToHex,
  type Hex,
  hexToBytes,
  isAddressEqual,
  keccak256,
  numberToHex,
  recoverAddress,
  serializeTransaction,
  type TransactionSerializable,
} from 'viem'
import { publicKeyToAddress } from 'viem/accounts'
import { hashAuthorization } from 'viem/utils'
import type { KeyHolder } from '../keyHolder.ts'
import { HALF_ORDER } from './checkSigned.ts'
import { contradicted, misconfigured } from './errors.ts'

/** What a KMS has to be able to do. */
export type Kms = {
  /** The public key of a key, as DER-encoded SubjectPublicKeyInfo. @throws {SignerError} */
  publicKey(keyId: string): Promise<Uint8Array>
  /** Signs 32 bytes as they are. @returns an ECDSA signature in DER @throws {SignerError} */
  sign(keyId: string, digest: Uint8Array): Promise<Uint8Array>
}

/** A key of AWS KMS, as a configuration names it. */
export type KmsKey = {
  readonly kind: 'kms'
  /** Id, ARN or alias. */
  readonly keyId: string
  readonly region?: string
  /** Whose key it has to be. */
  readonly address?: Address
}

const ORDER = 2n * HALF_ORDER + 1n

/** SubjectPublicKeyInfo of an uncompressed point of secp256k1: all but the point is the same for every key. */
const SPKI_HEAD = '0x3056301006072a8648ce3d020106052b8104000a034200'

/**
 * A key that a KMS has, of the kind that Ethereum uses (AWS: `ECC_SECG_P256K1`, for signing). It signs digests, so
 * delegations too; what they are of is made here.
 *
 * @param expected the account that the configuration names, if it names one
 * @throws {SignerError} `SIGNER_CONFIGURATION` for a key of another kind or account, `KEY_HOLDER` when the KMS does not
 * answer, or with something that its key has not signed.
 */
export async function openKmsKey(kms: Kms, keyId: string, expected?: Address): Promise<KeyHolder> {
  const address = addressOf(await kms.publicKey(keyId), keyId)
  if (expected !== undefined && !isAddressEqual(address, expected))
    throw misconfigured(
      `The KMS key ${keyId} is the key of ${address}, not of ${expected}.`,
      'Correct the configuration.',
    )

  async function signDigest(digest: Hex) {
    const { r, s } = readSignature(await kms.sign(keyId, hexToBytes(digest)))
    for (const yParity of [0, 1] as const) {
      const signature = { r: numberToHex(r, { size: 32 }), s: numberToHex(s, { size: 32 }), yParity }
      const signer = await recoverAddress({ hash: digest, signature }).catch(() => null)
      if (signer !== null && isAddressEqual(signer, address)) return signature
    }
    throw contradicted('the KMS', 'its key has not signed it')
  }

  return {
    address,
    async signTransaction(transaction) {
      const unsigned = transaction as TransactionSerializable
      return serializeTransaction(unsigned, await signDigest(keccak256(serializeTransaction(unsigned))))
    },
    async signAuthorization({ address: contract, chainId, nonce }) {
      const signature = await signDigest(hashAuthorization({ contractAddress: contract, chainId, nonce }))
      return { address: contract, chainId, nonce, ...signature }
    },
  }
}

function addressOf(spki: Uint8Array, keyId: string): Address {
  const hex = bytesToHex(spki)
  // 65 bytes: 0x04, and both coordinates.
  if (hex.startsWith(`${SPKI_HEAD}04`) && spki.length === (SPKI_HEAD.length - 2) / 2 + 65)
    return publicKeyToAddress(`0x${hex.slice(SPKI_HEAD.length)}`)
  throw misconfigured(
    `The KMS key ${keyId} is not of the kind that Ethereum uses.`,
    'Make one of the kind ECC_SECG_P256K1, for signing.',
  )
}

/** With the lower of the two `s` that hold: nodes take no other (EIP-2), and a KMS gives either. */
function readSignature(der: Uint8Array): { readonly r: bigint; readonly s: bigint } {
  try {
    const { r, s } = fromDerBytes(der)
    return { r, s: s > HALF_ORDER ? ORDER - s : s }
  } catch {
    throw contradicted('the KMS', 'it is no signature')
  }
}
