import {
  type Abi,
  type Address,
  type ContractFunctionArgs,
  type ContractFunctionName,
  type ContractFunctionReturnType,
  decodeFunctionResult,
  encodeFunctionData,
  type Hex,
  numberToHex,
} from 'viem'
import { z } from 'zod'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { ReadFailedError } from '../../runtime/protocols/errors.ts'
import { ChainMovedError, FirstBlockUnknownError } from './errors.ts'
import { type Rpc, RpcAnswer } from './rpc.ts'
import { block, bytes, parseAnswer, quantity } from './wire.ts'

const word = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/, 'no word')
  .transform((text) => text.toLowerCase() as Hex)
const logList = z.array(z.object({ topics: z.array(word), data: bytes }))

/** A log, as far as it is looked at. */
export type Log = z.output<typeof logList>[number]

/** Reads of one block, the same for all of them. */
export type StateReader = {
  readonly host: string
  readonly block: BlockRef
  storage(at: Address, slot: Hex): Promise<Hex>
  code(at: Address): Promise<Hex>
  balance(at: Address): Promise<bigint>
  /** @throws {ReadFailedError} when there is no such function there. */
  read<const Contract extends Abi, Name extends ContractFunctionName<Contract, 'pure' | 'view'>>(
    at: Address,
    abi: Contract,
    functionName: Name,
    args: ContractFunctionArgs<Contract, 'pure' | 'view', Name>,
  ): Promise<ContractFunctionReturnType<Contract, 'pure' | 'view', Name>>
  /**
   * Every log of a contract up to the block.
   *
   * @param first the block from which on to look; without it, from the contract's own
   * @throws {FirstBlockUnknownError} when the node serves neither all blocks at once nor old state.
   */
  logs(at: Address, first: bigint | null): Promise<readonly Log[]>
  /** @throws {ChainMovedError} when the block is no longer one of the chain: logs are asked for by number. */
  confirm(): Promise<void>
}

/** Pins the newest block. @throws {RpcSilence | RpcAnswer} when the node does not serve it. */
export async function openStateReader(rpc: Rpc): Promise<StateReader> {
  const head = await blockAt(rpc, 'latest')
  const pin = { blockHash: head.hash }
  /** They can be those of years, and two roles are named by the same. */
  const found = new Map<string, Promise<readonly Log[]>>()

  return {
    host: rpc.host,
    block: head,
    storage: async (at, slot) =>
      parseAnswer(word, await rpc.call('eth_getStorageAt', [at, slot, pin]), 'eth_getStorageAt', rpc.host),
    code: async (at) => parseAnswer(bytes, await rpc.call('eth_getCode', [at, pin]), 'eth_getCode', rpc.host),
    balance: async (at) =>
      parseAnswer(quantity, await rpc.call('eth_getBalance', [at, pin]), 'eth_getBalance', rpc.host),
    async read(at, abi, functionName, args) {
      const what = `${functionName} of ${at}`
      const data = encodeFunctionData({ abi, functionName, args } as never)
      const answer = await rpc.call('eth_call', [{ to: at, data }, pin]).catch((error: unknown) => {
        throw error instanceof RpcAnswer ? new ReadFailedError(what, at, 'the call reverted', error) : error
      })
      const returned = parseAnswer(bytes, answer, 'eth_call', rpc.host)
      if (returned === '0x') throw new ReadFailedError(what, at, 'no contract at the address')
      try {
        return decodeFunctionResult({ abi, functionName, data: returned } as never) as never
      } catch {
        // viem's error holds all the data; that it does not decode is all there is to say.
        throw new ReadFailedError(what, at, 'the answer does not decode')
      }
    },
    logs(at, first) {
      const key = `${at}.${first}`
      const known = found.get(key) ?? allLogs(rpc, at, head.number, first)
      found.set(key, known)
      return known
    },
    async confirm() {
      const now = await blockAt(rpc, head.number)
      if (now.hash !== head.hash) throw new ChainMovedError(head.number, rpc.host)
    },
  }
}

async function blockAt(rpc: Rpc, number: bigint | 'latest'): Promise<BlockRef> {
  const method = 'eth_getBlockByNumber'
  const named = number === 'latest' ? number : numberToHex(number)
  return parseAnswer(block, await rpc.call(method, [named, false]), method, rpc.host)
}

async function logsBetween(rpc: Rpc, address: Address, from: bigint, to: bigint): Promise<readonly Log[]> {
  const method = 'eth_getLogs'
  const filter = { address, fromBlock: numberToHex(from), toBlock: numberToHex(to) }
  return parseAnswer(logList, await rpc.call(method, [filter]), method, rpc.host)
}

/**
 * Many nodes answer for all blocks at once where an address is named; others bound the span, each by another rule: so
 * whoever refuses is asked for half.
 */
async function allLogs(rpc: Rpc, at: Address, head: bigint, first: bigint | null): Promise<readonly Log[]> {
  const start = first ?? 0n
  try {
    return await logsBetween(rpc, at, start, head)
  } catch (error) {
    if (!(error instanceof RpcAnswer)) throw error
  }
  const logs: Log[] = []
  let from = first ?? (await firstBlockOf(rpc, at, head))
  let span = (head - from) / 2n + 1n
  while (from <= head) {
    const to = from + span - 1n < head ? from + span - 1n : head
    try {
      logs.push(...(await logsBetween(rpc, at, from, to)))
      from = to + 1n
    } catch (error) {
      if (!(error instanceof RpcAnswer) || span === 1n) throw error
      span = (span + 1n) / 2n
    }
  }
  return logs
}

/** The first block in which there is code. Takes a node that has old state. */
async function firstBlockOf(rpc: Rpc, at: Address, head: bigint): Promise<bigint> {
  let low = 0n
  let high = head
  while (low < high) {
    const middle = (low + high) / 2n
    let answer: unknown
    try {
      answer = await rpc.call('eth_getCode', [at, numberToHex(middle)])
    } catch (error) {
      if (error instanceof RpcAnswer) throw new FirstBlockUnknownError(at, rpc.host)
      throw error
    }
    if (parseAnswer(bytes, answer, 'eth_getCode', rpc.host) === '0x') low = middle + 1n
    else high = middle
  }
  return low
}

/** A word as an address: its last twenty bytes. */
export const addressIn = (value: Hex): Address => `0x${value.slice(-40)}`
