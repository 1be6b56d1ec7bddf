import { type Address, type Hex, keccak256, stringToHex } from 'viem'
import type { ReceiptLog } from '../../../runtime/core/ports.ts'

// ABI words by hand: a simulation answers tens of thousands of reads a second.

const WORD = 64

/** A 32-byte word; a negative number as its two's complement. */
export const word = (value: bigint): string => BigInt.asUintN(256, value).toString(16).padStart(WORD, '0')

export const words = (...values: readonly bigint[]): Hex => `0x${values.map(word).join('')}`

export const flag = (value: boolean): bigint => (value ? 1n : 0n)

export const addressWord = (address: Address): bigint => BigInt(address)

/** The n-th argument of calldata. */
export const argument = (data: Hex, n: number): bigint => {
  const hex = data.slice(10 + n * WORD, 10 + (n + 1) * WORD)
  return hex === '' ? 0n : BigInt(`0x${hex}`)
}

export const addressArgument = (data: Hex, n: number): Address =>
  `0x${data.slice(10 + n * WORD + 24, 10 + (n + 1) * WORD)}`

const selectors = new Map<string, Hex>()

/** @example selector('balanceOf(address)') // '0x70a08231' */
export function selector(signature: string): Hex {
  const known = selectors.get(signature)
  if (known !== undefined) return known
  const made = keccak256(stringToHex(signature)).slice(0, 10) as Hex
  selectors.set(signature, made)
  return made
}

const TRANSFER = keccak256(stringToHex('Transfer(address,address,uint256)'))
const APPROVAL = keccak256(stringToHex('Approval(address,address,uint256)'))

const tokenLog =
  (topic: Hex) =>
  (token: Address, from: Address, to: Address, value: bigint): ReceiptLog => ({
    address: token,
    topics: [topic, words(addressWord(from)), words(addressWord(to))],
    data: words(value),
  })

export const transferLog = tokenLog(TRANSFER)
export const approvalLog = tokenLog(APPROVAL)

/** `Error(string)` as a contract reverts with it. */
export function revertText(text: string): Hex {
  const hex = Buffer.from(text, 'utf8').toString('hex')
  const padded = hex.padEnd(Math.ceil(hex.length / WORD) * WORD, '0')
  return `${selector('Error(string)')}${word(32n)}${word(BigInt(text.length))}${padded}` as Hex
}

/** A custom error with words for arguments. */
export const revertError = (signature: string, ...values: readonly bigint[]): Hex =>
  `${selector(signature)}${values.map(word).join('')}`
