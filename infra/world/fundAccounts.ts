import { type Address, numberToHex, parseAbi } from 'viem'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { TokenAmount, Wei } from '../../runtime/core/units.ts'
import { addressOf } from './accounts.ts'
import type { BlockOptions, MinedBlock } from './block.ts'
import { type OutboxCall, sendTogether } from './outbox.ts'
import { readBalance } from './readBalance.ts'
import { createRpc } from './rpc.ts'
import type { World } from './world.ts'

/** What an account is to have at least; what is absent stays as it is. */
export type FundingRequest = {
  readonly account: Address
  /** The native coin. */
  readonly eth?: Wei
  readonly usdc?: TokenAmount
  readonly weth?: TokenAmount
}

const tokenAbi = parseAbi([
  'function mint(address, uint256)',
  'function transfer(address, uint256) returns (bool)',
])

/**
 * Tops accounts up, a liquidator with dollars for instance, in one block. Only what is missing is given, so this
 * may be done again after a crash.
 *
 * @returns the block, or `undefined` when no token was missing
 * @throws {WorldTransactionError} when a transfer fails.
 * @throws {WorldTimeError} when the chain is later than `block.timestamp`.
 * @example
 * await fundAccounts(world, [{ account, eth: wei(parseEther('5')), usdc: tokenAmount(parseUnits('100000', 6)) }])
 */
export async function fundAccounts(
  world: Pick<World, 'url' | 'addressBook'>,
  requests: readonly FundingRequest[],
  block: Pick<BlockOptions, 'timestamp'> = {},
): Promise<MinedBlock | undefined> {
  const rpc = createRpc(world.url)
  const weth = world.addressBook.wrappedNative
  const usdc = world.addressBook.tokens.find(({ symbol }) => symbol === 'USDC')?.address
  if (usdc === undefined) throw new InvariantError('The address book is not that of a world.')

  const calls: OutboxCall[] = []
  for (const { account, eth = 0n, usdc: dollars = 0n, weth: ether = 0n } of requests) {
    if (BigInt(await rpc<string>('eth_getBalance', account, 'latest')) < eth)
      await rpc('anvil_setBalance', account, numberToHex(eth))
    const call = { abi: tokenAbi }
    const lacksUsdc = dollars - (await readBalance(rpc, usdc, account))
    if (lacksUsdc > 0n)
      calls.push({
        ...call,
        from: addressOf('deployer'),
        to: usdc,
        functionName: 'mint',
        args: [account, lacksUsdc],
      })
    const lacksWeth = ether - (await readBalance(rpc, weth, account))
    if (lacksWeth > 0n)
      calls.push({
        ...{
          ...call,
          from: addressOf('arbitrageur'),
          to: weth,
          functionName: 'transfer',
          args: [account, lacksWeth],
        },
      })
  }
  return calls.length === 0 ? undefined : await sendTogether(rpc, calls, block)
}
