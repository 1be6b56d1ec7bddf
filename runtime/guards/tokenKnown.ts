import { type Address, isAddressEqual } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import type { Action } from '../core/intent.ts'
import { allow, deny, type IntentGuard } from './guard.ts'
import { findToken, ownChanges, tokensOf } from './valuation.ts'

/**
 * Every token and pool that an intent names is in the address book, and so is every token that moved in the
 * account: what is not in the book cannot be valued.
 */
export const tokenKnown: IntentGuard = (context, intent, plan) => {
  const { book } = context
  const grounds = { limit: 'the address book' }
  for (const token of tokensOf(intent))
    if (findToken(context, token) === null)
      return deny('TOKEN_UNKNOWN', {
        ...grounds,
        observed: token,
        message: `The token ${token} is not in the address book.`,
      })
  if (intent.kind === 'revoke' && !isKnown(book, intent.asset))
    return deny('TOKEN_UNKNOWN', {
      ...grounds,
      observed: intent.asset,
      message: `The token ${intent.asset} is not in the address book.`,
    })
  if (onAave(intent))
    for (const token of tokensOf(intent))
      if (!book.aaveV3.reserves.some((reserve) => isAddressEqual(reserve.asset, token)))
        return deny('TOKEN_UNKNOWN', {
          ...grounds,
          observed: token,
          message: `The address book knows no Aave reserve of ${token}.`,
        })
  if (
    (intent.kind === 'swap' || intent.kind === 'deleverage') &&
    !poolTrades(book, intent.pool, tokensOf(intent))
  )
    return deny('CONTRACT_NOT_ALLOWED', {
      ...grounds,
      observed: intent.pool,
      message: `The address book knows no pool ${intent.pool} of the two tokens.`,
    })
  for (const { token } of plan === null ? [] : ownChanges(context, plan))
    if (token !== null && !isKnown(book, token))
      return deny('TOKEN_UNKNOWN', {
        ...grounds,
        observed: token,
        message: `The account's balance of ${token} changes, which is not in the address book.`,
      })
  const named = intent.kind === 'revoke' ? [intent.asset] : tokensOf(intent)
  return allow({ ...grounds, observed: named.join(', '), message: 'Every token is known.' })
}

const onAave = ({ kind }: Action): boolean => kind !== 'swap' && kind !== 'transfer'

function poolTrades(book: AddressBook, address: Address, tokens: readonly Address[]): boolean {
  const pool = book.uniswapV3.pools.find((candidate) => isAddressEqual(candidate.address, address))
  if (pool === undefined) return false
  const [one, other] = tokens
  if (one === undefined || other === undefined || isAddressEqual(one, other)) return false
  return tokens.every((token) => isAddressEqual(token, pool.token0) || isAddressEqual(token, pool.token1))
}

const isKnown = (book: AddressBook, token: Address): boolean =>
  book.tokens.some(({ address }) => isAddressEqual(address, token)) ||
  book.aaveV3.reserves.some(
    ({ aToken, variableDebtToken }) =>
      isAddressEqual(aToken, token) || isAddressEqual(variableDebtToken, token),
  )
