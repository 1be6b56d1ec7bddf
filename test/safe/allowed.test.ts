import { type Address, maxUint256, parseEther, parseUnits } from 'viem'
import { beforeAll, describe, expect, it } from 'vitest'
import { addressOf } from '../../infra/world/accounts.ts'
import { fundAccounts } from '../../infra/world/fundAccounts.ts'
import { tokenAmount, wad } from '../../runtime/core/units.ts'
import {
  encodeBorrow,
  encodeRepay,
  encodeSupply,
  encodeWithdraw,
} from '../../runtime/protocols/aave-v3/encode.ts'
import { encodeApprove, encodeTransfer } from '../../runtime/protocols/erc20/encode.ts'
import {
  encodeFlashRepay,
  encodeMaxBalance,
  encodeMinBalance,
  encodeMinHealthFactor,
  encodeNotAfter,
  encodeZeroAllowance,
} from '../../runtime/protocols/rialto/encode.ts'
import { encodeRolesExecution } from '../../runtime/protocols/safe/encode.ts'
import { encodeExactInputSingle } from '../../runtime/protocols/uniswap-v3/encode.ts'
import { attempt } from './asMember.ts'
import { safeScene, sceneContracts, wholePolicy } from './safeScene.ts'

const scene = await safeScene()
const { world, account, agent } = scene
const { client } = world
const { modifier, safe } = account
const { weth, usdc, wethReserve, usdcReserve, pool, router, uniswapPool, rialto } = sceneContracts(world)
const stranger: Address = addressOf('treasury')
const ONE = parseEther('1')

describe('what the policy allows', () => {
  const amount = (text: string) => tokenAmount(parseEther(text))
  const dollars = (text: string) => tokenAmount(parseUnits(text, 6))
  const { assert, flashRepay } = rialto
  beforeAll(async () => {
    await scene.apply(scene.role(wholePolicy()))
    await fundAccounts(world, [{ account: safe, weth: amount('20'), usdc: dollars('3000') }])
  })

  it.each([
    [
      'supplies',
      [
        encodeApprove(weth, pool, amount('1')),
        encodeSupply(pool, weth, amount('1'), safe),
        encodeZeroAllowance(assert, weth, safe, pool),
      ],
    ],
    [
      'borrows',
      [encodeBorrow(pool, usdc, dollars('900'), safe), encodeMinHealthFactor(assert, pool, safe, wad(ONE))],
    ],
    [
      'repays',
      [
        encodeApprove(usdc, pool, dollars('100')),
        encodeRepay(pool, usdc, dollars('100'), safe),
        encodeApprove(usdc, pool, dollars('0')),
      ],
    ],
    [
      'withdraws',
      [encodeWithdraw(pool, weth, amount('0.1'), safe), encodeMinBalance(assert, weth, safe, amount('19'))],
    ],
    [
      'swaps',
      [
        encodeApprove(weth, router, amount('0.1')),
        encodeExactInputSingle(router, {
          ...{ tokenIn: weth, tokenOut: usdc, fee: uniswapPool.fee, recipient: safe, deadline: maxUint256 },
          ...{ amountIn: amount('0.1'), minAmountOut: dollars('190') },
        }),
      ],
    ],
    [
      'rescues',
      [
        encodeApprove(wethReserve.aToken, flashRepay, amount('0.06')),
        encodeFlashRepay(flashRepay, {
          ...{ aave: pool, pool: uniswapPool.address, debtAsset: usdc, collateralAsset: weth },
          ...{ aToken: wethReserve.aToken, repayAmount: dollars('100'), maxCollateral: amount('0.06') },
        }),
        encodeMaxBalance(assert, usdcReserve.variableDebtToken, safe, dollars('701')),
      ],
    ],
    ['transfers', [encodeTransfer(usdc, stranger, dollars('1')), encodeNotAfter(assert, 1_000_000n)]],
  ])('%s: done', async (_what, calls) => {
    const { to, data } = encodeRolesExecution(calls, account)
    expect(to).toBe(modifier)
    expect(await attempt(scene, agent, to, data)).toBe('done')
  })

  it('a batch whose assertion does not hold does nothing', async () => {
    const nonce = await client.getTransactionCount({ address: agent.address })
    const calls = [encodeTransfer(usdc, stranger, dollars('1')), encodeNotAfter(assert, 1n)]
    const { to, data } = encodeRolesExecution(calls, account)
    expect(await attempt(scene, agent, to, data)).toBe('ModuleTransactionFailed')
    expect(await client.getTransactionCount({ address: agent.address })).toBe(nonce + 1)
  })
})
