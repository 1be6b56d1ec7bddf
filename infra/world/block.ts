import { type Hex, numberToHex, parseGwei } from 'viem'
import { type Wei, wei } from '../../runtime/core/units.ts'
import { WorldRpcError, WorldTimeError } from './errors.ts'
import type { Rpc } from './rpc.ts'

/** Seconds between blocks when whoever mines names no time. */
export const BLOCK_SECONDS = 12

/** The base fee of a block when whoever mines names none, and of the last block of a fresh world. */
const DEFAULT_BASE_FEE: Wei = wei(parseGwei('1'))

export type BlockOptions = {
  /** Seconds since 1970; {@link BLOCK_SECONDS} after the last block when absent. */
  readonly timestamp?: bigint
  /** {@link DEFAULT_BASE_FEE} when absent: left alone, the base fee of an idle chain decays to nothing. */
  readonly baseFeePerGas?: Wei
}

export type MinedBlock = {
  readonly number: bigint
  readonly hash: Hex
  readonly parentHash: Hex
  /** Seconds since 1970. */
  readonly timestamp: bigint
  readonly baseFeePerGas: Wei
  readonly transactions: readonly Hex[]
}

/**
 * Mines one block of all transactions that wait, at a time and a base fee that are said.
 *
 * When the last block already has that time, nothing is mined and that block is returned: whoever resumes after a
 * crash asks for the block again without having to know whether it was mined.
 *
 * @throws {WorldTimeError} when the last block is later than the time asked for.
 * @throws {WorldRpcError} when the node refuses or is gone.
 */
export async function mineBlock(rpc: Rpc, options: BlockOptions = {}): Promise<MinedBlock> {
  const last = await latestBlock(rpc)
  const { timestamp = last.timestamp + BigInt(BLOCK_SECONDS), baseFeePerGas = DEFAULT_BASE_FEE } = options
  if (last.timestamp === timestamp) return last
  if (last.timestamp > timestamp) throw new WorldTimeError(timestamp, last.timestamp)
  await rpc('anvil_setNextBlockBaseFeePerGas', numberToHex(baseFeePerGas))
  await rpc('evm_mine', { timestamp: numberToHex(timestamp) })
  return await latestBlock(rpc)
}

/** The last block of the chain. */
export async function latestBlock(rpc: Rpc): Promise<MinedBlock> {
  const block = await rpc<{
    number: Hex
    hash: Hex
    parentHash: Hex
    timestamp: Hex
    baseFeePerGas: Hex
    transactions: readonly Hex[]
  }>('eth_getBlockByNumber', 'latest', false)
  return {
    number: BigInt(block.number),
    hash: block.hash,
    parentHash: block.parentHash,
    timestamp: BigInt(block.timestamp),
    baseFeePerGas: wei(BigInt(block.baseFeePerGas)),
    transactions: block.transactions,
  }
}

/**
 * What became of sending a transaction: that the node has the same bytes already is as good as sending them.
 *
 * @throws {WorldRpcError} every other refusal.
 */
export async function unlessKnown(sending: Promise<unknown>): Promise<'sent' | 'known'> {
  try {
    await sending
    return 'sent'
  } catch (error) {
    if (error instanceof WorldRpcError && error.message.endsWith('transaction already imported'))
      return 'known'
    throw error
  }
}

/**
 * Runs `work`, whose transactions wait, and mines them into one block together, also on a chain that otherwise
 * mines every transaction by itself.
 */
export async function inOneBlock(
  rpc: Rpc,
  options: BlockOptions,
  work: () => Promise<void>,
): Promise<MinedBlock> {
  const automine = await rpc<boolean>('anvil_getAutomine')
  if (automine) await rpc('evm_setAutomine', false)
  try {
    // The pool goes by it at once: it refuses what bids less than the next block's base fee.
    if (options.baseFeePerGas !== undefined)
      await rpc('anvil_setNextBlockBaseFeePerGas', numberToHex(options.baseFeePerGas))
    await work()
    return await mineBlock(rpc, options)
  } finally {
    if (automine) await rpc('evm_setAutomine', true)
  }
}
