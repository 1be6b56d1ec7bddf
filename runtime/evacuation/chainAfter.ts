import {
  type Address,
  concatHex,
  decodeFunctionResult,
  encodeFunctionData,
  isAddressEqual,
  multicall3Abi,
} from 'viem'
import { RialtoError } from '../core/errors.ts'
import type { Call } from '../core/lifecycle.ts'
import type { Chain, SimulatedCall, SimulationRequest } from '../core/ports.ts'
import type { BlockRef } from '../core/snapshot.ts'
import { wei } from '../core/units.ts'

/** Transactions that an account has not sent. */
export type Imagined = {
  readonly head: BlockRef
  readonly account: Address
  readonly multicall3: Address
  /** What the account delegates to once the first of them is mined. */
  readonly batchAccount: Address
  readonly transactions: readonly Call[]
  readonly blockSeconds: bigint
}

/** What was imagined before does not run any more on the node that is asked now. */
class ImaginedRevertedError extends RialtoError {
  override readonly name = 'ImaginedRevertedError'
  constructor() {
    super('REHEARSAL', 'A step of the plan does not run any more on the block that it was made for.', {
      fix: 'Ask again: the chain moved meanwhile.',
      retryable: true,
    })
  }
}

/** As much as the signer lets any transaction have. */
const GAS = 3_000_000n

/**
 * The chain as it would be if transactions were mined on top of a block: whatever is read or simulated is answered from
 * one `eth_simulateV1` in which all of them run first. So the next step of a sequence can be made by the very code that
 * would make it in earnest.
 *
 * @example const after = chainAfter(chain, { head, account, multicall3, batchAccount, transactions, blockSeconds: 12n })
 */
export function chainAfter(chain: Chain, imagined: Imagined): Chain {
  const { head, account, multicall3, batchAccount, transactions, blockSeconds } = imagined
  const delegation = concatHex(['0xef0100', batchAccount])
  const own = transactions.map((call) => ({ from: account, gas: GAS, ...call }))

  async function run(
    calls: SimulationRequest['calls'],
    when: Pick<SimulationRequest, 'timestamp' | 'baseFeePerGas'>,
  ): Promise<readonly SimulatedCall[]> {
    const { timestamp, baseFeePerGas } = when
    const code = [{ address: account, code: delegation }]
    const results = await chain.simulate({
      on: head,
      timestamp,
      baseFeePerGas,
      code,
      calls: [...own, ...calls],
    })
    if (results.slice(0, own.length).some(({ status }) => status === 'reverted'))
      throw new ImaginedRevertedError()
    return results.slice(own.length)
  }

  return {
    ...chain,
    simulate: (request) => run(request.calls, request),
    async read(calls) {
      if (calls.length === 0) return []
      const data = encodeFunctionData({
        abi: multicall3Abi,
        functionName: 'aggregate3',
        args: [calls.map(({ target, data }) => ({ target, allowFailure: true, callData: data }))],
      })
      const timestamp = head.timestamp + blockSeconds
      const reading = { from: account, to: multicall3, value: wei(0n), data }
      const [answer] = await run([reading], { timestamp, baseFeePerGas: head.baseFeePerGas })
      if (answer?.status !== 'success') throw new ImaginedRevertedError()
      return decodeFunctionResult({
        abi: multicall3Abi,
        functionName: 'aggregate3',
        data: answer.returnData,
      }).map(({ success, returnData }) => ({ success, data: returnData }))
    },
    code: async (of, at) => (isAddressEqual(of, account) ? delegation : chain.code(of, at)),
  }
}
