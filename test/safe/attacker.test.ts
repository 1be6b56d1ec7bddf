import {
  type Address,
  concatHex,
  encodeFunctionData,
  type Hex,
  maxUint256,
  parseAbi,
  parseEther,
  parseUnits,
  zeroHash,
} from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { beforeAll, describe, expect, it } from 'vitest'
import { explainRisk } from '../../infra/safe/explainRisk.ts'
import { readHoldings } from '../../infra/safe/readHoldings.ts'
import { openStateReader } from '../../infra/safe/stateReader.ts'
import { worldAccounts } from '../../infra/world/accounts.ts'
import { fundAccounts } from '../../infra/world/fundAccounts.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { tokenAmount } from '../../runtime/core/units.ts'
import { aavePoolActionsAbi } from '../../runtime/protocols/aave-v3/abi.ts'
import { erc20ActionsAbi } from '../../runtime/protocols/erc20/abi.ts'
import { flashRepayActionsAbi } from '../../runtime/protocols/rialto/abi.ts'
import { swapRouterActionsAbi } from '../../runtime/protocols/uniswap-v3/abi.ts'
import {
  attempt,
  attemptBatch,
  dirty,
  type Execution,
  executionOf,
  longer,
  otherOperation,
  type Packed,
  packBatch,
} from './asMember.ts'
import { MULTI_SEND_1_3_0, safeScene, sceneContracts, wholePolicy } from './safeScene.ts'

const DAY = 86_400n

const scene = await safeScene()
const { world, account, agent: thief, contracts } = scene
const { client } = world
const book = world.addressBook
const { weth, usdc, wethReserve, usdcReserve, pool, router, uniswapPool, rialto } = sceneContracts(world)
const { flashRepay } = rialto
const stranger = privateKeyToAccount(generatePrivateKey())
/** Whoever lends the thief all the money in the world. */
const accomplice = worldAccounts.arbitrageur
const role = scene.role(wholePolicy())
const risk = async () =>
  explainRisk({
    account: account.safe,
    policy: wholePolicy(),
    role,
    holdings: await readHoldings(await openStateReader(scene.rpc), book, account.safe, thief.address),
  }).thief

const approve = (token: Address, spender: Address, amount: bigint): Packed => ({
  to: token,
  data: encodeFunctionData({ abi: erc20ActionsAbi, functionName: 'approve', args: [spender, amount] }),
})
const transfer = (token: Address, to: Address, amount: bigint): Packed => ({
  to: token,
  data: encodeFunctionData({ abi: erc20ActionsAbi, functionName: 'transfer', args: [to, amount] }),
})
const toPool = (
  functionName: 'supply' | 'withdraw' | 'borrow' | 'repay' | 'liquidationCall',
  args: readonly unknown[],
): Packed => ({
  to: pool,
  data: encodeFunctionData({ abi: aavePoolActionsAbi, functionName, args } as never),
})
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
const swap = (
  tokenIn: Address,
  tokenOut: Address,
  amountIn: bigint,
  recipient = account.safe,
  fee = 500,
) => ({
  to: router,
  data: swapData(tokenIn, tokenOut, amountIn, recipient, fee),
})
const order = {
  aave: pool,
  pool: uniswapPool.address,
  debtAsset: usdc,
  collateralAsset: weth,
  aToken: wethReserve.aToken,
  repayAmount: 1n,
  maxCollateral: tokenAmount(parseEther('0.1')),
}
const rescue = (changes: Partial<Record<keyof typeof order, unknown>> = {}): Packed => ({
  to: flashRepay,
  data: encodeFunctionData({
    abi: flashRepayActionsAbi,
    functionName: 'flashRepay',
    args: [{ ...order, ...changes } as never],
  }),
})
const ONE = parseEther('1')

beforeAll(async () => {
  await fundAccounts(world, [
    { account: account.safe, weth: tokenAmount(20n * ONE), usdc: tokenAmount(parseUnits('30000', 6)) },
  ])
  await client.setBalance({ address: account.safe, value: 5n * ONE })
  await client.setBalance({ address: stranger.address, value: ONE })
  await scene.asSafe(weth, approve(weth, pool, 10n * ONE).data)
  await scene.asSafe(pool, toPool('supply', [weth, 10n * ONE, account.safe, 0]).data)
  await scene.apply(role)
})

describe('with the key of the agent, through the modifier', () => {
  const me = thief.address
  const safeCall = (text: string, args: readonly unknown[]): Hex =>
    encodeFunctionData({ abi: parseAbi([`function ${text}`] as never), args } as never)
  const batches: readonly (readonly [what: string, calls: readonly Packed[], refusal: string])[] = [
    ['sends itself tokens', [transfer(weth, me, ONE)], 'ParameterNotAllowed'],
    ['sends itself aTokens', [transfer(wethReserve.aToken, me, ONE)], 'FunctionNotAllowed'],
    [
      'sends more than the allowance to a recipient',
      [transfer(weth, worldAccounts.treasury.address, 3n * ONE)],
      'AllowanceExceeded',
    ],
    ['approves itself', [approve(weth, me, 1n)], 'OrViolation'],
    ['approves itself for aTokens', [approve(wethReserve.aToken, me, 1n)], 'ParameterNotAllowed'],
    ['approves the router without a limit', [approve(weth, router, maxUint256)], 'AllowanceExceeded'],
    [
      'approves the router for more than the allowance',
      [approve(weth, router, 2n * ONE + 1n)],
      'AllowanceExceeded',
    ],
    ['has a swap paid out to itself', [approve(weth, router, ONE), swap(weth, usdc, ONE, me)], 'OrViolation'],
    ['swaps through a pool of its own', [swap(weth, usdc, ONE, account.safe, 3000)], 'OrViolation'],
    ['swaps for a token of its own', [swap(weth, me, ONE)], 'OrViolation'],
    ['swaps more than the allowance', [swap(weth, usdc, 2n * ONE + 1n)], 'OrViolation'],
    [
      'swaps the allowance in parts of one batch',
      [swap(weth, usdc, 2n * ONE), swap(weth, usdc, 1n)],
      'OrViolation',
    ],
    ['withdraws to itself', [toPool('withdraw', [weth, ONE, me])], 'OrViolation'],
    ['supplies for itself', [toPool('supply', [weth, ONE, me, 0])], 'OrViolation'],
    ['repays its own debt', [toPool('repay', [usdc, 1n, 2n, me])], 'OrViolation'],
    ['borrows on the account of another', [toPool('borrow', [usdc, 1n, 2n, 0, me])], 'OrViolation'],
    ['borrows at the stable rate', [toPool('borrow', [usdc, 1n, 1n, 0, account.safe])], 'OrViolation'],
    [
      'borrows more than the allowance',
      [toPool('borrow', [usdc, parseUnits('5001', 6), 2n, 0, account.safe])],
      'OrViolation',
    ],
    [
      'liquidates the Safe itself',
      [toPool('liquidationCall', [weth, usdc, account.safe, 1n, false])],
      'OrViolation',
    ],
    [
      'is paid for a liquidation in aTokens',
      [toPool('liquidationCall', [weth, usdc, me, 1n, true])],
      'OrViolation',
    ],
    ['rescues through a pool of its own', [rescue({ pool: me })], 'OrViolation'],
    ['rescues at an Aave of its own', [rescue({ aave: me })], 'OrViolation'],
    ['rescues with an aToken of its own', [rescue({ aToken: usdcReserve.aToken })], 'OrViolation'],
    ['rescues with more than the allowance', [rescue({ maxCollateral: 2n * ONE + 1n })], 'OrViolation'],
    [
      'delegates credit',
      [{ to: wethReserve.variableDebtToken, data: safeCall('approveDelegation(address,uint256)', [me, 1n]) }],
      'TargetAddressNotAllowed',
    ],
    [
      'takes a flash loan',
      [
        {
          to: pool,
          data: safeCall('flashLoanSimple(address,address,uint256,bytes,uint16)', [me, weth, 1n, '0x', 0]),
        },
      ],
      'FunctionNotAllowed',
    ],
    [
      'turns collateral off',
      [{ to: pool, data: safeCall('setUserUseReserveAsCollateral(address,bool)', [weth, false]) }],
      'FunctionNotAllowed',
    ],
    [
      'moves by transferFrom',
      [{ to: weth, data: safeCall('transferFrom(address,address,uint256)', [account.safe, me, 1n]) }],
      'FunctionNotAllowed',
    ],
    ['unwraps WETH', [{ to: weth, data: safeCall('withdraw(uint256)', [1n]) }], 'FunctionNotAllowed'],
    [
      'uses another function of the router',
      [{ to: router, data: safeCall('sweepToken(address,uint256,address)', [weth, 0n, me]) }],
      'FunctionNotAllowed',
    ],
    ['sends native coins', [{ to: me, data: '0x', value: 1n }], 'TargetAddressNotAllowed'],
    ['wraps native coins', [{ to: weth, data: '0x', value: 1n }], 'FunctionNotAllowed'],
    ['sends native coins along', [{ ...approve(weth, router, 1n), value: 1n }], 'SendNotAllowed'],
    ['delegates to a contract of its own', [{ to: me, data: '0x', operation: 1 }], 'TargetAddressNotAllowed'],
    [
      'delegates to a contract that it may call',
      [{ ...approve(weth, router, 1n), operation: 1 }],
      'DelegateCallNotAllowed',
    ],
    [
      'makes itself a module',
      [{ to: account.safe, data: safeCall('enableModule(address)', [me]) }],
      'TargetAddressNotAllowed',
    ],
    [
      'makes itself an owner',
      [{ to: account.safe, data: safeCall('addOwnerWithThreshold(address,uint256)', [me, 1n]) }],
      'TargetAddressNotAllowed',
    ],
    [
      'sets a fallback handler',
      [{ to: account.safe, data: safeCall('setFallbackHandler(address)', [weth]) }],
      'TargetAddressNotAllowed',
    ],
    [
      'raises its allowance',
      [
        {
          to: account.modifier,
          data: safeCall('setAllowance(bytes32,uint128,uint128,uint128,uint64,uint64)', [
            zeroHash,
            1n,
            1n,
            1n,
            1n,
            1n,
          ]),
        },
      ],
      'TargetAddressNotAllowed',
    ],
    [
      'nests a batch',
      [{ to: account.multiSend, data: packBatch([transfer(weth, me, ONE)]) }],
      'TargetAddressNotAllowed',
    ],
    [
      'nests a batch by delegation',
      [{ to: account.multiSend, data: packBatch([transfer(weth, me, ONE)]), operation: 1 }],
      'TargetAddressNotAllowed',
    ],
    [
      'hides a call behind one that is allowed',
      [approve(weth, router, 1n), transfer(weth, me, ONE)],
      'ParameterNotAllowed',
    ],
    ['calls with less than a selector', [{ to: weth, data: '0x095ea7' }], 'FunctionSignatureTooShort'],
    [
      'leaves arguments out',
      [{ to: weth, data: approve(weth, router, 1n).data.slice(0, 74) as Hex }],
      'CalldataOutOfBounds',
    ],
    [
      'writes dirt before an address',
      [{ to: weth, data: dirty(approve(weth, router, 1n).data) }],
      'OrViolation',
    ],
  ]

  it.each(batches)('%s: refused', async (_what, calls, refusal) => {
    expect(await attemptBatch(scene, thief, calls)).toBe(refusal)
  })

  const one = () => packBatch([transfer(weth, me, ONE)])
  const executions: readonly (readonly [what: string, execution: () => Execution, refusal: string])[] = [
    [
      'calls MultiSend instead of delegating',
      () => ({ data: one(), operation: 0 }),
      'MalformedMultiEntrypoint',
    ],
    ['sends native coins to MultiSend', () => ({ data: one(), value: 1n }), 'MalformedMultiEntrypoint'],
    ['packs a batch of nothing', () => ({ data: packBatch([]) }), 'MalformedMultiEntrypoint'],
    ['packs bytes after the batch', () => ({ data: concatHex([one(), '0x00']) }), 'MalformedMultiEntrypoint'],
    ['packs a length that reaches past the end', () => ({ data: longer(one()) }), 'MalformedMultiEntrypoint'],
    [
      'packs an operation that there is not',
      () => ({ data: otherOperation(one()) }),
      'MalformedMultiEntrypoint',
    ],
    [
      'delegates to another MultiSend',
      () => ({ to: MULTI_SEND_1_3_0, data: one() }),
      'TargetAddressNotAllowed',
    ],
    [
      'delegates to the MultiSend with delegation',
      () => ({ to: contracts.multiSend, data: one() }),
      'TargetAddressNotAllowed',
    ],
    [
      'calls a token without a batch',
      () => ({ to: weth, data: transfer(weth, me, ONE).data, operation: 0 }),
      'ParameterNotAllowed',
    ],
    [
      'acts in a role that it has not',
      () => ({ data: one(), roleKey: `0x${'11'.repeat(32)}` }),
      'NoMembership',
    ],
    ['acts in no role', () => ({ data: one(), roleKey: zeroHash }), 'NoMembership'],
  ]

  it.each(executions)('%s: refused', async (_what, execution, refusal) => {
    expect(await attempt(scene, thief, account.modifier, executionOf(scene, execution()))).toBe(refusal)
  })

  it('changes the modifier or the Safe by itself: refused', async () => {
    const assign = safeCall('assignRoles(address,bytes32[],bool[])', [me, [zeroHash], [true]])
    expect(await attempt(scene, thief, account.modifier, assign)).not.toBe('done')
    const enable = safeCall('enableModule(address)', [me])
    expect(await attempt(scene, thief, account.safe, enable)).not.toBe('done')
    const byModule = safeCall('execTransactionFromModule(address,uint256,bytes,uint8)', [weth, 0n, '0x', 0])
    expect(await attempt(scene, thief, account.modifier, byModule)).toBe('NoMembership')
    expect(await attempt(scene, thief, account.safe, byModule)).not.toBe('done')
  })

  it('another key than the agent’s is refused whatever it does', async () => {
    expect(await attemptBatch(scene, stranger, [approve(weth, router, 1n)])).toBe('NotAuthorized')
  })

  it('none of it took anything', async () => {
    const { differences } = await scene.check(role)
    expect(differences.map(({ line }) => line)).toEqual([])
  })
})

/** Sells so much of a token that the pool's price is next to nothing, and returns what it was sold for. */
async function crash(from: Address, to: Address, amount: bigint): Promise<void> {
  const data = swapData(from, to, amount, accomplice.address)
  expect(await attempt(scene, accomplice, router, data)).toBe('done')
}

describe('what the thief can take all the same', () => {
  const equity = async () =>
    (await readHoldings(await openStateReader(scene.rpc), book, account.safe, thief.address)).equity

  /** One round: everything that the allowances give, swapped while the pool's price is next to nothing. */
  async function robbery(): Promise<readonly string[]> {
    const results: string[] = []
    for (const [token, other, amount, push] of [
      [weth, usdc, 2n * ONE, 3_000_000n * ONE],
      [usdc, weth, parseUnits('5000', 6), parseUnits('900000000000', 6)],
    ] as const) {
      await crash(token, other, push)
      results.push(
        await attemptBatch(scene, thief, [approve(token, router, amount), swap(token, other, amount)]),
      )
    }
    return results
  }

  it('is no more than was stated before, and no less than most of it', async () => {
    const stated = await risk()
    if (stated.holds !== 'role' || stated.most === null) throw new InvariantError('It was stated.')
    const before = await equity()
    const { allowances, block } = (await scene.check(role)).role
    const [first] = [...allowances.values()]
    if (first === undefined) throw new InvariantError('There are allowances.')

    // The worst 24 hours begin just before the allowances are full again.
    const refill = first.timestamp + first.period * ((block.timestamp - first.timestamp) / first.period + 1n)
    await client.setNextBlockTimestamp({ timestamp: refill - 600n })
    expect(await robbery()).toEqual(['done', 'done'])
    expect(await robbery()).toEqual(['AllowanceExceeded', 'AllowanceExceeded'])
    await client.setNextBlockTimestamp({ timestamp: refill })
    expect(await robbery()).toEqual(['done', 'done'])
    await client.setNextBlockTimestamp({ timestamp: refill - 600n + DAY - 100n })
    expect(await robbery()).toEqual(['AllowanceExceeded', 'AllowanceExceeded'])

    // Nothing else moves any more: not a unit by any way that there is.
    for (const calls of [
      [swap(weth, usdc, 1n)],
      [transfer(usdc, worldAccounts.treasury.address, 1n)],
      [toPool('borrow', [usdc, 1n, 2n, 0, account.safe])],
      [toPool('withdraw', [weth, 1n, account.safe])],
      [rescue({ maxCollateral: 1n })],
    ])
      expect(await attemptBatch(scene, thief, calls)).toMatch(/OrViolation|AllowanceExceeded/)

    const lost = before - (await equity())
    expect(lost).toBeLessThanOrEqual(stated.most)
    expect(lost).toBeGreaterThan((stated.most * 9n) / 10n)
  })
})
