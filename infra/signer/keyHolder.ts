import type {
  Address,
  Hex,
  SignedAuthorization,
  TransactionSerializableEIP1559,
  TransactionSerializableEIP7702,
} from 'viem'

/** A transaction as it is before anybody has signed it. */
export type UnsignedTransaction =
  | (TransactionSerializableEIP1559 & { readonly type: 'eip1559' })
  | (TransactionSerializableEIP7702 & { readonly type: 'eip7702' })

/**
 * Whoever has a key: this process (any viem `PrivateKeyAccount` is one), a remote signer or a KMS. It signs what it is
 * given; what that may be is judged, recorded and limited before it is asked.
 *
 * Musts:
 * - what it signs is exactly the transaction that it was given, by the key of its address;
 * - it says so in an error that is a `SignerError` when it cannot.
 */
export type KeyHolder = {
  readonly address: Address
  /** @returns the signed transaction, ready for a node */
  signTransaction(transaction: UnsignedTransaction): Promise<Hex>
  /** Signs an EIP-7702 authorisation. Absent where the holder cannot: then its account has to delegate already. */
  signAuthorization?(authorization: {
    readonly address: Address
    readonly chainId: number
    readonly nonce: number
  }): Promise<SignedAuthorization>
}
