import { type Address, concatHex, type Hex, maxUint256, parseAbi, parseUnits, zeroHash } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { beforeAll, describe, expect, it } from 'vitest'
import { worldAccounts } from '../../infra/world/accounts.ts'
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
import { attackedSafe, ONE } from './attack.fixture.ts'
import { MULTI_SEND_1_3_0 } from './safeScene.ts'

// The key of the agent is stolen. What it can take all the same is in attackTakes.test.ts.

const { scene, role, thief, at, calls: make, holdingsOf } = await attackedSafe()
const { account, contracts } = scene
const { client } = scene.world
const { weth, usdc, wethReserve, usdcReserve, pool, router } = at
const { approve, transfer, toPool, swap, rescue, call } = make
const stranger = privateKeyToAccount(generatePrivateKey())

beforeAll(() => client.setBalance({ address: stranger.address, value: ONE }))

const allowanceOf = (token: Address, spender: Address) =>
  client.readContract({
    address: token,
    abi: parseAbi(['function allowance(address, address) view returns (uint256)']),
    functionName: 'allowance',
    args: [account.safe, spender],
  })

describe('with the key of the agent, through the modifier', () => {
  const me = thief.address
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
      [{ to: wethReserve.variableDebtToken, data: call('approveDelegation(address,uint256)', [me, 1n]) }],
      'TargetAddressNotAllowed',
    ],
    [
      'takes a flash loan',
      [
        {
          to: pool,
          data: call('flashLoanSimple(address,address,uint256,bytes,uint16)', [me, weth, 1n, '0x', 0]),
        },
      ],
      'FunctionNotAllowed',
    ],
    [
      'turns collateral off',
      [{ to: pool, data: call('setUserUseReserveAsCollateral(address,bool)', [weth, false]) }],
      'FunctionNotAllowed',
    ],
    [
      'moves by transferFrom',
      [{ to: weth, data: call('transferFrom(address,address,uint256)', [account.safe, me, 1n]) }],
      'FunctionNotAllowed',
    ],
    ['unwraps WETH', [{ to: weth, data: call('withdraw(uint256)', [1n]) }], 'FunctionNotAllowed'],
    [
      'uses another function of the router',
      [{ to: router, data: call('sweepToken(address,uint256,address)', [weth, 0n, me]) }],
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
      [{ to: account.safe, data: call('enableModule(address)', [me]) }],
      'TargetAddressNotAllowed',
    ],
    [
      'makes itself an owner',
      [{ to: account.safe, data: call('addOwnerWithThreshold(address,uint256)', [me, 1n]) }],
      'TargetAddressNotAllowed',
    ],
    [
      'sets a fallback handler',
      [{ to: account.safe, data: call('setFallbackHandler(address)', [weth]) }],
      'TargetAddressNotAllowed',
    ],
    [
      'raises its allowance',
      [
        {
          to: account.modifier,
          data: call('setAllowance(bytes32,uint128,uint128,uint128,uint64,uint64)', [
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
    const assign = call('assignRoles(address,bytes32[],bool[])', [me, [zeroHash], [true]])
    expect(await attempt(scene, thief, account.modifier, assign)).not.toBe('done')
    const enable = call('enableModule(address)', [me])
    expect(await attempt(scene, thief, account.safe, enable)).not.toBe('done')
    const byModule = call('execTransactionFromModule(address,uint256,bytes,uint8)', [weth, 0n, '0x', 0])
    expect(await attempt(scene, thief, account.modifier, byModule)).toBe('NoMembership')
    expect(await attempt(scene, thief, account.safe, byModule)).not.toBe('done')
  })

  it('another key than the agent’s is refused whatever it does', async () => {
    expect(await attemptBatch(scene, stranger, [approve(weth, router, 1n)])).toBe('NotAuthorized')
  })

  it('none of it took anything', async () => {
    const { differences } = await scene.check(role)
    expect(differences.map(({ line }) => line)).toEqual([])
    for (const token of [weth, usdc]) expect(await allowanceOf(token, me)).toBe(0n)
    const { tokens } = await holdingsOf(me)
    expect(tokens.map(({ wallet }) => wallet)).toEqual(tokens.map(() => 0n))
  })
})
