import fc from 'fast-check'
import { type Address, getAddress, type Hex, numberToHex } from 'viem'
import { describe, expect, it } from 'vitest'
import type { Call } from '../core/lifecycle.ts'
import { MAX_UINT256, type TokenAmount, tokenAmount, wad, wei } from '../core/units.ts'
import {
  encodeBorrow,
  encodeLiquidationCall,
  encodeRepay,
  encodeSupply,
  encodeWithdraw,
} from './aave-v3/encode.ts'
import { decodeCall } from './decodeCall.ts'
import { encodeApprove, encodeTransfer } from './erc20/encode.ts'
import { decodeBatch } from './rialto/decodeBatch.ts'
import {
  encodeExecute,
  encodeFlashRepay,
  encodeMaxBalance,
  encodeMinBalance,
  encodeMinHealthFactor,
  encodeNotAfter,
  encodeZeroAllowance,
} from './rialto/encode.ts'
import { sampleBook } from './sampleSnapshot.fixture.ts'
import { encodeExactInputSingle } from './uniswap-v3/encode.ts'

const { aaveV3, uniswapV3, tokens } = sampleBook
const aToken = aaveV3.reserves[0]?.aToken as Address
const rialto = sampleBook.rialto as NonNullable<typeof sampleBook.rialto>
const token = tokens[0]?.address as Address

const anyAddress = fc
  .bigInt({ min: 0n, max: 2n ** 160n - 1n })
  .map((n): Address => getAddress(numberToHex(n, { size: 20 })))
const anyUint = fc.bigInt({ min: 0n, max: MAX_UINT256 })
const anyAmount = anyUint.map((n): TokenAmount => tokenAmount(n))

/** A call, with what decoding it must give. */
type Case = { call: Call; contract: string; functionName: string; args: readonly unknown[] }

const anyCase: fc.Arbitrary<Case> = fc
  .tuple(anyAddress, anyAddress, anyAddress, anyAmount, anyAmount, fc.integer({ min: 0, max: 13 }))
  .map(([a, b, c, x, y, which]): Case => {
    const pool = aaveV3.pool
    const swap = {
      tokenIn: a,
      tokenOut: b,
      fee: 3_000,
      recipient: c,
      deadline: y,
      amountIn: x,
      minAmountOut: y,
    }
    const order = {
      ...{ aave: a, pool: b, debtAsset: c, collateralAsset: a, aToken: b },
      ...{ repayAmount: x, maxCollateral: y },
    }
    const cases: Case[] = [
      {
        ...{ call: encodeApprove(token, a, x), contract: 'erc20:WETH', functionName: 'approve' },
        args: [a, x],
      },
      {
        ...{ call: encodeApprove(aToken, a, x), contract: 'aave-v3.aToken:WETH', functionName: 'approve' },
        args: [a, x],
      },
      {
        ...{ call: encodeTransfer(token, a, x), contract: 'erc20:WETH', functionName: 'transfer' },
        args: [a, x],
      },
      {
        ...{ call: encodeSupply(pool, a, x, b), contract: 'aave-v3.pool', functionName: 'supply' },
        args: [a, x, b, 0],
      },
      {
        ...{ call: encodeWithdraw(pool, a, x, b), contract: 'aave-v3.pool', functionName: 'withdraw' },
        args: [a, x, b],
      },
      {
        ...{ call: encodeBorrow(pool, a, x, b), contract: 'aave-v3.pool', functionName: 'borrow' },
        args: [a, x, 2n, 0, b],
      },
      {
        ...{ call: encodeRepay(pool, a, x, b), contract: 'aave-v3.pool', functionName: 'repay' },
        args: [a, x, 2n, b],
      },
      {
        call: encodeLiquidationCall(pool, a, b, c, x),
        ...{ contract: 'aave-v3.pool', functionName: 'liquidationCall', args: [a, b, c, x, false] },
      },
      {
        call: encodeExactInputSingle(uniswapV3.swapRouter, swap),
        ...{ contract: 'uniswap-v3.router', functionName: 'exactInputSingle' },
        args: [
          {
            ...{ tokenIn: a, tokenOut: b, fee: 3_000, recipient: c, deadline: y },
            ...{ amountIn: x, amountOutMinimum: y, sqrtPriceLimitX96: 0n },
          },
        ],
      },
      {
        call: encodeFlashRepay(rialto.flashRepay, order),
        ...{ contract: 'rialto.flashRepay', functionName: 'flashRepay', args: [order] },
      },
      {
        call: encodeMinHealthFactor(rialto.assert, a, b, wad(x)),
        ...{ contract: 'rialto.assert', functionName: 'minHealthFactor', args: [a, b, x] },
      },
      {
        call: encodeMinBalance(rialto.assert, a, b, x),
        ...{ contract: 'rialto.assert', functionName: 'minBalance', args: [a, b, x] },
      },
      {
        call: encodeMaxBalance(rialto.assert, a, b, x),
        ...{ contract: 'rialto.assert', functionName: 'maxBalance', args: [a, b, x] },
      },
      {
        call: encodeZeroAllowance(rialto.assert, a, b, c),
        ...{ contract: 'rialto.assert', functionName: 'zeroAllowance', args: [a, b, c] },
      },
      {
        call: encodeNotAfter(rialto.assert, x),
        ...{ contract: 'rialto.assert', functionName: 'notAfter', args: [x] },
      },
    ]
    return cases[which % cases.length] as Case
  })

/** A byte of calldata changed, removed, added or moved. */
const mutate = (data: Hex, at: number, by: number, how: number): Hex => {
  const bytes = Buffer.from(data.slice(2), 'hex')
  const i = at % bytes.length
  if (how === 0) bytes[i] = ((bytes[i] ?? 0) + by) % 256
  const mutated =
    how === 1
      ? Buffer.concat([bytes.subarray(0, i), bytes.subarray(i + 1)])
      : how === 2
        ? Buffer.concat([bytes.subarray(0, i), Buffer.from([by]), bytes.subarray(i)])
        : how === 3
          ? Buffer.concat([bytes, Buffer.alloc(by)])
          : bytes
  return `0x${mutated.toString('hex')}`
}
const anyMutation = fc.tuple(fc.nat(2_000), fc.integer({ min: 1, max: 255 }), fc.integer({ min: 0, max: 3 }))

describe('decodeCall', () => {
  it('reads every call that we can write', () => {
    fc.assert(
      fc.property(anyCase, ({ call, contract, functionName, args }) => {
        expect(decodeCall(call, sampleBook)).toMatchObject({ contract, functionName, args })
      }),
      { numRuns: 300 },
    )
  })

  it('reads mutated calldata only as what encodes to exactly these bytes', () => {
    let unreadable = 0
    fc.assert(
      fc.property(anyCase, anyMutation, ({ call, functionName, args, contract }, [at, by, how]) => {
        const data = mutate(call.data, at, by, how)
        const decoded = decodeCall({ ...call, data }, sampleBook)
        if (decoded === null) {
          unreadable++
          return
        }
        // It is readable: then it says something else than the original did, unless it is the original.
        const isSame = decoded.functionName === functionName && same(decoded.args, args)
        expect(isSame).toBe(data === call.data)
        expect(decoded.contract).toBe(contract)
        expect(data.length).toBe(call.data.length)
      }),
      { numRuns: 1_000 },
    )
    expect(unreadable).toBeGreaterThan(300)
  })

  it('does not read what is not in the book, carries coins, or is no function of ours', () => {
    const call = encodeApprove(token, aaveV3.pool, tokenAmount(1n))
    expect(decodeCall(call, sampleBook)).not.toBeNull()
    expect(decodeCall({ ...call, to: `0x${'99'.repeat(20)}` }, sampleBook)).toBeNull()
    expect(decodeCall({ ...call, value: wei(1n) }, sampleBook)).toBeNull()
    expect(decodeCall({ ...call, data: '0x' }, sampleBook)).toBeNull()
    expect(decodeCall({ ...call, data: '0x095ea7b3' }, sampleBook)).toBeNull()
    // transferFrom, which Rialto never calls.
    const transferFrom: Hex = `0x23b872dd${'00'.repeat(96)}`
    expect(decodeCall({ ...call, data: transferFrom }, sampleBook)).toBeNull()
    // A debt token and a Uniswap pool are known, but nothing of ours calls them.
    const debtToken = aaveV3.reserves[0]?.variableDebtToken as Address
    expect(decodeCall({ ...call, to: debtToken }, sampleBook)).toBeNull()
    // A batch within a batch is none of ours either.
    const nested = { to: rialto.batchAccount, value: wei(0n), data: encodeExecute([call]) }
    expect(decodeCall(nested, sampleBook)).toBeNull()
  })

  it('reads upper-case calldata like lower-case', () => {
    const call = encodeApprove(token, aaveV3.pool, tokenAmount(255n))
    const data: Hex = `0x${call.data.slice(2).toUpperCase()}`
    expect(decodeCall({ ...call, data }, sampleBook)).toMatchObject({ args: [aaveV3.pool, 255n] })
  })
})

describe('decodeBatch', () => {
  const anyCalls = fc.array(
    anyCase.map(({ call }) => call),
    { minLength: 0, maxLength: 6 },
  )
  const lower = (calls: readonly Call[]) => calls.map((call) => ({ ...call, to: call.to.toLowerCase() }))

  it('reads every batch that we can write', () => {
    fc.assert(
      fc.property(anyCalls, (calls) => {
        expect(lower(decodeBatch(encodeExecute(calls)) ?? [])).toEqual(lower(calls))
      }),
    )
  })

  it('reads mutated calldata only as what encodes to exactly these bytes', () => {
    fc.assert(
      fc.property(anyCalls, anyMutation, (calls, [at, by, how]) => {
        const data = mutate(encodeExecute(calls), at, by, how)
        const decoded = decodeBatch(data)
        if (decoded !== null) expect(encodeExecute(decoded)).toBe(data)
      }),
      { numRuns: 500 },
    )
  })

  it('reads no other mode, no other function, and nothing that is none', () => {
    const data = encodeExecute([encodeApprove(token, aaveV3.pool, tokenAmount(1n))])
    const other = data.replace('0100000000', '0101000000') as Hex
    expect(decodeBatch(other)).toBeNull()
    expect(decodeBatch(`0xdeadbeef${data.slice(10)}`)).toBeNull()
    expect(decodeBatch(`${data}00`)).toBeNull()
    expect(decodeBatch('0x')).toBeNull()
  })
})

const same = (a: unknown, b: unknown): boolean => plain(a) === plain(b)
const plain = (value: unknown): string =>
  JSON.stringify(value, (_, member) =>
    typeof member === 'bigint' ? member.toString() : member,
  ).toLowerCase()
