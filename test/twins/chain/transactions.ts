import { createHash } from 'node:crypto'
import {
  type Address,
  getAddress,
  type Hex,
  keccak256,
  parseTransaction,
  recoverTransactionAddress,
  serializeTransaction,
  type TransactionSerialized,
} from 'viem'
import { recoverAuthorizationAddress } from 'viem/utils'
import type { KeyHolder } from '../../../infra/signer/keyHolder.ts'
import type { Hash } from '../../../runtime/core/ids.ts'

/** An EIP-7702 authorisation with whose it is. */
export type Authorization = {
  readonly authority: Address
  readonly delegate: Address
  readonly chainId: number
  readonly nonce: bigint
}

/** What a node makes of raw bytes. */
export type PooledTransaction = {
  readonly raw: Hex
  readonly hash: Hash
  readonly from: Address
  readonly to: Address
  readonly nonce: bigint
  readonly value: bigint
  readonly data: Hex
  readonly gas: bigint
  readonly maxFeePerGas: bigint
  readonly maxPriorityFeePerGas: bigint
  readonly authorizations: readonly Authorization[]
}

/** Tells who signed: the real thing by elliptic curves, or a cheap one for tens of thousands of seeds. */
export type Recovery = {
  sender(raw: Hex): Promise<Address>
  authority(authorization: ParsedAuthorization): Promise<Address>
}

type ParsedAuthorization = {
  readonly address: Address
  readonly chainId: number
  readonly nonce: number
  readonly r?: Hex | undefined
  readonly s?: Hex | undefined
  readonly yParity?: number | undefined
}

/** Recovers from signatures as every node does. */
export const curveRecovery: Recovery = {
  sender: (raw) => recoverTransactionAddress({ serializedTransaction: raw as TransactionSerialized }),
  authority: (authorization) => recoverAuthorizationAddress({ authorization } as never),
}

/** Reads raw bytes. @throws whatever viem throws for bytes that are no transaction of type 2 or 4. */
export async function readTransaction(raw: Hex, recovery: Recovery): Promise<PooledTransaction> {
  const parsed = parseTransaction(raw)
  const from = getAddress(await recovery.sender(raw))
  const list = parsed.type === 'eip7702' ? (parsed.authorizationList ?? []) : []
  return {
    raw,
    hash: keccak256(raw),
    from,
    to: parsed.to ?? from,
    nonce: BigInt(parsed.nonce ?? 0),
    value: parsed.value ?? 0n,
    data: parsed.data ?? '0x',
    gas: parsed.gas ?? 0n,
    maxFeePerGas: ('maxFeePerGas' in parsed ? parsed.maxFeePerGas : undefined) ?? 0n,
    maxPriorityFeePerGas: ('maxPriorityFeePerGas' in parsed ? parsed.maxPriorityFeePerGas : undefined) ?? 0n,
    authorizations: await Promise.all(
      list.map(async (entry) => ({
        authority: getAddress(await recovery.authority(entry as ParsedAuthorization)),
        delegate: entry.address,
        chainId: entry.chainId,
        nonce: BigInt(entry.nonce),
      })),
    ),
  }
}

/**
 * A holder whose signatures are a digest with the address in it: real bytes of real transactions, that parse and hash
 * as any, at a hundredth of the price. Nobody but {@link cheapRecovery} believes them.
 */
export function cheapKeyHolder(address: Address): KeyHolder {
  // `s` has to be below half the curve's order, and an address in it is.
  const signature = (over: string) => ({
    r: `0x0${createHash('sha256').update(over).digest('hex').slice(1)}` as Hex,
    s: `0x${address.slice(2).toLowerCase().padStart(64, '0')}` as Hex,
    yParity: 0 as const,
  })
  return {
    address,
    signTransaction: async (transaction) =>
      serializeTransaction(transaction, signature(serializeTransaction(transaction))),
    signAuthorization: async ({ address: delegate, chainId, nonce }) => ({
      address: delegate,
      chainId,
      nonce,
      ...signature(`${delegate}/${chainId}/${nonce}`),
    }),
  }
}

const ownerOf = (s: Hex | undefined): Address =>
  getAddress(`0x${(s ?? '0x').slice(2).padStart(64, '0').slice(24)}`)

/** Reads what {@link cheapKeyHolder} wrote. */
export const cheapRecovery: Recovery = {
  sender: async (raw) => ownerOf(parseTransaction(raw).s),
  authority: async ({ s }) => ownerOf(s),
}
