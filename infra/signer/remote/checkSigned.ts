import {
  type Address,
  type Hex,
  isAddressEqual,
  parseTransaction,
  recoverTransactionAddress,
  serializeTransaction,
  type TransactionSerializable,
  type TransactionSerialized,
} from 'viem'
import type { UnsignedTransaction } from '../keyHolder.ts'
import { contradicted } from './errors.ts'

/** Half of the order of secp256k1: nodes take no signature whose `s` is above it (EIP-2). */
export const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n

/**
 * Holds what somebody else has signed against what he was asked for. Its signature over the transaction that was asked
 * for has to give the very same bytes, so no field can differ, and it has to be by the key of the account.
 *
 * @param holder names him in errors
 * @returns the bytes
 * @throws {SignerError} `KEY_HOLDER` for anything else.
 */
export async function checkSigned(
  raw: string,
  asked: UnsignedTransaction,
  address: Address,
  holder: string,
): Promise<Hex> {
  const bytes = raw.toLowerCase() as TransactionSerialized
  const { r, s, yParity, chainId } = read(bytes, holder)
  if (r === undefined || s === undefined || yParity === undefined)
    throw contradicted(holder, 'it carries no signature')
  // Said by itself: it is the likeliest mistake, and made where the holder is started.
  if (chainId !== asked.chainId)
    throw contradicted(holder, `it is for chain ${chainId ?? 'none'}, not ${asked.chainId}`)
  const expected = serializeTransaction(asked as TransactionSerializable, { r, s, yParity })
  if (expected !== bytes) throw contradicted(holder, 'it is another transaction')
  if (BigInt(s) > HALF_ORDER) throw contradicted(holder, 'nodes would not take its signature')
  const signer = await recover(bytes, holder)
  if (!isAddressEqual(signer, address)) throw contradicted(holder, `it is signed by ${signer}`)
  return bytes
}

type Signed = {
  readonly r?: Hex | undefined
  readonly s?: Hex | undefined
  readonly yParity?: number | undefined
  readonly chainId?: number | undefined
}

function read(bytes: TransactionSerialized, holder: string): Signed {
  try {
    return parseTransaction(bytes) as Signed
  } catch {
    // What was wrong with it is of no use, and may be anything.
    throw contradicted(holder, 'it is no transaction')
  }
}

async function recover(bytes: TransactionSerialized, holder: string): Promise<Address> {
  try {
    return await recoverTransactionAddress({ serializedTransaction: bytes })
  } catch {
    throw contradicted(holder, 'its signature is none')
  }
}
