import {
  type Address,
  decodeFunctionResult,
  encodeFunctionData,
  type Hex,
  multicall3Abi,
  numberToHex,
} from 'viem'
import { BlockGoneError, RouteMissingError } from '../../runtime/core/chainErrors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type {
  BlockId,
  Chain,
  ReadCall,
  ReadResult,
  Receipt,
  SimulatedCall,
  SimulationRequest,
} from '../../runtime/core/ports.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { wei } from '../../runtime/core/units.ts'
import { MulticallMissingError, RpcMalformedError } from './errors.ts'
import { explainTrace } from './explainTrace.ts'
import type { PrivateRoute } from './privateRoute.ts'
import { type Rpc, RpcAnswer } from './rpc.ts'
import { sendRaw } from './sendRaw.ts'
import { transactionAt } from './transactionAt.ts'
import * as wire from './wire.ts'

export type NodeChainParameters = {
  readonly rpc: Rpc
  readonly chainId: number
  readonly multicall3: Address
  /** Null: none is configured. */
  readonly privateRoute: PrivateRoute | null
}

/** A chain as one node shows it. Nothing is checked before it is used: see `createChain`. */
export function nodeChain({ rpc, chainId, multicall3, privateRoute }: NodeChainParameters): Chain {
  const { host } = rpc
  let genesis: Promise<Hash> | undefined

  async function head(): Promise<BlockRef> {
    const method = 'eth_getBlockByNumber'
    return wire.parseAnswer(wire.block, await rpc.call(method, ['latest', false]), method, host)
  }

  async function blockByNumber(number: bigint): Promise<BlockRef> {
    const method = 'eth_getBlockByNumber'
    const answer = await rpc.call(method, [numberToHex(number), false])
    if (answer === null) throw new BlockGoneError(number, host)
    const block = wire.parseAnswer(wire.block, answer, method, host)
    if (block.number !== number)
      throw new RpcMalformedError(method, host, `asked for block ${number}, got ${block.number}`)
    return block
  }

  /** The transactions of one block, with who sent them on which nonce. */
  async function transactionsOf(block: Hash): Promise<readonly wire.SentTransaction[]> {
    const method = 'eth_getBlockByHash'
    const answer = await rpc.call(method, [block, true])
    if (answer === null) throw new BlockGoneError(block, host)
    const { hash, transactions } = wire.parseAnswer(wire.fullBlock, answer, method, host)
    if (hash !== block) throw new RpcMalformedError(method, host, `asked for block ${block}, got ${hash}`)
    return transactions
  }

  /** A request whose last parameter names the block, by hash only: a number could mean another block by now. */
  async function at(method: string, params: readonly unknown[], blockHash: Hash): Promise<unknown> {
    try {
      return await rpc.call(method, [...params, { blockHash }])
    } catch (error) {
      throw error instanceof RpcAnswer && isBlockGone(error) ? new BlockGoneError(blockHash, host) : error
    }
  }

  async function nonce(account: Address, blockHash: Hash): Promise<bigint> {
    const method = 'eth_getTransactionCount'
    return wire.parseAnswer(wire.quantity, await at(method, [account], blockHash), method, host)
  }

  async function transaction(hash: Hash): Promise<{ readonly block: BlockId | null } | null> {
    const method = 'eth_getTransactionByHash'
    const answer = await rpc.call(method, [hash])
    if (answer === null) return null
    const found = wire.parseAnswer(wire.transaction, answer, method, host)
    if (found.hash !== hash.toLowerCase())
      throw new RpcMalformedError(method, host, 'the transaction is another one')
    return { block: found.block }
  }

  return {
    chainId,

    genesisHash() {
      genesis ??= blockByNumber(0n).then(({ hash }) => hash)
      // A failure is not kept: the next call asks again.
      genesis.catch(() => {
        genesis = undefined
      })
      return genesis
    },

    head,
    block: blockByNumber,

    async read(calls: readonly ReadCall[], blockHash: Hash): Promise<readonly ReadResult[]> {
      if (calls.length === 0) return []
      const data = encodeFunctionData({
        abi: multicall3Abi,
        functionName: 'aggregate3',
        args: [calls.map((call) => ({ target: call.target, allowFailure: true, callData: call.data }))],
      })
      const answer = await at('eth_call', [{ to: multicall3, data }], blockHash)
      const returned = wire.parseAnswer(wire.bytes, answer, 'eth_call', host)
      if (returned === '0x') throw new MulticallMissingError(host, multicall3)
      const results = decodeAggregate(returned, host)
      if (results.length !== calls.length)
        throw new RpcMalformedError('eth_call', host, `${results.length} results for ${calls.length} calls`)
      return results.map(({ success, returnData }) => ({ success, data: returnData }))
    },

    code: async (account, blockHash) =>
      wire.parseAnswer(wire.bytes, await at('eth_getCode', [account], blockHash), 'eth_getCode', host),

    balance: async (account, blockHash) =>
      wei(
        wire.parseAnswer(
          wire.quantity,
          await at('eth_getBalance', [account], blockHash),
          'eth_getBalance',
          host,
        ),
      ),

    nonce,

    async simulate(request: SimulationRequest): Promise<readonly SimulatedCall[]> {
      const answer = await at('eth_simulateV1', [simulationPayload(request)], request.on.hash)
      const [{ calls }] = wire.parseAnswer(wire.simulatedBlocks, answer, 'eth_simulateV1', host)
      if (calls.length !== request.calls.length)
        throw new RpcMalformedError(
          'eth_simulateV1',
          host,
          `${calls.length} results for ${request.calls.length} calls`,
        )
      return calls
    },

    async sendRaw(raw, route = 'public') {
      if (route === 'public') return sendRaw(rpc, raw)
      if (privateRoute === null) throw new RouteMissingError(chainId)
      return privateRoute.send(raw, { head, transaction })
    },

    transaction,
    transactionAt: (account, used, at) =>
      transactionAt({ block: blockByNumber, nonce, transactionsOf, host }, account, used, at),

    async finalized() {
      const method = 'eth_getBlockByNumber'
      try {
        const answer = await rpc.call(method, ['finalized', false])
        return answer === null ? null : wire.parseAnswer(wire.block, answer, method, host)
      } catch (error) {
        // Words for "no such tag" and "nothing is final yet": the chain has no final block, now or ever.
        if (error instanceof RpcAnswer && (NO_SUCH_TAG.has(error.rpcCode) || isBlockGone(error))) return null
        throw error
      }
    },

    async receipt(hash: Hash): Promise<Receipt | null> {
      const method = 'eth_getTransactionReceipt'
      const answer = await rpc.call(method, [hash])
      if (answer === null) return null
      const receipt = wire.parseAnswer(wire.receipt, answer, method, host)
      if (receipt.hash !== hash.toLowerCase())
        throw new RpcMalformedError(method, host, 'the receipt is that of another transaction')
      return receipt
    },

    async revertReason(hash: Hash): Promise<string> {
      const method = 'debug_traceTransaction'
      try {
        const answer = await rpc.call(method, [hash, { tracer: 'callTracer' }])
        return explainTrace(wire.parseAnswer(wire.callFrame, answer, method, host))
      } catch (error) {
        if (error instanceof RpcAnswer) return `reverted; the RPC cannot tell why (${method}: ${error.said})`
        throw error
      }
    },
  }
}

/**
 * How nodes say that they do not have a block or its state: geth and its kin, anvil and reth (code -32001),
 * Nethermind, Erigon, and providers that prune.
 */
const GONE =
  /header(?: for hash)? not found|(?:safe|finalized) block not found|unknown block|block.*not (?:found|available)|could not be found|missing trie node|state.*not available|state.*(?:pruned|unavailable)|not currently canonical|BlockOutOfRange/i

/** Invalid parameters, and "unknown block" of the execution API. */
const NO_SUCH_TAG: ReadonlySet<number> = new Set([-32602, -39001])

const isBlockGone = (answer: RpcAnswer): boolean => answer.rpcCode === -32001 || GONE.test(answer.said)

function decodeAggregate(data: Hex, host: string): readonly { success: boolean; returnData: Hex }[] {
  try {
    return decodeFunctionResult({ abi: multicall3Abi, functionName: 'aggregate3', data })
  } catch {
    // viem's error holds all the data; that it does not decode is all there is to say.
    throw new RpcMalformedError('eth_call', host, 'Multicall3 returned no list of results')
  }
}

/**
 * One block of `eth_simulateV1` on top of a known one. `validation: false` leaves out nonces, balances for gas and
 * the base fee's minimum, so that a plan is judged by what it does.
 */
function simulationPayload({ on, timestamp, baseFeePerGas, code, calls }: SimulationRequest) {
  return {
    blockStateCalls: [
      {
        blockOverrides: {
          number: numberToHex(on.number + 1n),
          time: numberToHex(timestamp),
          baseFeePerGas: numberToHex(baseFeePerGas),
        },
        stateOverrides: Object.fromEntries(code.map((entry) => [entry.address, { code: entry.code }])),
        calls: calls.map(({ from, to, value, data, gas }) => ({
          from,
          to,
          value: numberToHex(value),
          data,
          ...(gas === undefined ? {} : { gas: numberToHex(gas) }),
        })),
      },
    ],
    validation: false,
  }
}
