import { customType } from 'drizzle-orm/pg-core'
import { type Address, getAddress, type Hex } from 'viem'
import type { Hash } from '../../runtime/core/ids.ts'

/** A non-negative 256-bit integer as `numeric(78, 0)`: a branded `bigint` here, never a float on the way. */
export const uint = <T extends bigint = bigint>(name: string) =>
  customType<{ data: T; driverData: string }>({
    dataType: () => 'rialto.uint',
    toDriver: (value) => value.toString(),
    fromDriver: (text) => BigInt(text) as T,
  })(name)

/** An address: lower case in the database, so that one account has one spelling; with its checksum here. */
export const address = customType<{ data: Address; driverData: string }>({
  dataType: () => 'rialto.address',
  toDriver: (value) => value.toLowerCase(),
  fromDriver: (text) => getAddress(text),
})

/** A 32-byte hash as lower-case hex. */
export const hash = customType<{ data: Hash; driverData: string }>({
  dataType: () => 'rialto.hash',
  toDriver: (value) => value.toLowerCase(),
  fromDriver: (text) => text as Hash,
})

/** Bytes: hex here, `bytea` there. */
export const bytes = customType<{ data: Hex; driverData: Buffer }>({
  dataType: () => 'bytea',
  toDriver: (value) => Buffer.from(value.slice(2), 'hex'),
  fromDriver: (value) => `0x${value.toString('hex')}`,
})

/** Text from anywhere. PostgreSQL stores neither NUL nor half a surrogate pair: see {@link storable}. */
export const freeText = customType<{ data: string; driverData: string }>({
  dataType: () => 'text',
  toDriver: storable,
})

/**
 * Text with NUL characters and lone surrogates replaced by U+FFFD, which is what the journal gives back for them.
 *
 * @example storable('a\u0000b') // 'a\ufffdb'
 */
export function storable(text: string): string {
  // With the `u` flag a surrogate matches only where it has no partner.
  return text.replaceAll('\0', '\ufffd').replace(/\p{Surrogate}/gu, '\ufffd')
}
