import { type Address, type Hex, hexToBigInt, numberToHex } from 'viem'
import { MulticallMissingError, SimulationUnsupportedError, WrongChainError } from './errors.ts'
import { type Rpc, RpcAnswer } from './rpc.ts'
import * as wire from './wire.ts'

/** An address that nobody has: the code is put there for the probe alone. */
const SCRATCH: Address = '0x00000000000000000000000000000052696c7470'
/** NUMBER, PUSH1 0, MSTORE, PUSH1 32, PUSH1 0, RETURN: answers with the block number it runs in. */
const RETURN_BLOCK_NUMBER: Hex = '0x4360005260206000f3'

/**
 * Makes sure, before anything starts, that an RPC serves the right chain, has Multicall3, and simulates with the
 * overrides that Rialto relies on, by using them: some providers list the method and ignore the overrides.
 *
 * @throws {RpcUnreachableError} when nobody answers.
 * @throws {WrongChainError} when it serves another chain.
 * @throws {SimulationUnsupportedError} when `eth_simulateV1` is missing or ignores an override.
 * @throws {MulticallMissingError} when there is no code at `multicall3`.
 */
export async function probe(rpc: Rpc, expected: { chainId: number; multicall3: Address }): Promise<void> {
  const { host } = rpc
  const chainId = wire.parseAnswer(wire.quantity, await rpc.call('eth_chainId', []), 'eth_chainId', host)
  if (chainId !== BigInt(expected.chainId)) throw new WrongChainError(host, expected.chainId, Number(chainId))

  const latest = await rpc.call('eth_getBlockByNumber', ['latest', false])
  const head = wire.parseAnswer(wire.block, latest, 'eth_getBlockByNumber', host)
  const number = head.number + 1n
  const request = {
    blockStateCalls: [
      {
        blockOverrides: { number: numberToHex(number), time: numberToHex(head.timestamp + 12n) },
        stateOverrides: { [SCRATCH]: { code: RETURN_BLOCK_NUMBER } },
        calls: [{ from: SCRATCH, to: SCRATCH, data: '0x' }],
      },
    ],
    validation: false,
  }
  const result = await simulateProbe(rpc, request, head.hash)
  if (result === null || hexToBigInt(result) !== number)
    throw new SimulationUnsupportedError(host, 'eth_simulateV1 ignores block or state overrides')

  const code = await rpc.call('eth_getCode', [expected.multicall3, { blockHash: head.hash }])
  if (wire.parseAnswer(wire.bytes, code, 'eth_getCode', host) === '0x')
    throw new MulticallMissingError(host, expected.multicall3)
}

/** @returns what the probe's call returned; null when it did not succeed. */
async function simulateProbe(rpc: Rpc, request: object, blockHash: string): Promise<Hex | null> {
  const method = 'eth_simulateV1'
  try {
    const answer = await rpc.call(method, [request, { blockHash }])
    const call = wire.parseAnswer(wire.simulatedBlocks, answer, method, rpc.host)[0].calls[0]
    return call?.status === 'success' && call.returnData.length === 66 ? call.returnData : null
  } catch (error) {
    if (error instanceof RpcAnswer) throw new SimulationUnsupportedError(rpc.host, `${method}: ${error.said}`)
    throw error
  }
}
