import { type Address, type Hex, keccak256, numberToHex, pad, parseAbi, stringToHex, toHex } from 'viem'
import { compileContract } from '../../../infra/contracts/compile.ts'
import { worldAccounts } from '../../../infra/world/accounts.ts'
import { createRpc, type Rpc } from '../../../infra/world/rpc.ts'
import type { World } from '../../../infra/world/world.ts'
import { InvariantError } from '../../../runtime/core/errors.ts'

/** A text on the chain, where real contracts answer with it. */
export type Slot = { readonly address: Address; readonly slot: bigint }

/** The functions that answer with a text. Rialto calls none of them; anybody else who reads the chain does. */
export const textAbi = parseAbi([
  'function name() view returns (string)',
  'function symbol() view returns (string)',
  'function description() view returns (string)',
])

/** Where OpenZeppelin's contracts end and HostileToken.sol begins. */
const TOKEN_SLOTS = { name: 9n, symbol: 10n, reason: 11n } as const

/**
 * Puts the code of HostileToken.sol at a token's address, with all balances where they were: what the issuer of an
 * upgradeable token can do at any moment.
 *
 * @returns where its texts lie
 */
export async function turnHostile(
  world: World,
  token: Address,
): Promise<Readonly<Record<keyof typeof TOKEN_SLOTS, Slot>>> {
  const rpc = createRpc(world.url)
  const { bytecode } = compileContract('test/security/injection/HostileToken.sol', 'HostileToken')
  // A creation that is only called answers with the code that it would leave.
  const from = worldAccounts.deployer.address
  await rpc('anvil_setCode', token, await rpc<Hex>('eth_call', { from, data: bytecode }, 'latest'))
  const at = (slot: bigint): Slot => ({ address: token, slot })
  return { name: at(TOKEN_SLOTS.name), symbol: at(TOKEN_SLOTS.symbol), reason: at(TOKEN_SLOTS.reason) }
}

/** Finds where an aggregator keeps its description, by what the world wrote there. */
export async function findText(rpc: Rpc, address: Address, known: string): Promise<Slot> {
  for (let slot = 0n; slot < 64n; slot += 1n)
    if ((await rpc<Hex>('eth_getStorageAt', address, numberToHex(slot), 'latest')) === shortString(known))
      return { address, slot }
  throw new InvariantError('The contract keeps its text elsewhere.', { address, known })
}

/** A string of under 32 bytes, as Solidity stores it: the bytes, and twice their number at the end. */
const shortString = (text: string): Hex => {
  const bytes = Buffer.from(text)
  const word = Buffer.alloc(32)
  bytes.copy(word)
  word[31] = 2 * bytes.length
  return toHex(word)
}

/**
 * Writes a string into a contract's storage as Solidity stores it, in one batch of requests.
 *
 * @throws {InvariantError} when the node takes one of them not.
 */
export async function writeText(world: World, { address, slot }: Slot, text: string): Promise<void> {
  const bytes = Buffer.from(text)
  const words: [bigint, Hex][] = []
  if (bytes.length < 32) words.push([slot, shortString(text)])
  else {
    words.push([slot, pad(numberToHex(2 * bytes.length + 1))])
    const first = BigInt(keccak256(pad(numberToHex(slot))))
    for (let at = 0; at < bytes.length; at += 32)
      words.push([first + BigInt(at / 32), pad(toHex(bytes.subarray(at, at + 32)), { dir: 'right' })])
  }
  const response = await fetch(world.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(
      words.map(([at, word], id) => ({
        ...{ jsonrpc: '2.0', id, method: 'anvil_setStorageAt' },
        params: [address, pad(numberToHex(at)), word],
      })),
    ),
  })
  const answers = (await response.json()) as { result?: unknown }[]
  if (!answers.every(({ result }) => result === true))
    throw new InvariantError('The text could not be written.', { address, words: words.length })
}

/** The most bytes of a text that are put on the chain: nobody pays for more. */
const MOST = 8_000

/** A text as a contract can hold it: bytes of UTF-8, of a bounded length. */
export const onChain = (text: string): string => Buffer.from(text.slice(0, MOST)).toString()

/** What an error of the kind `Error(string)` with that text is, as calldata. */
export const errorOf = (text: string): Hex => {
  const bytes = Buffer.from(text)
  const length = pad(numberToHex(bytes.length)).slice(2)
  const body = Buffer.concat([bytes, Buffer.alloc((32 - (bytes.length % 32)) % 32)]).toString('hex')
  return `${keccak256(stringToHex('Error(string)')).slice(0, 10) as Hex}${'20'.padStart(64, '0')}${length}${body}`
}
