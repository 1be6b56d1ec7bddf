import {
  type Address,
  encodeFunctionData,
  type Hex,
  type LocalAccount,
  maxUint256,
  parseAbi,
  parseEther,
  parseUnits,
} from 'viem'
import { openStateReader } from '../../infra/chain/stateReader.ts'
import { explainRisk } from '../../infra/safe/explainRisk.ts'
import { type Holdings, readHoldings } from '../../infra/safe/readHoldings.ts'
import type { Role } from '../../infra/safe/role.ts'
import { worldAccounts } from '../../infra/world/accounts.ts'
import { fundAccounts } from '../../infra/world/fundAccounts.ts'
import { tokenAmount } from '../../runtime/core/units.ts'
import { aavePoolActionsAbi } from '../../runtime/protocols/aave-v3/abi.ts'
import { erc20ActionsAbi } from '../../runtime/protocols/erc20/abi.ts'
import { flashRepayActionsAbi } from '../../runtime/protocols/rialto/abi.ts'
import { swapRouterActionsAbi } from '../../runtime/protocols/uniswap-v3/abi.ts'
import type { Packed } from './asMember.ts'
import { type SafeScene, safeScene, sceneContracts, wholePolicy } from './safeScene.ts'

export const ONE = parseEther('1')

/** A Safe with money under a role, whose agent's key somebody has stolen. */
export type Attack = {
  readonly scene: SafeScene
  readonly role: Role
  /** Whoever has the agent's key. */
  readonly thief: LocalAccount
  /** Whoever lends the thief all the money in the world. */
  readonly accomplice: LocalAccount
  readonly at: ReturnType<typeof sceneContracts>
  /** What the owners were told that the thief could take. */
  stated(): Promise<ReturnType<typeof explainRisk>['thief']>
  /** What an account has, at Aave's oracle prices. */
  holdingsOf(account: Address): Promise<Holdings>
  /** Calldata of whatever a thief may think of. */
  readonly calls: ReturnType<typeof callsOn>
}

/** 20 WETH and 30,000 USDC in the Safe, 10 WETH of its supplied to Aave, and 5 native coins. */
export async function attackedSafe(): Promise<Attack> {
  const scene = await safeScene()
  const { world, account, agent: thief } = scene
  const at = sceneContracts(world)
  const calls = callsOn(scene)
  const role = scene.role(wholePolicy())
  const wallets = { weth: tokenAmount(20n * ONE), usdc: tokenAmount(parseUnits('30000', 6)) }
  await fundAccounts(world, [{ account: account.safe, ...wallets }])
  await world.client.setBalance({ address: account.safe, value: 5n * ONE })
  await scene.asSafe(at.weth, calls.approve(at.weth, at.pool, 10n * ONE).data)
  await scene.asSafe(at.pool, calls.toPool('supply', [at.weth, 10n * ONE, account.safe, 0]).data)
  await scene.apply(role)
  const holdings = async (holder: Address, payer: Address | null) =>
    readHoldings(await openStateReader(scene.rpc), world.addressBook, holder, payer)
  return {
    ...{ scene, role, thief, at, calls, accomplice: worldAccounts.arbitrageur },
    holdingsOf: (holder) => holdings(holder, null),
    async stated() {
      const { safe } = account
      const parameters = { account: safe, policy: wholePolicy(), role }
      return explainRisk({ ...parameters, holdings: await holdings(safe, thief.address) }).thief
    },
  }
}

function callsOn({ world, account }: SafeScene) {
  const { weth, usdc, wethReserve, pool, router, uniswapPool, rialto } = sceneContracts(world)
  const call = (text: string, args: readonly unknown[]): Hex =>
    encodeFunctionData({ abi: parseAbi([`function ${text}`] as never), args } as never)
  const swapData = (
    tokenIn: Address,
    tokenOut: Address,
    amountIn: bigint,
    recipient: Address,
    fee = 500,
  ): Hex =>
    encodeFunctionData({
      abi: swapRouterActionsAbi,
      functionName: 'exactInputSingle',
      args: [
        {
          ...{ tokenIn, tokenOut, fee, recipient, deadline: maxUint256, amountIn },
          ...{ amountOutMinimum: 0n, sqrtPriceLimitX96: 0n },
        },
      ],
    })
  const order = {
    aave: pool,
    pool: uniswapPool.address,
    debtAsset: usdc,
    collateralAsset: weth,
    aToken: wethReserve.aToken,
    repayAmount: 1n,
    maxCollateral: tokenAmount(ONE / 10n),
  }
  return {
    call,
    swapData,
    approve: (token: Address, spender: Address, amount: bigint): Packed => ({
      to: token,
      data: encodeFunctionData({ abi: erc20ActionsAbi, functionName: 'approve', args: [spender, amount] }),
    }),
    transfer: (token: Address, to: Address, amount: bigint): Packed => ({
      to: token,
      data: encodeFunctionData({ abi: erc20ActionsAbi, functionName: 'transfer', args: [to, amount] }),
    }),
    toPool: (
      functionName: 'supply' | 'withdraw' | 'borrow' | 'repay' | 'liquidationCall',
      args: readonly unknown[],
    ): Packed => ({
      to: pool,
      data: encodeFunctionData({ abi: aavePoolActionsAbi, functionName, args } as never),
    }),
    /** At whatever price: there is no minimum. */
    swap: (
      tokenIn: Address,
      tokenOut: Address,
      amountIn: bigint,
      recipient = account.safe,
      fee = 500,
    ): Packed => ({ to: router, data: swapData(tokenIn, tokenOut, amountIn, recipient, fee) }),
    rescue: (changes: Partial<Record<keyof typeof order, unknown>> = {}): Packed => ({
      to: rialto.flashRepay,
      data: encodeFunctionData({
        abi: flashRepayActionsAbi,
        functionName: 'flashRepay',
        args: [{ ...order, ...changes } as never],
      }),
    }),
  }
}
