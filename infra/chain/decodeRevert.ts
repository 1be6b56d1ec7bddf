import { type AbiItem, decodeErrorResult, type Hex, parseAbi, size, slice } from 'viem'
import { plainLine } from '../../runtime/core/plainLine.ts'
import { assertArtifact } from '../contracts/artifacts/Assert.ts'
import { batchAccountArtifact } from '../contracts/artifacts/BatchAccount.ts'
import { flashRepayArtifact } from '../contracts/artifacts/FlashRepay.ts'
import { aaveErrors } from './aaveErrors.ts'
import { rolesErrorsAbi, violations } from './rolesErrors.ts'
import { uniswapErrors } from './uniswapErrors.ts'

type AbiError = Extract<AbiItem, { type: 'error' }>

const isError = (item: AbiItem): item is AbiError => item.type === 'error'

/** What our own contracts and a Roles modifier revert with, and what the tokens they touch do (ERC-6093). */
const KNOWN_ERRORS: readonly AbiError[] = [
  ...(assertArtifact.abi as readonly AbiItem[]).filter(isError),
  ...(flashRepayArtifact.abi as readonly AbiItem[]).filter(isError),
  ...(batchAccountArtifact.abi as readonly AbiItem[]).filter(isError),
  ...rolesErrorsAbi,
  ...parseAbi([
    'error Error(string message)',
    'error Panic(uint256 code)',
    'error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed)',
    'error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed)',
    'error ERC20InvalidSender(address sender)',
    'error ERC20InvalidReceiver(address receiver)',
    'error ERC20InvalidApprover(address approver)',
    'error ERC20InvalidSpender(address spender)',
  ]),
]

/** Solidity's panic codes. Source: Solidity documentation, "Panic via assert and error via require". */
const PANICS: Readonly<Record<string, string>> = {
  0: 'compiler-inserted panic',
  1: 'failed assertion',
  17: 'arithmetic overflow or underflow',
  18: 'division by zero',
  33: 'value out of range of an enum',
  34: 'malformed storage byte array',
  49: 'pop of an empty array',
  50: 'array index out of bounds',
  65: 'too much memory allocated',
  81: 'call of an uninitialised function',
}

/** The most characters that are kept of a contract's own words. */
const MAX_TEXT = 120

/** Errors that carry errors may be nested; a hostile contract must not make this endless. */
const MAX_DEPTH = 3

/**
 * Revert data as one line for a person: errors of our contracts with their values, Aave's numbers and Uniswap's
 * letters with their meaning, panics by name. Never throws; what is unknown is said to be.
 *
 * Text in it comes from contracts, which may be anybody's: it is quoted, shortened and freed of what cannot be seen.
 *
 * @param data what a call returned when it reverted
 * @example decodeRevert('0x08c379a0…') // '35 HEALTH_FACTOR_LOWER_THAN_LIQUIDATION_THRESHOLD'
 * @example decodeRevert('0x4e487b71…') // 'panic 17: arithmetic overflow or underflow'
 * @example decodeRevert('0x') // 'reverted without a reason'
 */
export const decodeRevert = (data: Hex): string => decodeAt(data, 0)

function decodeAt(data: Hex, depth: number): string {
  const length = size(data)
  if (length === 0) return 'reverted without a reason'
  if (length < 4) return `unknown error ${data}`
  const decoded = decode(data)
  if (decoded === null) return `unknown error ${slice(data, 0, 4)} (${length} bytes)`
  const { abiItem, args } = decoded
  if (abiItem.name === 'Error') return explainString(String(args[0]))
  if (abiItem.name === 'Panic') return `panic ${args[0]}: ${PANICS[String(args[0])] ?? 'unknown code'}`
  if (abiItem.name === 'ConditionViolation')
    return `the role does not allow it: ${violations[Number(args[0])] ?? `status ${args[0]}`}`
  const values = abiItem.inputs.map((input, index) => {
    const value = args[index]
    const text =
      input.type === 'bytes' && depth < MAX_DEPTH && size(value as Hex) >= 4
        ? decodeAt(value as Hex, depth + 1)
        : typeof value === 'string' && input.type === 'string'
          ? explainString(value)
          : String(value)
    return input.name === undefined || input.name === '' ? text : `${input.name}: ${text}`
  })
  return `${abiItem.name}(${values.join(', ')})`
}

function decode(data: Hex): { abiItem: AbiError; args: readonly unknown[] } | null {
  try {
    const { abiItem, args } = decodeErrorResult({ abi: KNOWN_ERRORS, data })
    return { abiItem: abiItem as AbiError, args: (args ?? []) as readonly unknown[] }
  } catch {
    // An unknown selector, or data that does not fit its error: the caller says so.
    return null
  }
}

function explainString(text: string): string {
  const aave = aaveErrors[text]
  if (aave !== undefined) return `${text} ${aave}`
  const uniswap = uniswapErrors[text]
  if (uniswap !== undefined) return `${text}: ${uniswap}`
  // The quotation marks around it must be the only ones, or it could go on as if it were ours.
  return `"${plainLine(text.slice(0, 4 * MAX_TEXT).replaceAll(/["“”„«»]/g, "'"), MAX_TEXT)}"`
}
