import { type Address, isAddressEqual } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { MAX_UINT256 } from '../../runtime/core/units.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import type { DecodedCall } from '../../runtime/protocols/decodeCall.ts'

/** Something that has to be asserted on-chain after a call. */
export type Need = { readonly what: string; readonly holds: (call: DecodedCall) => boolean }

/** What a call does, told by its calldata alone. */
export type CallRule = {
  /** The kind of intent that has this call at its heart; null for approvals and assertions. */
  readonly kind: Policy['intents'][number] | null
  /** Addresses in the calldata that may only be certain ones. */
  readonly parties: readonly { readonly named: Address; readonly allowed: readonly Address[] }[]
  /** What it takes by an allowance. Nobody may be approved for anything else. */
  readonly pulls: { readonly token: Address; readonly spender: Address; readonly amount: bigint } | null
  /** What counts against the policy's allowances: the most of the token that the action is about. */
  readonly moves: { readonly token: Address; readonly amount: bigint } | null
  readonly needs: readonly Need[]
}

export type RuleContext = {
  readonly book: AddressBook
  readonly policy: Policy
  readonly account: Address
  /** The contract that is called. */
  readonly target: Address
}

const NEUTRAL: CallRule = { kind: null, parties: [], pulls: null, moves: null, needs: [] }

/**
 * The signer's view of a call. It has neither the intent nor the state of the chain, so it cannot judge prices. It
 * holds instead that money can go nowhere but where policy and address book say, that nobody is approved for
 * anything that the same plan does not use, and that the assertions which protect the outcome on-chain are there.
 *
 * @returns null for a call that has no place in a plan whatever the policy says.
 */
export function ruleOf(call: DecodedCall, { book, policy, account, target }: RuleContext): CallRule | null {
  const own = [account]
  const { pool } = book.aaveV3
  const isReserve = (token: Address) => reserveOf(book, token) !== undefined
  switch (call.functionName) {
    case 'supply': {
      const [token, amount, onBehalfOf] = call.args
      if (!isReserve(token)) return null
      const parties = [{ named: onBehalfOf, allowed: own }]
      const pulls = { token, spender: pool, amount }
      return { ...NEUTRAL, kind: 'supply', parties, pulls, moves: pulls }
    }
    case 'repay': {
      const [token, amount, , onBehalfOf] = call.args
      if (!isReserve(token)) return null
      const parties = [{ named: onBehalfOf, allowed: own }]
      const pulls = { token, spender: pool, amount }
      return { ...NEUTRAL, kind: 'repay', parties, pulls, moves: pulls }
    }
    case 'withdraw': {
      const [token, amount, to] = call.args
      if (!isReserve(token)) return null
      const parties = [{ named: to, allowed: own }]
      return { ...NEUTRAL, kind: 'withdraw', parties, moves: { token, amount } }
    }
    case 'borrow': {
      const [token, amount] = call.args
      if (!isReserve(token)) return null
      const parties = [{ named: call.args[4], allowed: own }]
      const needs = [healthFactor(pool, account, policy.healthFactor.minAfter)]
      return { ...NEUTRAL, kind: 'borrow', parties, moves: { token, amount }, needs }
    }
    case 'transfer': {
      const [to, amount] = call.args
      const parties = [{ named: to, allowed: policy.recipients }]
      return { ...NEUTRAL, kind: 'transfer', parties, moves: { token: target, amount } }
    }
    case 'liquidationCall': {
      const [collateral, token, user, amount, receiveAToken] = call.args
      // To liquidate oneself is to pay a penalty; and aTokens are not what the assertion measures.
      if (isAddressEqual(user, account) || receiveAToken) return null
      if (!isReserve(collateral) || !isReserve(token)) return null
      const needs = [balance(collateral, account)]
      const pulls = { token, spender: pool, amount }
      return { ...NEUTRAL, kind: 'liquidate', pulls, moves: pulls, needs }
    }
    case 'exactInputSingle': {
      const [swap] = call.args
      const isKnown = poolsOf(book, swap.tokenIn, swap.tokenOut).some(({ fee }) => fee === swap.fee)
      if (!isKnown || swap.amountOutMinimum === 0n) return null
      const pulls = { token: swap.tokenIn, spender: book.uniswapV3.swapRouter, amount: swap.amountIn }
      return {
        kind: 'swap',
        parties: [{ named: swap.recipient, allowed: own }],
        pulls,
        moves: pulls,
        needs: [balance(swap.tokenOut, account)],
      }
    }
    case 'flashRepay': {
      const [order] = call.args
      const reserve = reserveOf(book, order.collateralAsset)
      if (reserve === undefined || book.rialto === undefined) return null
      const pools = poolsOf(book, order.collateralAsset, order.debtAsset)
      return {
        kind: 'deleverage',
        parties: [
          { named: order.aave, allowed: [pool] },
          { named: order.pool, allowed: pools.map(({ address }) => address) },
          { named: order.aToken, allowed: [reserve.aToken] },
        ],
        pulls: { token: order.aToken, spender: book.rialto.flashRepay, amount: order.maxCollateral },
        // Under the name of what the aToken stands for: an owner thinks of it as his collateral.
        moves: { token: order.collateralAsset, amount: order.maxCollateral },
        // How far a rescue must lift the position depends on where it stands: that is for the guards to judge.
        needs: [healthFactor(pool, account, 1n), balance(reserve.aToken, account)],
      }
    }
    // To let others borrow has no place in any plan; to take it back harms nobody.
    case 'approveDelegation':
      return call.args[1] === 0n ? NEUTRAL : null
    case 'approve':
    case 'minHealthFactor':
    case 'minBalance':
    case 'maxBalance':
    case 'zeroAllowance':
    case 'notAfter':
      return NEUTRAL
    default:
      call satisfies never
      return null
  }
}

const reserveOf = (book: AddressBook, token: Address) =>
  book.aaveV3.reserves.find(({ asset }) => isAddressEqual(asset, token))

const poolsOf = (book: AddressBook, a: Address, b: Address) =>
  book.uniswapV3.pools.filter(
    ({ token0, token1 }) =>
      (isAddressEqual(token0, a) && isAddressEqual(token1, b)) ||
      (isAddressEqual(token0, b) && isAddressEqual(token1, a)),
  )

/** No less than that is left. The maximum of a word: no debt is left. */
export const healthFactor = (pool: Address, account: Address, minimum: bigint): Need => ({
  what: minimum === MAX_UINT256 ? 'that no debt is left' : `a health factor of at least ${minimum}`,
  holds: (call) =>
    call.functionName === 'minHealthFactor' &&
    isAddressEqual(call.args[0], pool) &&
    isAddressEqual(call.args[1], account) &&
    call.args[2] >= minimum,
})

const balance = (token: Address, account: Address): Need => ({
  what: `what is left of ${token}`,
  holds: (call) =>
    call.functionName === 'minBalance' &&
    isAddressEqual(call.args[0], token) &&
    isAddressEqual(call.args[1], account),
})

/** No allowance is left of what was approved. */
export const nothingLeft = (token: Address, owner: Address, spender: Address): Need => ({
  what: `that ${spender} keeps no allowance of ${token}`,
  holds: (call) =>
    call.functionName === 'zeroAllowance' &&
    isAddressEqual(call.args[0], token) &&
    isAddressEqual(call.args[1], owner) &&
    isAddressEqual(call.args[2], spender),
})

/** The plan cannot be mined later than it says. */
export const inTime = (lastValidBlock: bigint): Need => ({
  what: `that it is not mined after block ${lastValidBlock}`,
  holds: (call) => call.functionName === 'notAfter' && call.args[0] <= lastValidBlock,
})
