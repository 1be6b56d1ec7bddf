import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { encodeAbiParameters, encodeErrorResult, type Hex, parseAbi } from 'viem'
import { describe, expect, test } from 'vitest'
import { assertArtifact } from '../contracts/artifacts/Assert.ts'
import { flashRepayArtifact } from '../contracts/artifacts/FlashRepay.ts'
import { aaveErrors } from './aaveErrors.ts'
import { decodeRevert } from './decodeRevert.ts'
import { explainTrace } from './explainTrace.ts'

const ACCOUNT = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const solidity = parseAbi(['error Error(string)', 'error Panic(uint256)'])
const error = (text: string) => encodeErrorResult({ abi: solidity, errorName: 'Error', args: [text] })

describe('decodeRevert', () => {
  test('gives errors of our contracts with their values', () => {
    const data = encodeErrorResult({
      abi: assertArtifact.abi,
      errorName: 'HealthFactorTooLow',
      args: [ACCOUNT, 1_020_000_000_000_000_000n, 1_050_000_000_000_000_000n],
    })
    expect(decodeRevert(data)).toBe(
      `HealthFactorTooLow(account: ${ACCOUNT}, actual: 1020000000000000000, minimum: 1050000000000000000)`,
    )
    const busy = encodeErrorResult({ abi: flashRepayArtifact.abi, errorName: 'Busy' })
    expect(decodeRevert(busy)).toBe('Busy()')
  })

  test("spells Aave's numbers and Uniswap's letters out", () => {
    expect(decodeRevert(error('35'))).toBe('35 HEALTH_FACTOR_LOWER_THAN_LIQUIDATION_THRESHOLD')
    expect(decodeRevert(error('STF'))).toBe(
      'STF: the token refused a transfer from the payer: balance or allowance too low',
    )
    expect(decodeRevert(error('Too much requested'))).toBe('"Too much requested"')
  })

  test('names panics', () => {
    const panic = (code: bigint) => encodeErrorResult({ abi: solidity, errorName: 'Panic', args: [code] })
    expect(decodeRevert(panic(17n))).toBe('panic 17: arithmetic overflow or underflow')
    expect(decodeRevert(panic(99n))).toBe('panic 99: unknown code')
  })

  test('says what it does not know', () => {
    expect(decodeRevert('0x')).toBe('reverted without a reason')
    expect(decodeRevert('0xdead')).toBe('unknown error 0xdead')
    expect(decodeRevert('0xdeadbeef00')).toBe('unknown error 0xdeadbeef (5 bytes)')
    // A known selector whose data does not fit.
    expect(decodeRevert('0x08c379a0ff')).toBe('unknown error 0x08c379a0 (5 bytes)')
  })

  test('quotes text of strangers on one line, and shortens it', () => {
    expect(decodeRevert(error('line one\nline two\u001b[31m'))).toBe('"line one line two [31m"')
    expect(decodeRevert(error('x'.repeat(500)))).toHaveLength(122)
    // Text that would turn the line around, and text that would go on as if it were ours.
    expect(decodeRevert(error('ok\u202edewolla\u200b!'))).toBe('"ok dewolla !"')
    expect(decodeRevert(error('no". Allowed: "all”'))).toBe("\"no'. Allowed: 'all'\"")
  })

  test('never throws and always gives one line', () => {
    const bytes = fc
      .uint8Array({ maxLength: 300 })
      .map((array) => `0x${Buffer.from(array).toString('hex')}` as Hex)
    const known = fc
      .tuple(fc.constantFrom('0x08c379a0', '0x4e487b71'), bytes)
      .map(([selector, rest]) => `${selector}${rest.slice(2)}` as Hex)
    const texts = fc.string({ unit: 'binary' }).map(error)
    fc.assert(
      fc.property(fc.oneof(bytes, known, texts), (data) => {
        const line = decodeRevert(data)
        expect(line.length).toBeGreaterThan(0)
        expect(line.length).toBeLessThan(400)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: there must be none.
        expect(line).not.toMatch(/[\u0000-\u001f]/)
      }),
    )
  })

  test('has the very error names of Aave v3', () => {
    const core = dirname(createRequire(import.meta.url).resolve('@aave/core-v3/package.json'))
    const source = readFileSync(join(core, 'contracts/protocol/libraries/helpers/Errors.sol'), 'utf8')
    const constants = [...source.matchAll(/string public constant (\w+) = '(\d+)';/g)]
    expect(constants.length).toBeGreaterThan(80)
    expect(aaveErrors).toEqual(Object.fromEntries(constants.map(([, name, code]) => [code, name])))
  })
})

describe('explainTrace', () => {
  test('prefers what the transaction itself returned', () => {
    const trace = { error: 'execution reverted', output: error('35'), calls: [{ error: 'out of gas' }] }
    expect(explainTrace(trace)).toBe('35 HEALTH_FACTOR_LOWER_THAN_LIQUIDATION_THRESHOLD')
  })

  test('finds the deepest failure behind an empty one, past those that were caught', () => {
    const trace = {
      error: 'execution reverted',
      output: '0x' as const,
      calls: [
        { to: '0xcaught', error: 'execution reverted', output: error('36') },
        { to: '0xouter', error: 'execution reverted', calls: [{ to: '0xinner', error: 'OutOfGas' }] },
        { to: '0xfine' },
      ],
    }
    expect(explainTrace(trace)).toBe('out of gas in a call to 0xinner')
  })

  test('gives the data of the deepest failure when it was not passed on', () => {
    const trace = {
      error: 'execution reverted',
      calls: [{ to: '0xinner', error: 'x', output: error('STF') }],
    }
    expect(explainTrace(trace)).toMatch(/^STF: .* in a call to 0xinner$/)
  })

  test('says when nothing failed', () => {
    expect(explainTrace({ output: encodeAbiParameters([{ type: 'bool' }], [true]) })).toBe(
      'the trace shows no failure',
    )
  })
})
