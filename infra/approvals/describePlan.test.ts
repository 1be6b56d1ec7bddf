import { encodeFunctionData, erc20Abi, parseAbi, zeroAddress } from 'viem'
import { describe, expect, it } from 'vitest'
import type { Call, Effects, Plan } from '../../runtime/core/lifecycle.ts'
import { MAX_UINT256, wei } from '../../runtime/core/units.ts'
import {
  accountData,
  aWeth,
  book,
  debtUsdc,
  ether,
  owner,
  stranger,
  usdc,
  usdcs,
  weth,
} from '../../runtime/guards/guardScene.fixture.ts'
import { aavePoolActionsAbi } from '../../runtime/protocols/aave-v3/abi.ts'
import { describeCall, describeEffects, describePlan, formatToken, nameAddress } from './describePlan.ts'

const { pool } = book.aaveV3
const plan = { account: owner }
const call = (to: Call['to'], data: Call['data'], value = 0n): Call => ({ to, data, value: wei(value) })
const approve = (amount: bigint) =>
  call(usdc, encodeFunctionData({ abi: erc20Abi, functionName: 'approve', args: [pool, amount] }))

describe('describeCall', () => {
  it('names contract, function and arguments, and counts in the token that is meant', () => {
    expect(describeCall(approve(usdcs('12.5')), plan, book)).toEqual({
      contract: 'erc20:USDC',
      functionName: 'approve',
      arguments: [
        { name: 'spender', value: `aave-v3.pool (${pool})` },
        { name: 'amount', value: '12.5 USDC' },
      ],
      to: usdc,
    })
    const data = encodeFunctionData({
      abi: aavePoolActionsAbi,
      functionName: 'repay',
      args: [usdc, usdcs('7'), 2n, owner],
    })
    expect(describeCall(call(pool, data), plan, book).arguments).toEqual([
      { name: 'asset', value: `erc20:USDC (${usdc})` },
      { name: 'amount', value: '7 USDC' },
      { name: 'interestRateMode', value: '2' },
      { name: 'onBehalfOf', value: `the account itself (${owner})` },
    ])
  })

  it('says what has no bound, and who is not in the book', () => {
    const unlimited = describeCall(approve(MAX_UINT256), plan, book)
    expect(unlimited.arguments[1]?.value).toBe('all there is (2^256 - 1)')
    const data = encodeFunctionData({ abi: erc20Abi, functionName: 'transfer', args: [stranger, 1n] })
    expect(describeCall(call(usdc, data), plan, book).arguments[0]?.value).toBe(
      `${stranger}, which is not in the address book`,
    )
  })

  it.each([
    ['an unknown contract', call(stranger, '0x095ea7b3'), stranger],
    [
      'an unknown function',
      call(
        usdc,
        encodeFunctionData({
          abi: parseAbi(['function burn(uint256 amount)']),
          args: [1n],
        }),
      ),
      'erc20:USDC',
    ],
    ['bytes after the arguments', call(usdc, `${approve(1n).data}00`), 'erc20:USDC'],
    ['native coins along', { ...approve(1n), value: wei(10n ** 18n) }, 'erc20:USDC'],
  ])('warns of %s', (_what, given, named) => {
    const lines = describePlan({ account: owner, calls: [given] } as unknown as Plan, book)
    expect(lines[0]).toMatch(new RegExp(`^1\\. ${named}`))
    expect(lines[1]).toMatch(/CANNOT BE READ: \d+ bytes of calldata\. Do not approve it\./)
    if (given.value > 0n) expect(lines[0]).toMatch(/, with 1 of the native coin$/)
  })
})

describe('describeEffects', () => {
  const effects: Effects = {
    gasUsed: 1n,
    balances: [
      { account: stranger, token: stranger, before: 0n, after: 9n },
      { account: owner, token: debtUsdc, before: usdcs('50'), after: usdcs('20') },
      { account: owner, token: null, before: ether('1'), after: ether('0.5') },
      { account: owner, token: weth, before: 5n, after: 5n },
    ],
    allowances: [
      { token: aWeth, owner, spender: pool, before: 0n, after: ether('2') },
      { token: weth, owner, spender: pool, before: 0n, after: 0n },
    ],
    position: { before: accountData('100', '50'), after: accountData('100', '0') },
    equity: { before: 500_000_000n, after: 400_000_000n },
    logCount: 2,
  }

  it('tells the account first, leaves out what stayed, and counts what is lost', () => {
    const lines = describeEffects(effects, owner, book)
    expect(lines.slice(0, 2)).toEqual([
      `the account itself (${owner}): -30 USDC owed to Aave`,
      `the account itself (${owner}): -0.5 of the native coin`,
    ])
    expect(lines[2]).toMatch(/\+9 smallest units of .* which is not in the address book$/)
    expect(lines[3]).toMatch(
      /^allowance of the account itself .*: 0 WETH supplied to Aave, then 2 WETH supplied/,
    )
    expect(lines[4]).toMatch(/^health factor: [\d.]+, then none, for there is no debt$/)
    expect(lines[5]).toBe('equity: $5, then $4: $1 lost, gas not counted')
    expect(lines).toHaveLength(6)
  })

  it('says so where nothing is lost', () => {
    const gained = { ...effects, equity: { before: 1n, after: 2n } }
    expect(describeEffects(gained, owner, book).at(-1)).toMatch(/: nothing lost/)
  })
})

it('takes the zero address for the native coin, and nobody for a contract', () => {
  expect(formatToken(1n, zeroAddress, book)).toMatch(/of the native coin$/)
  expect(nameAddress(zeroAddress, owner, book)).toMatch(/not in the address book/)
})
