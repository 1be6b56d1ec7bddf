import { type Address, getAddress, type Hex } from 'viem'
import { z } from 'zod'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Receipt, SimulatedCall } from '../../runtime/core/ports.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { wei } from '../../runtime/core/units.ts'
import { RpcMalformedError } from './errors.ts'

// What a node sends, validated: an RPC may be broken or lie, and nothing past this file expects that.

/** A quantity of at most 256 bits. */
export const quantity = z
  .string()
  .regex(/^0x[0-9a-fA-F]{1,64}$/, 'no quantity')
  .transform(BigInt)
export const bytes = z
  .string()
  .regex(/^0x(?:[0-9a-fA-F]{2})*$/, 'no bytes')
  .transform((text) => text as Hex)
const hash = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/, 'no hash')
  .transform((text) => text.toLowerCase() as Hash)
const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/, 'no address')
  .transform((text): Address => getAddress(text))

export const block = z
  .object({
    number: quantity,
    hash,
    parentHash: hash,
    timestamp: quantity,
    baseFeePerGas: quantity.transform(wei),
  })
  .transform((value): BlockRef => value)

/** A transaction by hash. Whether it is in a block is told by number and hash together, or by neither. */
export const transaction = z
  .object({ hash, blockNumber: quantity.nullish(), blockHash: hash.nullish() })
  .refine(({ blockNumber, blockHash }) => (blockNumber == null) === (blockHash == null), 'names half a block')
  .transform((value) => ({
    hash: value.hash,
    block:
      value.blockNumber == null || value.blockHash == null
        ? null
        : { number: value.blockNumber, hash: value.blockHash },
  }))

/** A transaction of a block: who sent it on which nonce. */
export type SentTransaction = { readonly hash: Hash; readonly from: Address; readonly nonce: bigint }

/** A block with its transactions. */
export const fullBlock = z.object({
  hash,
  transactions: z.array(z.object({ hash, from: address, nonce: quantity })),
})

const logs = z.array(z.object({ address, topics: z.array(hash), data: bytes }))

export const receipt = z
  .object({
    transactionHash: hash,
    status: z.enum(['0x0', '0x1']),
    blockNumber: quantity,
    blockHash: hash,
    gasUsed: quantity,
    effectiveGasPrice: quantity.transform(wei),
    logs,
  })
  .transform(
    (value): Receipt => ({
      hash: value.transactionHash,
      status: value.status === '0x1' ? 'success' : 'reverted',
      block: { number: value.blockNumber, hash: value.blockHash },
      gasUsed: value.gasUsed,
      effectiveGasPrice: value.effectiveGasPrice,
      logs: value.logs,
    }),
  )

const simulatedCall = z
  .object({
    status: z.enum(['0x0', '0x1']),
    returnData: bytes,
    gasUsed: quantity,
    logs: logs.optional(),
    error: z.object({ data: bytes.optional().catch(undefined) }).optional(),
  })
  .transform(
    (value): SimulatedCall => ({
      status: value.status === '0x1' ? 'success' : 'reverted',
      // anvil puts revert data into `returnData`, geth into `error.data`.
      returnData: value.status === '0x0' ? (value.error?.data ?? value.returnData) : value.returnData,
      gasUsed: value.gasUsed,
      logs: value.logs ?? [],
    }),
  )

/** The answer of `eth_simulateV1` to a request of one block. */
export const simulatedBlocks = z.tuple([z.object({ calls: z.array(simulatedCall) })])

/** A frame of `callTracer`, as far as it tells why a call failed. */
export type CallFrame = {
  readonly to?: string | undefined
  readonly error?: string | undefined
  readonly output?: Hex | undefined
  readonly calls?: readonly CallFrame[] | undefined
}
export const callFrame: z.ZodType<CallFrame> = z.object({
  to: z.string().optional(),
  error: z.string().optional(),
  output: bytes.optional(),
  get calls() {
    return z.array(callFrame).optional()
  },
})

/** @throws {RpcMalformedError} naming what is wrong with the answer. */
export function parseAnswer<T>(schema: z.ZodType<T>, answer: unknown, method: string, host: string): T {
  const result = schema.safeParse(answer)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new RpcMalformedError(
    method,
    host,
    [issue?.path.join('.'), issue?.message].filter(Boolean).join(': '),
  )
}
