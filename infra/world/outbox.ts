import { type Abi, type Address, encodeFunctionData, type Hex, isAddressEqual, numberToHex } from 'viem'
import { wei } from '../../runtime/core/units.ts'
import { type BlockOptions, inOneBlock, type MinedBlock, unlessKnown } from './block.ts'
import { WorldTransactionError } from './errors.ts'
import type { Rpc } from './rpc.ts'

export type OutboxCall = {
  readonly from: Address
  readonly to: Address
  readonly abi: Abi
  readonly functionName: string
  readonly args: readonly unknown[]
}

const GAS_LIMIT = 1_000_000n

/**
 * Sends calls in the name of any account, without keys, and mines them into one block.
 *
 * Nobody pays for gas: the block's base fee is zero and so is every bid. That leaves the order between accounts to
 * arrival, so each call is sent when the one before has arrived. A call that the node has already, because an
 * earlier attempt broke off before the block, counts as sent.
 *
 * @throws {WorldTransactionError} when a call reverts.
 * @throws {WorldTimeError} when the chain is later than `block.timestamp`.
 */
export async function sendTogether(
  rpc: Rpc,
  calls: readonly OutboxCall[],
  block: BlockOptions,
): Promise<MinedBlock> {
  const senders = [...new Set(calls.map(({ from }) => from))]
  const next = new Map<Address, number>()
  for (const from of senders) {
    await rpc('anvil_impersonateAccount', from)
    next.set(from, Number(await rpc<Hex>('eth_getTransactionCount', from, 'latest')))
  }
  const numbered = calls.map((call) => {
    const nonce = next.get(call.from) ?? 0
    next.set(call.from, nonce + 1)
    return { ...call, nonce }
  })
  try {
    const mined = await inOneBlock(rpc, { ...block, baseFeePerGas: wei(0n) }, async () => {
      for (const { from, to, abi, functionName, args, nonce } of numbered)
        await unlessKnown(
          rpc('eth_sendTransaction', {
            ...{ from, to, data: encodeFunctionData({ abi, functionName, args }) },
            ...{ nonce: numberToHex(nonce), gas: numberToHex(GAS_LIMIT), gasPrice: '0x0' },
          }),
        )
    })
    await verify(rpc, mined, numbered)
    return mined
  } finally {
    for (const from of senders) await rpc('anvil_stopImpersonatingAccount', from)
  }
}

type Sent = { readonly hash: Hex; readonly from: Address; readonly nonce: Hex }

/** The node answers nothing when it is sent bytes that it knows, so calls are found by sender and nonce. */
async function verify(
  rpc: Rpc,
  { hash }: MinedBlock,
  calls: readonly (OutboxCall & { nonce: number })[],
): Promise<void> {
  const { transactions } = await rpc<{ transactions: readonly Sent[] }>('eth_getBlockByHash', hash, true)
  for (const { from, to, functionName, nonce } of calls) {
    const sent = transactions.find(
      (transaction) => isAddressEqual(transaction.from, from) && Number(transaction.nonce) === nonce,
    )
    const receipt =
      sent === undefined ? null : await rpc<{ status: Hex } | null>('eth_getTransactionReceipt', sent.hash)
    if (receipt?.status !== '0x1')
      throw new WorldTransactionError(functionName, {
        from,
        to,
        nonce,
        status: receipt?.status ?? 'not mined',
      })
  }
}
