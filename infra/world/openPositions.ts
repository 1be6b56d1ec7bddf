import { type Address, numberToHex, parseAbi } from 'viem'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { TokenAmount, Wei } from '../../runtime/core/units.ts'
import { addressOf } from './accounts.ts'
import type { BlockOptions, MinedBlock } from './block.ts'
import { sendTogether } from './outbox.ts'
import { readBalance } from './readBalance.ts'
import { createRpc } from './rpc.ts'
import type { World } from './world.ts'

/** A leveraged position, and what its owner has at hand. */
export type PositionRequest = {
  /** Whose it is. Its key is not needed. */
  readonly account: Address
  /** WETH supplied to Aave. */
  readonly collateral: TokenAmount
  /** USDC borrowed from Aave at a variable rate. */
  readonly debt: TokenAmount
  /** How much of the borrowed USDC stays in the wallet; the rest is spent. */
  readonly walletUsdc: TokenAmount
  /** The native coin in the wallet afterwards, exactly. */
  readonly walletEth: Wei
}

const erc20Abi = parseAbi([
  'function approve(address, uint256) returns (bool)',
  'function transfer(address, uint256) returns (bool)',
])
const poolAbi = parseAbi([
  'function supply(address asset, uint256 amount, address onBehalfOf, uint16 referralCode)',
  'function borrow(address asset, uint256 amount, uint256 rateMode, uint16 referralCode, address onBehalfOf)',
])
const VARIABLE_RATE = 2n

/**
 * Opens lending positions in one block, so that equal ones stay equal to the unit: the world supplies the WETH on
 * each account's behalf, the account borrows, and sends what it does not keep to Aave's treasury.
 *
 * The accounts act by impersonation and pay no gas (the block's base fee is zero), so that their keys stay where
 * they are, and their wallets hold what was asked for to the unit. An account that owes USDC already is left as it
 * is, so all of this may be done again after a crash.
 *
 * @returns the block, or `undefined` when there was nothing to do
 * @throws {WorldTransactionError} when Aave refuses, e.g. a debt that the collateral does not carry.
 * @throws {WorldTimeError} when the chain is later than `block.timestamp`.
 * @example
 * await openPositions(world, [{
 *   account, collateral: tokenAmount(parseEther('10')), debt: tokenAmount(parseUnits('14000', 6)),
 *   walletUsdc: tokenAmount(parseUnits('500', 6)), walletEth: wei(parseEther('1')) }])
 */
export async function openPositions(
  world: Pick<World, 'url' | 'addressBook'>,
  positions: readonly PositionRequest[],
  block: Pick<BlockOptions, 'timestamp'> = {},
): Promise<MinedBlock | undefined> {
  const { url, addressBook: book } = world
  const rpc = createRpc(url)
  const weth = book.wrappedNative
  const usdc = book.tokens.find(({ symbol }) => symbol === 'USDC')?.address
  const debtToken = book.aaveV3.reserves.find(({ asset }) => asset === usdc)?.variableDebtToken
  if (usdc === undefined || debtToken === undefined)
    throw new InvariantError('The address book is not that of a world.')

  const missing: PositionRequest[] = []
  for (const position of positions)
    if ((await readBalance(rpc, debtToken, position.account)) === 0n) missing.push(position)
  if (missing.length === 0) return undefined

  const { pool } = book.aaveV3
  const bank = addressOf('arbitrageur')
  const supplied = missing.reduce((sum, { collateral }) => sum + collateral, 0n)
  for (const { account, walletEth } of missing) await rpc('anvil_setBalance', account, numberToHex(walletEth))
  return await sendTogether(
    rpc,
    [
      { from: bank, to: weth, abi: erc20Abi, functionName: 'approve', args: [pool, supplied] },
      ...missing.map(({ account, collateral }) => ({
        ...{
          from: bank,
          to: pool,
          abi: poolAbi,
          functionName: 'supply',
          args: [weth, collateral, account, 0],
        },
      })),
      ...missing.flatMap(({ account, debt, walletUsdc }) => [
        {
          ...{ from: account, to: pool, abi: poolAbi, functionName: 'borrow' },
          args: [usdc, debt, VARIABLE_RATE, 0, account],
        },
        {
          ...{ from: account, to: usdc, abi: erc20Abi, functionName: 'transfer' },
          args: [addressOf('treasury'), debt - walletUsdc],
        },
      ]),
    ],
    block,
  )
}
