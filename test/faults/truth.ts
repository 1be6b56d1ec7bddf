import { type Address, type Hex, hexToBigInt, hexToNumber, isAddressEqual, numberToHex } from 'viem'
import { readBalance } from '../../infra/world/readBalance.ts'
import type { Rpc } from '../../infra/world/rpc.ts'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { tokensOf } from './scenario.ts'

/** A transaction of the account as the node itself has it. */
export type MinedTransaction = {
  readonly hash: Hex
  readonly nonce: number
  readonly blockHash: Hex
  readonly status: 'success' | 'reverted'
  /** Wei. */
  readonly cost: bigint
}

/** What an account holds, by the node itself. */
export type Holdings = {
  readonly USDC: bigint
  readonly WETH: bigint
  /** With interest. */
  readonly collateral: bigint
  readonly debt: bigint
}

type RawBlock = {
  readonly number: Hex
  readonly hash: Hex
  readonly transactions: readonly { readonly hash: Hex; readonly from: Address; readonly nonce: Hex }[]
}

/** Reads the chain past proxy and engine: what really happened. */
export async function minedOf(
  rpc: Rpc,
  account: Address,
  since: bigint,
): Promise<readonly MinedTransaction[]> {
  const head = hexToBigInt(await rpc<Hex>('eth_blockNumber'))
  const found: MinedTransaction[] = []
  for (let number = since + 1n; number <= head; number++) {
    const block = await rpc<RawBlock>('eth_getBlockByNumber', numberToHex(number), true)
    for (const { hash, from, nonce } of block.transactions) {
      if (!isAddressEqual(from, account)) continue
      const receipt = await rpc<{ status: Hex; gasUsed: Hex; effectiveGasPrice: Hex }>(
        'eth_getTransactionReceipt',
        hash,
      )
      found.push({
        hash,
        nonce: hexToNumber(nonce),
        blockHash: block.hash,
        status: receipt.status === '0x1' ? 'success' : 'reverted',
        cost: hexToBigInt(receipt.gasUsed) * hexToBigInt(receipt.effectiveGasPrice),
      })
    }
  }
  return found
}

export async function holdingsOf(rpc: Rpc, book: AddressBook, account: Address): Promise<Holdings> {
  const { USDC, WETH } = tokensOf(book)
  const reserve = (asset: Address) => {
    const found = book.aaveV3.reserves.find((one) => isAddressEqual(one.asset, asset))
    if (found === undefined) throw new InvariantError('The world has both reserves.')
    return found
  }
  return {
    USDC: await readBalance(rpc, USDC, account),
    WETH: await readBalance(rpc, WETH, account),
    collateral: await readBalance(rpc, reserve(WETH).aToken, account),
    debt: await readBalance(rpc, reserve(USDC).variableDebtToken, account),
  }
}

/** Whether the pool holds anything of the account's. */
export async function isWaiting(rpc: Rpc, account: Address): Promise<boolean> {
  const counted = (tag: 'latest' | 'pending') => rpc<Hex>('eth_getTransactionCount', account, tag)
  return (await counted('latest')) !== (await counted('pending'))
}
