import {
  type Address,
  decodeFunctionResult,
  encodeFunctionData,
  type Hex,
  keccak256,
  multicall3Abi,
  numberToHex,
} from 'viem'
import {
  BlockGoneError,
  OutcomeUnknownError,
  TransactionRefusedError,
} from '../../runtime/core/chainErrors.ts'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type {
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
import { probe } from './probe.ts'
import { judgeRefusal } from './refusal.ts'
import { createRpc, type Requester, type Rpc, RpcAnswer, RpcSilence } from './rpc.ts'
import * as wire from './wire.ts'

export type CreateChainParameters = {
  /** `http:` or `https:`; with a `requester`, any URL that names the endpoint. */
  readonly rpcUrl: string
  readonly chainId: number
  readonly multicall3: Address
  /** Another way to the node than HTTP, such as a socket shared with a backtest. */
  readonly requester?: Requester
  /** Milliseconds for one request, retries and all. Default 10,000. */
  readonly timeout?: number
  /** Further tries of a read that got no answer. Default 2. */
  readonly retries?: number
}

/**
 * Opens a chain, after making sure that it is the right one and can do what Rialto needs of it.
 *
 * Requests are not batched: `read` is one request already, most others go alone, and one that goes alone takes twice
 * as long when the transport waits for company (on anvil, 3.6 against 1.7 ms). A batch also shares one fate.
 *
 * @throws {InvalidInputError} when the URL is none.
 * @throws {RpcUnreachableError} when nobody answers.
 * @throws {WrongChainError} when the RPC serves another chain.
 * @throws {SimulationUnsupportedError} when it has no working `eth_simulateV1`.
 * @throws {MulticallMissingError} when there is no code at `multicall3`.
 * @example const chain = await createChain({ rpcUrl: 'http://127.0.0.1:8545', chainId: 31_337, multicall3 })
 */
export async function createChain(parameters: CreateChainParameters): Promise<Chain> {
  const { rpcUrl, chainId, multicall3, requester, timeout = 10_000, retries = 2 } = parameters
  const url = parseRpcUrl(rpcUrl, requester !== undefined)
  const rpc = createRpc({ url, timeout, retries, ...(requester === undefined ? {} : { requester }) })
  await probe(rpc, { chainId, multicall3 })
  const { host } = rpc
  let genesis: Promise<Hash> | undefined

  async function blockByNumber(number: bigint | 'latest'): Promise<BlockRef> {
    const method = 'eth_getBlockByNumber'
    const answer = await rpc.call(method, [number === 'latest' ? number : numberToHex(number), false])
    if (answer === null && number !== 'latest') throw new BlockGoneError(number, host)
    const block = wire.parseAnswer(wire.block, answer, method, host)
    if (number !== 'latest' && block.number !== number)
      throw new RpcMalformedError(method, host, `asked for block ${number}, got ${block.number}`)
    return block
  }

  /** A request whose last parameter names the block, by hash only: a number could mean another block by now. */
  async function at(method: string, params: readonly unknown[], blockHash: Hash): Promise<unknown> {
    try {
      return await rpc.call(method, [...params, { blockHash }])
    } catch (error) {
      throw error instanceof RpcAnswer && isBlockGone(error) ? new BlockGoneError(blockHash, host) : error
    }
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

    head: () => blockByNumber('latest'),
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

    async nonce(account, blockHash) {
      const method = 'eth_getTransactionCount'
      return wire.parseAnswer(wire.quantity, await at(method, [account], blockHash), method, host)
    },

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

    sendRaw: (raw) => sendRaw(rpc, raw),

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

function parseRpcUrl(text: string, anyProtocol: boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url !== null && (anyProtocol || url.protocol === 'http:' || url.protocol === 'https:')) return url
  // The text itself may hold a key, so it is not repeated.
  throw new InvalidInputError('The RPC URL is not an http or https URL.', {
    code: 'RPC_URL_INVALID',
    fix: 'Write it like http://127.0.0.1:8545.',
  })
}

/**
 * How nodes say that they do not have a block or its state: geth and its kin, anvil and reth (code -32001),
 * Nethermind, Erigon, and providers that prune.
 */
const GONE =
  /header(?: for hash)? not found|unknown block|block.*not (?:found|available)|could not be found|missing trie node|state.*not available|state.*(?:pruned|unavailable)|not currently canonical|BlockOutOfRange/i

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

async function sendRaw(rpc: Rpc, raw: Hex): Promise<Hash> {
  const { host } = rpc
  const method = 'eth_sendRawTransaction'
  const hash = keccak256(raw) as Hash
  try {
    const answer = await rpc.call(method, [raw], { once: true })
    if (typeof answer === 'string' && answer.toLowerCase() === hash) return hash
    throw new OutcomeUnknownError(hash, host, 'the RPC did not answer with the hash of the bytes')
  } catch (error) {
    if (error instanceof RpcSilence && error.sent) throw new OutcomeUnknownError(hash, host, error.reason)
    if (!(error instanceof RpcAnswer)) throw error
    const verdict = judgeRefusal(error.rpcCode, error.said)
    if (verdict === 'known') return hash
    if (verdict === null) throw new OutcomeUnknownError(hash, host, error.said)
    // These very bytes may be what used the nonce up, or what holds its place.
    if ((verdict === 'NONCE_TOO_LOW' || verdict === 'REPLACEMENT_UNDERPRICED') && (await knows(rpc, hash)))
      return hash
    throw new TransactionRefusedError(verdict, hash, host, error.said)
  }
}

async function knows(rpc: Rpc, hash: Hash): Promise<boolean> {
  try {
    return (await rpc.call('eth_getTransactionByHash', [hash])) !== null
  } catch (error) {
    if (error instanceof RpcAnswer || error instanceof RpcSilence)
      throw new OutcomeUnknownError(
        hash,
        rpc.host,
        `it used up its nonce or is pending, and ${error.message}`,
      )
    throw error
  }
}
