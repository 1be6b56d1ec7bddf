import { z } from 'zod'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { account, expected, section } from '../../runtime/guards/policyFields.ts'
import { knownContracts } from '../../runtime/protocols/contracts.ts'
import { ConfigError, type ConfigIssue } from './errors.ts'
import { readJsonFile } from './readJsonFile.ts'
import { shownPath } from './shownPath.ts'

const whole = (min: number, max: number) => {
  const error = expected(`a whole number from ${min} to ${max}`)
  return z.int({ error }).min(min, { error }).max(max, { error })
}

const list = <Item extends z.ZodType>(item: Item) => z.array(item, { error: expected('a list') })

const addressBook = section({
  chainId: whole(1, Number.MAX_SAFE_INTEGER),
  multicall3: account,
  wrappedNative: account,
  tokens: list(
    section({
      address: account,
      symbol: z
        .string({ error: expected('a symbol') })
        .regex(/^[A-Za-z0-9.]{1,20}$/, { error: expected('a symbol of letters and digits') }),
      decimals: whole(0, 36),
    }),
  ),
  aaveV3: section({
    poolAddressesProvider: account,
    pool: account,
    oracle: account,
    dataProvider: account,
    reserves: list(section({ asset: account, aToken: account, variableDebtToken: account })),
  }),
  uniswapV3: section({
    factory: account,
    swapRouter: account,
    quoter: account,
    pools: list(section({ address: account, token0: account, token1: account, fee: whole(1, 999_999) })),
  }),
  chainlink: list(section({ asset: account, feed: account, heartbeat: whole(1, 31_536_000) })),
  rialto: section({ batchAccount: account, flashRepay: account, assert: account }).optional(),
})

/**
 * Reads an address book: a JSON file with the members of {@link AddressBook}.
 *
 * @param path absolute, or from the working folder
 * @throws {ConfigError} naming file, line and JSON path of everything that is wrong.
 * @throws {ConfigFileError} when the file cannot be read.
 * @throws {AmbiguousAddressBookError} when two contracts share an address or a name.
 */
export async function loadAddressBook(path: string): Promise<AddressBook> {
  const wrong = (issue: ConfigIssue, cause: unknown) => new ConfigError([issue], shownPath(path), cause)
  const json = await readJsonFile('the address book', path, wrong)
  const result = addressBook.safeParse(json.value)
  const issues = result.success
    ? [...contradictions(result.data)]
    : result.error.issues.map((issue) => ({
        path: issue.path as (string | number)[],
        message: issue.message,
      }))
  if (issues.length > 0)
    throw new ConfigError(
      issues.map((issue) => ({ ...issue, line: json.lineOf(issue.path) })),
      shownPath(path),
    )
  const book = result.data as AddressBook
  knownContracts(book)
  return book
}

/** References that lead nowhere. Addresses are in their checksummed form by now. */
function* contradictions(book: z.output<typeof addressBook>) {
  const tokens = new Set(book.tokens.map(({ address }) => address))
  const unknown = (path: (string | number)[]) => ({
    path,
    message: 'is not among the tokens: add the token, or correct the address',
  })
  if (!tokens.has(book.wrappedNative)) yield unknown(['wrappedNative'])
  for (const [index, { asset }] of book.aaveV3.reserves.entries())
    if (!tokens.has(asset)) yield unknown(['aaveV3', 'reserves', index, 'asset'])
  for (const [index, { asset }] of book.chainlink.entries())
    if (!tokens.has(asset)) yield unknown(['chainlink', index, 'asset'])
  for (const [index, pool] of book.uniswapV3.pools.entries()) {
    const path = ['uniswapV3', 'pools', index]
    if (!tokens.has(pool.token0)) yield unknown([...path, 'token0'])
    if (!tokens.has(pool.token1)) yield unknown([...path, 'token1'])
    if (pool.token0.toLowerCase() >= pool.token1.toLowerCase())
      yield { path: [...path, 'token0'], message: 'is not below token1: exchange the two' }
  }
}
