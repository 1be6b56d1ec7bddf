import { type Address, encodeFunctionData, type Hex, parseAbi } from 'viem'
import type { Rpc } from './rpc.ts'

const abi = parseAbi(['function balanceOf(address) view returns (uint256)'])

/** What an account holds of a token as of the last block, in its smallest unit. */
export async function readBalance(rpc: Rpc, token: Address, account: Address): Promise<bigint> {
  const data = encodeFunctionData({ abi, functionName: 'balanceOf', args: [account] })
  return BigInt(await rpc<Hex>('eth_call', { to: token, data }, 'latest'))
}
