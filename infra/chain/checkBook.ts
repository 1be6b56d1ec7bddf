import { type Address, isAddressEqual, keccak256, parseAbi } from 'viem'
import type { AddressBook, Token } from '../../runtime/core/addressBook.ts'
import { multicall3ReadsAbi } from '../../runtime/protocols/erc20/abi.ts'
import { ReadFailedError } from '../../runtime/protocols/errors.ts'
import { ownContracts } from '../contracts/ownContracts.ts'
import { AddressBookMismatchError } from './errors.ts'
import type { Rpc } from './rpc.ts'
import { openStateReader, type StateReader } from './stateReader.ts'

const erc20Abi = parseAbi(['function decimals() view returns (uint8)'])
const addressesProviderAbi = parseAbi([
  'function getPool() view returns (address)',
  'function getPriceOracle() view returns (address)',
  'function getPoolDataProvider() view returns (address)',
])
const dataProviderAbi = parseAbi([
  'function getReserveTokensAddresses(address asset) view returns (address aToken, address stableDebtToken, address variableDebtToken)',
])
const factoryAbi = parseAbi([
  'function getPool(address tokenA, address tokenB, uint24 fee) view returns (address)',
])
const peripheryAbi = parseAbi(['function factory() view returns (address)'])
const feedAbi = parseAbi(['function decimals() view returns (uint8)'])

/** Chainlink's feeds in US dollars. */
const FEED_DECIMALS = 8

/**
 * Compares an address book with the chain, as far as contracts vouch for each other: Aave's provider for its pool,
 * oracle and tokens, Uniswap's factory for its pools, each token and feed for its decimals, and for our own contracts
 * every byte of their code. It cannot tell whether a token is the one that people call by that name, or whether a
 * provider or a factory is the real one: compare these with what their makers publish.
 *
 * @param acts whether anything is to be signed: who only observes needs none of our contracts
 * @returns a line for each thing that is not as the book says; none when it holds
 * @throws {RpcSilence | RpcAnswer} when the node does not answer.
 * @example await checkBook(await openStateReader(rpc), book, true)
 * // ['aaveV3.oracle is 0x11…, and its provider names 0x22…']
 */
export async function checkBook(
  reader: StateReader,
  book: AddressBook,
  acts: boolean,
): Promise<readonly string[]> {
  const parts = [
    ...[checkTokens, checkAave, checkUniswap, checkFeeds, checkMulticall],
    ...(acts ? [checkOwn] : []),
  ]
  const lines: string[] = []
  for (const part of parts) for await (const line of part(reader, book)) if (line !== null) lines.push(line)
  return lines
}

export type RequireBookParameters = {
  /** Every node of the chain. */
  readonly rpcs: readonly Rpc[]
  /** How many of them have to find everything as the book says. */
  readonly quorum: number
  readonly book: AddressBook
  /** Whether anything is to be signed. */
  readonly acts: boolean
}

/**
 * Goes on only if the address book is true by the word of a quorum.
 *
 * @returns the hosts that vouch for it
 * @throws {AddressBookMismatchError} naming everything that is not as the book says.
 * @throws {RpcSilence | RpcAnswer} when too few nodes answer.
 */
export async function requireBook({
  rpcs,
  quorum,
  book,
  acts,
}: RequireBookParameters): Promise<readonly string[]> {
  const vouching: string[] = []
  const lines = new Set<string>()
  const failures: unknown[] = []
  await new Promise<void>((resolve) => {
    const looks = rpcs.map(async (rpc) => {
      try {
        const found = await checkBook(await openStateReader(rpc), book, acts)
        if (found.length === 0) vouching.push(rpc.host)
        for (const line of found) lines.add(line)
      } catch (error) {
        failures.push(error)
      }
      // Whoever is slow holds up nobody once enough have vouched.
      if (vouching.length >= quorum) resolve()
    })
    void Promise.all(looks).then(() => resolve())
  })
  if (vouching.length >= quorum) return vouching
  if (lines.size > 0) throw new AddressBookMismatchError([...lines])
  throw failures[0]
}

type Lines = AsyncGenerator<string | null>

async function* checkTokens(reader: StateReader, { tokens }: AddressBook): Lines {
  for (const { address, symbol, decimals } of tokens)
    yield await compare(`tokens: ${symbol} at ${address}`, async () => {
      const actual = await reader.read(address, erc20Abi, 'decimals', [])
      return actual === decimals ? null : `has ${actual} decimals, not ${decimals}`
    })
}

async function* checkAave(reader: StateReader, { aaveV3, tokens }: AddressBook): Lines {
  const { poolAddressesProvider: provider, pool, oracle, dataProvider, reserves } = aaveV3
  const parts = [
    ['pool', pool, 'getPool'],
    ['oracle', oracle, 'getPriceOracle'],
    ['dataProvider', dataProvider, 'getPoolDataProvider'],
  ] as const
  for (const [part, address, getter] of parts)
    yield await compare(`aaveV3.${part}`, async () =>
      differs(address, await reader.read(provider, addressesProviderAbi, getter, []), 'its provider'),
    )
  for (const { asset, aToken, variableDebtToken } of reserves)
    yield await compare(`aaveV3.reserves: ${nameOf(asset, tokens)}`, async () => {
      const [a, , debt] = await reader.read(dataProvider, dataProviderAbi, 'getReserveTokensAddresses', [
        asset,
      ])
      return (
        differs(aToken, a, 'Aave', 'its aToken ') ??
        differs(variableDebtToken, debt, 'Aave', 'its debt token ')
      )
    })
}

async function* checkUniswap(reader: StateReader, { uniswapV3, tokens }: AddressBook): Lines {
  const { factory, swapRouter, quoter, pools } = uniswapV3
  for (const [part, address] of Object.entries({ swapRouter, quoter }))
    yield await compare(`uniswapV3.${part} at ${address}`, async () => {
      const actual = await reader.read(address, peripheryAbi, 'factory', [])
      return isAddressEqual(actual, factory) ? null : `belongs to the factory ${actual}, not to ${factory}`
    })
  for (const { address, token0, token1, fee } of pools)
    yield await compare(
      `uniswapV3.pools: ${nameOf(token0, tokens)}/${nameOf(token1, tokens)} at ${fee}`,
      async () =>
        differs(
          address,
          await reader.read(factory, factoryAbi, 'getPool', [token0, token1, fee]),
          'the factory',
        ),
    )
}

async function* checkFeeds(reader: StateReader, { chainlink, tokens }: AddressBook): Lines {
  for (const { asset, feed } of chainlink)
    yield await compare(`chainlink: the feed ${feed} of ${nameOf(asset, tokens)}`, async () => {
      const actual = await reader.read(feed, feedAbi, 'decimals', [])
      return actual === FEED_DECIMALS
        ? null
        : `has ${actual} decimals, not ${FEED_DECIMALS}: is it in dollars?`
    })
}

/** An account gives all that it has to the code that it delegates to: it has to be ours to the last byte. */
async function* checkOwn(reader: StateReader, { rialto }: AddressBook): Lines {
  if (rialto === undefined) return
  for (const { name, runtimeHash } of ownContracts)
    yield await compare(`rialto.${name} at ${rialto[name]}`, async () => {
      const code = await reader.code(rialto[name])
      if (code === '0x') return 'has no code: it is not deployed (rialto contracts)'
      return keccak256(code) === runtimeHash ? null : 'is other code than this version of Rialto has'
    })
}

async function* checkMulticall(reader: StateReader, { multicall3 }: AddressBook): Lines {
  yield await compare(`multicall3 at ${multicall3}`, async () => {
    await reader.read(multicall3, multicall3ReadsAbi, 'getEthBalance', [multicall3])
    return null
  })
}

/** What was not as expected, with what it is about; a contract that is not there included. */
async function compare(subject: string, look: () => Promise<string | null>): Promise<string | null> {
  try {
    const difference = await look()
    return difference === null ? null : `${subject} ${difference}`
  } catch (error) {
    if (!(error instanceof ReadFailedError)) throw error
    return `${subject} cannot be read: ${error.message}`
  }
}

const differs = (inBook: Address, actual: Address, witness: string, what = ''): string | null =>
  isAddressEqual(inBook, actual) ? null : `${what}is ${inBook}, and ${witness} names ${actual}`

const nameOf = (asset: Address, tokens: readonly Token[]): string =>
  tokens.find(({ address }) => isAddressEqual(address, asset))?.symbol ?? asset
