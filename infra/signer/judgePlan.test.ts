import fc from 'fast-check'
import { type Address, encodeFunctionData } from 'viem'
import { describe, expect, test } from 'vitest'
import type { Call, Plan } from '../../runtime/core/lifecycle.ts'
import { tokenAmount, wad, wei } from '../../runtime/core/units.ts'
import type { PolicyFile } from '../../runtime/guards/policy.ts'
import { aavePoolActionsAbi } from '../../runtime/protocols/aave-v3/abi.ts'
import {
  encodeBorrow,
  encodeLiquidationCall,
  encodeRepay,
  encodeSupply,
  encodeWithdraw,
} from '../../runtime/protocols/aave-v3/encode.ts'
import { encodeApprove, encodeTransfer } from '../../runtime/protocols/erc20/encode.ts'
import {
  encodeFlashRepay,
  encodeMinBalance,
  encodeMinHealthFactor,
  encodeNotAfter,
  encodeZeroAllowance,
} from '../../runtime/protocols/rialto/encode.ts'
import { encodeExactInputSingle } from '../../runtime/protocols/uniswap-v3/encode.ts'
import {
  book,
  FRIEND,
  honestCalls,
  names,
  planOf,
  policy,
  policyOf,
  STRANGER,
} from '../../test/conformance/signerFixture.ts'
import { judgePlan } from './judgePlan.ts'

const ME: Address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const honest = honestCalls(ME)
const { USDC, WETH, A_WETH, A_USDC, pool, router, assert, flashRepay } = names
const HUNDRED = tokenAmount(100n)
const uniswapPool = book.uniswapV3.pools[0].address

/** The denial that a plan meets; null when it is allowed. */
function denialOf(changes: Partial<Plan>, limits: Partial<PolicyFile> = {}): string | null {
  const judged = policyOf(limits)
  try {
    judgePlan(planOf(ME, { policyVersion: judged.version, ...changes }), judged, book)
    return null
  } catch (error) {
    const { code, details } = error as { code?: string; details?: { denial?: string } }
    if (code !== 'PLAN_REFUSED' || details?.denial === undefined) throw error
    return details.denial
  }
}
const denialOfCalls = (calls: readonly Call[], limits: Partial<PolicyFile> = {}) =>
  denialOf({ calls }, limits)

const inTime = encodeNotAfter(assert, 103n)
const healthy = encodeMinHealthFactor(assert, pool, ME, wad(13n * 10n ** 17n))
const emptied = (token: Address, spender: Address) => encodeZeroAllowance(assert, token, ME, spender)

/** An honest plan with one of its calls replaced, found by the function that it calls. */
const withCall = (calls: readonly Call[], index: number, call: Call) => calls.toSpliced(index, 1, call)

describe('judgePlan', () => {
  test.each(Object.entries(honest))('allows an honest %s', (_kind, calls) => {
    expect(denialOfCalls(calls)).toBeNull()
  })

  test('takes back any allowance where the policy lets it, with the assertion that none is left', () => {
    const nothing = tokenAmount(0n)
    const revoke = [encodeApprove(USDC, STRANGER, nothing), emptied(USDC, STRANGER), inTime]
    const limits: Partial<PolicyFile> = { intents: ['repay', 'revoke'], recipients: [] }
    expect(denialOfCalls(revoke)).toBe('INTENT_KIND_NOT_ALLOWED')
    expect(denialOfCalls(revoke, limits)).toBeNull()
    expect(denialOfCalls([encodeApprove(USDC, STRANGER, nothing), inTime], limits)).toBe('ASSERTION_MISSING')
    const one = encodeApprove(USDC, STRANGER, tokenAmount(1n))
    expect(denialOfCalls([one, emptied(USDC, STRANGER), inTime], limits)).toBe('EFFECT_UNEXPECTED')
    // Two of them are two actions: a plan has one.
    const two = [encodeApprove(WETH, STRANGER, nothing), emptied(WETH, STRANGER), ...revoke]
    expect(denialOfCalls([...two], limits)).toBe('EFFECT_UNEXPECTED')
  })

  test('never sends anything to a stranger', () => {
    const cases: readonly (readonly Call[])[] = [
      [encodeTransfer(USDC, STRANGER, HUNDRED), inTime],
      [encodeTransfer(USDC, ME, HUNDRED), inTime],
      [encodeWithdraw(pool, WETH, HUNDRED, STRANGER), healthy, inTime],
      [encodeBorrow(pool, USDC, HUNDRED, STRANGER), healthy, inTime],
      withCall(honest.repay, 1, encodeRepay(pool, USDC, tokenAmount(1_000_000n), STRANGER)),
      withCall(honest.supply, 1, encodeSupply(pool, WETH, tokenAmount(1_000_000n), STRANGER)),
      withCall(
        honest.swap,
        1,
        encodeExactInputSingle(router, {
          tokenIn: USDC,
          tokenOut: WETH,
          fee: 500,
          recipient: STRANGER,
          deadline: 1n,
          amountIn: tokenAmount(1_000_000n),
          minAmountOut: tokenAmount(5n),
        }),
      ),
    ]
    for (const calls of cases) expect(denialOfCalls(calls)).toBe('RECIPIENT_NOT_ALLOWED')
  })

  test('transfers to nobody but whom the policy names', () => {
    expect(denialOfCalls(honest.transfer, { recipients: [STRANGER] })).toBe('RECIPIENT_NOT_ALLOWED')
    expect(denialOfCalls([encodeTransfer(USDC, FRIEND, HUNDRED), inTime])).toBeNull()
  })

  test('approves nobody but who takes exactly that much in the same plan', () => {
    const [, act, , ...closing] = honest.repay as [Call, Call, Call, ...Call[]]
    const approving = (approval: Call, ...more: Call[]) => denialOfCalls([approval, act, ...more, ...closing])
    const million = tokenAmount(1_000_000n)
    expect(approving(encodeApprove(USDC, pool, tokenAmount(2n ** 256n - 1n)))).toBe('APPROVAL_UNLIMITED')
    expect(approving(encodeApprove(USDC, pool, tokenAmount(2n ** 255n)))).toBe('APPROVAL_UNLIMITED')
    expect(approving(encodeApprove(USDC, pool, tokenAmount(1_000_001n)))).toBe('APPROVAL_UNLIMITED')
    expect(approving(encodeApprove(USDC, STRANGER, million))).toBe('RECIPIENT_NOT_ALLOWED')
    expect(approving(encodeApprove(USDC, router, million), emptied(USDC, router))).not.toBeNull()
    expect(approving(encodeApprove(WETH, pool, million), emptied(WETH, pool))).toBe('RECIPIENT_NOT_ALLOWED')
    // Asserting that nothing is left does not make up for it, nor does taking it back.
    expect(denialOfCalls([encodeApprove(USDC, STRANGER, million), ...honest.repay])).toBe(
      'RECIPIENT_NOT_ALLOWED',
    )
  })

  test('asserts that nothing is left of every approval', () => {
    const without = honest.repay.filter((call) => call.data !== emptied(USDC, pool).data)
    expect(denialOfCalls(without)).toBe('ASSERTION_MISSING')
    for (const other of [
      emptied(USDC, router),
      emptied(WETH, pool),
      encodeZeroAllowance(assert, USDC, STRANGER, pool),
    ])
      expect(denialOfCalls([...without, other])).toBe('ASSERTION_MISSING')
  })

  test('asserts the last block, and no later one', () => {
    const open = honest.repay.slice(0, -1)
    expect(denialOfCalls(open)).toBe('ASSERTION_MISSING')
    expect(denialOfCalls([...open, encodeNotAfter(assert, 104n)])).toBe('ASSERTION_MISSING')
    expect(denialOfCalls([...open, encodeNotAfter(assert, 102n)])).toBeNull()
    expect(denialOf({ lastValidBlock: 104n })).toBe('EXPIRY_TOO_FAR')
  })

  test('asserts at the end, where it counts', () => {
    const [approve, act, reset, ...closing] = honest.repay as [Call, Call, Call, ...Call[]]
    expect(denialOfCalls([...closing, approve, act, reset])).toBe('EFFECT_UNEXPECTED')
    expect(denialOfCalls([approve, ...closing, act, reset])).toBe('EFFECT_UNEXPECTED')
  })

  test('asserts the health factor where debt grows or collateral goes', () => {
    const weak = encodeMinHealthFactor(assert, pool, ME, wad(11n * 10n ** 17n))
    const others = encodeMinHealthFactor(assert, pool, STRANGER, wad(13n * 10n ** 17n))
    const [borrow] = honest.borrow as [Call, ...Call[]]
    expect(denialOfCalls([borrow, inTime])).toBe('ASSERTION_MISSING')
    expect(denialOfCalls([borrow, weak, inTime])).toBe('ASSERTION_MISSING')
    expect(denialOfCalls([borrow, others, inTime])).toBe('ASSERTION_MISSING')
    for (const index of [2, 3, 4])
      expect(denialOfCalls(honest.deleverage.toSpliced(index, 1))).toBe('ASSERTION_MISSING')
    expect(denialOfCalls(honest.swap.toSpliced(2, 1))).toBe('ASSERTION_MISSING')
  })

  test('does one thing a plan', () => {
    expect(denialOfCalls([inTime])).toBe('EFFECT_UNEXPECTED')
    const [act, ...rest] = honest.transfer as [Call, ...Call[]]
    expect(denialOfCalls([act, act, ...rest])).toBe('EFFECT_UNEXPECTED')
  })

  test('repays by FlashRepay only what the address book knows', () => {
    const order = {
      aave: pool,
      pool: uniswapPool,
      debtAsset: USDC,
      collateralAsset: WETH,
      aToken: A_WETH,
      repayAmount: HUNDRED,
      maxCollateral: tokenAmount(777n),
    }
    const changed = (change: Partial<typeof order>) =>
      denialOfCalls(withCall(honest.deleverage, 1, encodeFlashRepay(flashRepay, { ...order, ...change })))
    expect(changed({})).toBeNull()
    expect(changed({ aave: STRANGER })).toBe('RECIPIENT_NOT_ALLOWED')
    expect(changed({ pool: STRANGER })).toBe('RECIPIENT_NOT_ALLOWED')
    expect(changed({ aToken: A_USDC })).toBe('RECIPIENT_NOT_ALLOWED')
    expect(changed({ collateralAsset: STRANGER })).toBe('NOT_JUDGEABLE')
    expect(changed({ debtAsset: WETH })).toBe('RECIPIENT_NOT_ALLOWED')
    expect(changed({ maxCollateral: tokenAmount(776n) })).toBe('APPROVAL_UNLIMITED')
  })

  test('swaps in pools that are known, for something', () => {
    const swap = {
      tokenIn: USDC,
      tokenOut: WETH,
      fee: 500,
      recipient: ME,
      deadline: 1n,
      amountIn: tokenAmount(1_000_000n),
      minAmountOut: tokenAmount(5n),
    }
    const changed = (change: Partial<typeof swap>) =>
      denialOfCalls(withCall(honest.swap, 1, encodeExactInputSingle(router, { ...swap, ...change })))
    expect(changed({})).toBeNull()
    expect(changed({ fee: 100 })).toBe('NOT_JUDGEABLE')
    expect(changed({ tokenOut: STRANGER })).toBe('NOT_JUDGEABLE')
    expect(changed({ minAmountOut: tokenAmount(0n) })).toBe('NOT_JUDGEABLE')
    expect(changed({ tokenIn: WETH, tokenOut: USDC })).toBe('RECIPIENT_NOT_ALLOWED')
  })

  test('liquidates others, for the underlying', () => {
    const limits: Partial<PolicyFile> = {
      intents: ['liquidate'],
      recipients: [],
      contracts: {
        'erc20:USDC': ['approve'],
        'aave-v3.pool': ['liquidationCall'],
        'rialto.assert': ['minHealthFactor', 'minBalance', 'zeroAllowance', 'notAfter'],
      },
    }
    const plan = (call: Call) => [
      encodeApprove(USDC, pool, HUNDRED),
      call,
      encodeMinBalance(assert, WETH, ME, tokenAmount(1n)),
      emptied(USDC, pool),
      inTime,
    ]
    const call = encodeLiquidationCall(pool, WETH, USDC, STRANGER, HUNDRED)
    expect(denialOfCalls(plan(call), limits)).toBeNull()
    expect(denialOfCalls(plan(encodeLiquidationCall(pool, WETH, USDC, ME, HUNDRED)), limits)).toBe(
      'NOT_JUDGEABLE',
    )
    const args = [WETH, USDC, STRANGER, HUNDRED, true] as const
    const data = encodeFunctionData({ abi: aavePoolActionsAbi, functionName: 'liquidationCall', args })
    expect(denialOfCalls(plan({ ...call, data }), limits)).toBe('NOT_JUDGEABLE')
  })

  test('calls nothing that the policy or the address book does not name', () => {
    const act = honest.repay[1] as Call
    expect(denialOfCalls([{ ...act, to: STRANGER }])).toBe('CONTRACT_NOT_ALLOWED')
    expect(denialOfCalls([{ ...act, to: ME }])).toBe('CONTRACT_NOT_ALLOWED')
    expect(denialOfCalls([{ ...act, to: book.aaveV3.oracle }])).toBe('CALLDATA_UNREADABLE')
    expect(denialOfCalls([encodeApprove(A_USDC, pool, HUNDRED)])).toBe('CONTRACT_NOT_ALLOWED')
    expect(denialOfCalls([encodeTransfer(A_WETH, FRIEND, HUNDRED), inTime])).toBe('SELECTOR_NOT_ALLOWED')
    expect(denialOfCalls([{ ...act, data: '0x' }])).toBe('CALLDATA_UNREADABLE')
    expect(denialOfCalls([{ ...act, value: wei(1n) }])).toBe('RECIPIENT_NOT_ALLOWED')
    expect(denialOfCalls(honest.repay, { intents: ['supply'], recipients: [] })).toBe(
      'INTENT_KIND_NOT_ALLOWED',
    )
  })

  test('frames: chain, policy, mode, delegation, gas', () => {
    expect(denialOf({ chainId: 1 })).toBe('PLAN_MISMATCH')
    expect(denialOf({ policyVersion: policyOf({ cooldownSeconds: 1 }).version })).toBe('PLAN_MISMATCH')
    expect(denialOf({}, { mode: 'observe' })).toBe('TRADING_HALTED')
    expect(denialOf({}, { mode: 'propose' })).toBeNull()
    expect(denialOf({ delegateTo: STRANGER })).toBe('CONTRACT_NOT_ALLOWED')
    expect(denialOf({ delegateTo: null })).toBeNull()
    expect(denialOf({ maxFeePerGas: wei(400n * 10n ** 9n) })).toBeNull()
    expect(denialOf({ maxFeePerGas: wei(400n * 10n ** 9n + 1n) })).toBe('GAS_CAP')
    expect(denialOf({ maxPriorityFeePerGas: wei(51n * 10n ** 9n) })).toBe('GAS_CAP')
    expect(denialOf({ gasLimit: 3_000_001n })).toBe('GAS_CAP')
  })

  test('has a fee cap for what reduces risk, and for what uses up a nonce, and a lower one for all else', () => {
    const fees = { maxFeePerGas: wei(100n * 10n ** 9n + 1n) }
    for (const [kind, calls] of Object.entries(honest))
      expect(denialOf({ ...fees, calls }), kind).toBe(
        ['supply', 'repay', 'deleverage'].includes(kind) ? null : 'GAS_CAP',
      )
    const empty = { calls: [], delegateTo: null, gasLimit: 21_000n }
    expect(denialOf({ ...empty, ...fees })).toBeNull()
    expect(denialOf({ ...empty, maxFeePerGas: wei(400n * 10n ** 9n + 1n) })).toBe('GAS_CAP')
  })

  test('lets an empty plan do nothing at all', () => {
    const empty = { calls: [], delegateTo: null, gasLimit: 100_000n }
    expect(denialOf(empty)).toBeNull()
    expect(denialOf({ ...empty, gasLimit: 100_001n })).toBe('GAS_CAP')
    expect(denialOf({ ...empty, delegateTo: names.batchAccount })).toBe('CONTRACT_NOT_ALLOWED')
    expect(denialOf({ ...empty, chainId: 1 })).toBe('PLAN_MISMATCH')
    expect(denialOf(empty, { mode: 'observe' })).toBe('TRADING_HALTED')
    // Nothing holds it to a last block, so it promises none.
    expect(denialOf({ ...empty, lastValidBlock: 10_000n })).toBeNull()
  })

  test('tells what counts against the allowances: what the action is about, and gas at its cap', () => {
    const judged = (calls: readonly Call[]) => judgePlan(planOf(ME, { calls }), policy, book)
    const gas = { token: 'native', amount: 500_000n * 50n * 10n ** 9n }
    const million = (token: string) => ({ token, amount: 1_000_000n })
    const expected = {
      supply: [million('WETH'), 'riskReducing'],
      withdraw: [million('WETH'), 'other'],
      borrow: [million('USDC'), 'other'],
      repay: [million('USDC'), 'riskReducing'],
      deleverage: [{ token: 'WETH', amount: 777n }, 'riskReducing'],
      swap: [million('USDC'), 'other'],
      transfer: [million('USDC'), 'other'],
    } as const
    for (const [kind, [moved, content]] of Object.entries(expected))
      expect(judged(honest[kind as keyof typeof honest])).toEqual({ kind, content, moved: [moved, gas] })
    expect(judgePlan(planOf(ME, { calls: [], delegateTo: null, gasLimit: 21_000n }), policy, book)).toEqual({
      kind: 'empty',
      content: 'empty',
      moved: [{ token: 'native', amount: 21_000n * 50n * 10n ** 9n }],
    })
  })

  test('lets the member of a role act for its own Safe, by its own route, and for nobody else', () => {
    const sender: Address = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
    const safe = {
      account: ME,
      modifier: FRIEND,
      multiSend: uniswapPool,
      roleKey: `0x${'12'.repeat(32)}`,
    } as const
    const { account: _account, ...route } = safe
    const via = { kind: 'roles', sender, ...route } as const
    const judged = (changes: Partial<Plan>, options: object = { safe }) => {
      try {
        return judgePlan(planOf(ME, { delegateTo: null, ...changes }), policy, book, options).kind
      } catch (error) {
        return (error as { details: { denial: string } }).details.denial
      }
    }
    expect(judged({ via })).toBe('repay')
    expect(judged({ via, calls: [], gasLimit: 21_000n })).toBe('empty')
    expect(judged({ calls: [], gasLimit: 21_000n, account: sender })).toBe('empty')
    for (const change of [
      { via: { ...via, modifier: STRANGER } },
      { via: { ...via, multiSend: STRANGER } },
      { via: { ...via, roleKey: `0x${'13'.repeat(32)}` as const } },
      { via, account: STRANGER },
      { via, delegateTo: names.batchAccount },
      // The member itself holds nothing that it could act with.
      { account: sender, calls: honestCalls(sender).repay },
    ])
      expect(judged(change)).toBe('CONTRACT_NOT_ALLOWED')
    expect(judged({ via }, {})).toBe('CONTRACT_NOT_ALLOWED')
  })

  test('refuses every plan where our contracts are not deployed', () => {
    const { rialto: _rialto, ...bare } = book
    expect(() => judgePlan(planOf(ME), policy, bare)).toThrow(
      expect.objectContaining({ code: 'PLAN_REFUSED' }),
    )
  })

  test('no single changed byte of an honest plan gets money anywhere else', () => {
    // Whatever still passes differs in an amount, a floor, a deadline, or in which token of the book comes back to its
    // owner: everybody else is as he was.
    const words = Object.values(honest).flatMap((calls) =>
      calls.flatMap((call, index) => (call.to === assert ? [] : { calls, call, index })),
    )
    fc.assert(
      fc.property(
        fc.constantFrom(...words),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        ({ calls, call, index }, at, flip) => {
          const bytes = Buffer.from(call.data.slice(2), 'hex')
          const position = at % bytes.length
          bytes.writeUInt8(bytes.readUInt8(position) ^ flip, position)
          const changed = calls.toSpliced(index, 1, { ...call, data: `0x${bytes.toString('hex')}` })
          if (denialOfCalls(changed) !== null) return
          const before = addressesIn(call)
          expect(addressesIn(changed[index] as Call)).toEqual(before)
        },
      ),
      { numRuns: 2_000 },
    )
  })
})

/** The address-like words of calldata: 12 zero bytes and then something large. All tokens of the book are one. */
const addressesIn = ({ data }: Call): readonly string[] =>
  (data.slice(10).match(/.{64}/g) ?? [])
    .filter((word) => /^0{24}a0a0/.test(word) || word.endsWith(ME.slice(2).toLowerCase()))
    .map((word) => (TOKENS.some((token) => word.endsWith(token.slice(2).toLowerCase())) ? 'a token' : word))

const TOKENS: readonly Address[] = [
  ...book.tokens.map(({ address }) => address),
  ...book.aaveV3.reserves.map(({ aToken }) => aToken),
]
