import { type Address, encodeAbiParameters, encodeFunctionResult, type Hex, multicall3Abi } from 'viem'
import { describe, expect, it } from 'vitest'
import type { SimulatedPlan } from '../core/lifecycle.ts'
import { OWNER, sampleBook, sampleSnapshot, USDC, WETH } from '../protocols/sampleSnapshot.fixture.ts'
import { measureEffects, type Probe } from './probe.ts'

const snapshot = sampleSnapshot(25_000n, 10n ** 18n)
const debtToken = sampleBook.aaveV3.reserves[1]?.variableDebtToken as Address
const aToken = sampleBook.aaveV3.reserves[0]?.aToken as Address
const UNKNOWN: Address = `0x${'99'.repeat(20)}`
const TOKENS = [USDC, aToken, debtToken, UNKNOWN, WETH]

const probe: Probe = {
  account: OWNER,
  balances: TOKENS.map((token) => ({ account: OWNER, token })),
  allowances: [],
}

/** What the node answers to the probe: an account's data, which is of no matter here, and the balances. */
function reading(balances: readonly bigint[]): Hex {
  const words = (values: readonly bigint[]) =>
    encodeAbiParameters(
      values.map(() => ({ type: 'uint256' })),
      values,
    )
  const answers = [words([0n, 0n, 0n, 0n, 0n, 1n]), ...balances.map((balance) => words([balance]))]
  return encodeFunctionResult({
    abi: multicall3Abi,
    functionName: 'aggregate3',
    result: answers.map((returnData) => ({ success: true, returnData })),
  })
}

const fallOf = ({ before, after }: SimulatedPlan['effects']['equity']) => before - after
const measure = (before: readonly bigint[], after: readonly bigint[]) =>
  measureEffects(probe, reading(before), reading(after), snapshot, sampleBook).equity

const dollars = (whole: bigint) => whole * 10n ** 8n
const usdc = (whole: bigint) => whole * 10n ** 6n
const ether = (whole: bigint) => whole * 10n ** 18n

describe('the equity that a plan costs', () => {
  it('is the whole loss also where it is more than all that there was', () => {
    // 300 of equity: 500 in the wallet and 20,000 of collateral against 20,200.
    const before = [usdc(500n), ether(10n), usdc(20_200n), 0n, 0n]
    const after = [0n, ether(10n), usdc(20_700n), 0n, 0n]
    const equity = measure(before, after)
    expect(equity.before).toBe(dollars(300n))
    expect(fallOf(equity)).toBe(dollars(1_000n))
  })

  it('is the whole loss also where the debt is more than all else already', () => {
    const before = [usdc(500n), ether(10n), usdc(25_000n), 0n, 0n]
    expect(fallOf(measure(before, [0n, ether(10n), usdc(25_000n), 0n, 0n]))).toBe(dollars(500n))
    expect(fallOf(measure(before, [usdc(500n), ether(11n), usdc(25_000n), 0n, 0n]))).toBe(-dollars(2_000n))
  })

  it('is all that is owned, whatever is owed, when something leaves that nobody can value', () => {
    const before = [usdc(500n), ether(10n), usdc(25_000n), 7n, 0n]
    expect(fallOf(measure(before, [usdc(500n), ether(10n), usdc(25_000n), 6n, 0n]))).toBe(dollars(20_500n))
  })
})
