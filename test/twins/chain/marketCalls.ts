import { type Address, type Hex, isAddressEqual, zeroAddress } from 'viem'
import type { AddressBook } from '../../../runtime/core/addressBook.ts'
import type { Call } from '../../../runtime/core/lifecycle.ts'
import type { ReceiptLog } from '../../../runtime/core/ports.ts'
import { wei } from '../../../runtime/core/units.ts'
import { type DecodedCall, decodeCall } from '../../../runtime/protocols/decodeCall.ts'
import { delegationOf } from '../../../runtime/protocols/erc20/getWallet.ts'
import { decodeBatch } from '../../../runtime/protocols/rialto/decodeBatch.ts'
import { readMarket } from './marketReads.ts'
import {
  accountIn,
  addBalance,
  addNative,
  allowanceIn,
  balanceIn,
  codeIn,
  copyMarket,
  keyOf,
  type MarketState,
  nativeIn,
  priceIn,
  RESERVE,
  restoreMarket,
} from './marketState.ts'
import { addressWord, approvalLog, revertError, revertText, transferLog } from './words.ts'

/** What a call did: its logs, or the data that it reverted with. */
export type CallOutcome =
  | { readonly ok: true; readonly logs: readonly ReceiptLog[]; readonly returnData: Hex }
  | { readonly ok: false; readonly returnData: Hex }

const done = (...logs: readonly ReceiptLog[]): CallOutcome => ({ ok: true, logs, returnData: '0x' })
const reverted = (returnData: Hex): CallOutcome => ({ ok: false, returnData })

type Frame = {
  readonly state: MarketState
  readonly book: AddressBook
  readonly block: bigint
  readonly from: Address
  readonly to: Address
}

// The same few batches are simulated twice and mined on several forks.
const batches = new Map<Hex, readonly Call[] | null>()
const calls = new Map<string, DecodedCall | null>()
const CACHE = 5_000

function cached<K, V>(cache: Map<K, V>, key: K, make: () => V): V {
  const known = cache.get(key)
  if (known !== undefined) return known
  if (cache.size >= CACHE) cache.clear()
  const made = make()
  cache.set(key, made)
  return made
}

/** Runs a call of an account; what a failed one did is undone. */
export function runCall(frame: Frame, data: Hex, value: bigint): CallOutcome {
  const { state, from, to } = frame
  if (value > nativeIn(state, from)) return reverted('0x')
  const saved = copyMarket(state)
  addNative(state, from, -value)
  addNative(state, to, value)
  const outcome = dispatch(frame, data, value)
  if (!outcome.ok) restoreMarket(state, saved)
  return outcome
}

function dispatch(frame: Frame, data: Hex, value: bigint): CallOutcome {
  const { state, book, from, to } = frame
  if (isAddressEqual(from, to)) return runBatch(frame, data)
  // Plain ether to the wrapper is a deposit.
  if (isAddressEqual(to, book.wrappedNative) && value > 0n) {
    addBalance(state, to, from, value)
    return done(transferLog(to, zeroAddress, from, value))
  }
  if (isAddressEqual(to, book.multicall3)) {
    const { success, data: returnData } = readMarket(state, book, { target: to, data })
    return success ? { ok: true, logs: [], returnData } : reverted(returnData)
  }
  const call = cached(calls, `${to.toLowerCase()}${data}`, () =>
    decodeCall({ to, value: wei(value), data }, book),
  )
  // Whoever has no code takes any call, and does nothing.
  return call === null ? done() : act(frame, call)
}

/** What an account that delegates to `BatchAccount` does with a call to itself; one that does not, does nothing. */
function runBatch(frame: Frame, data: Hex): CallOutcome {
  const { state, book, from } = frame
  const delegate = delegationOf(codeIn(state, from))
  const isOurs = delegate !== null && book.rialto && isAddressEqual(delegate, book.rialto.batchAccount)
  if (!isOurs || data === '0x') return done()
  const batch = cached(batches, data, () => decodeBatch(data))
  if (batch === null) return reverted('0x')
  const logs: ReceiptLog[] = []
  for (const call of batch) {
    const outcome = dispatch({ ...frame, to: call.to }, call.data, call.value)
    if (!outcome.ok) return outcome
    logs.push(...outcome.logs)
  }
  return done(...logs)
}

const same = (a: Address, b: Address): boolean => keyOf(a) === keyOf(b)

function act(frame: Frame, call: DecodedCall): CallOutcome {
  const { state, book, from, to, block } = frame
  switch (call.functionName) {
    case 'approve': {
      const [spender, amount] = call.args
      state.allowances.set(keyOf(to, from, spender), amount)
      return done(approvalLog(to, from, spender, amount))
    }
    case 'transfer':
      return move(state, to, from, call.args[0], call.args[1])
    case 'supply':
      return supply(frame, call.args[0], call.args[1], call.args[2])
    case 'withdraw':
      return withdraw(frame, call.args[0], call.args[1], call.args[2])
    case 'borrow':
      return borrow(frame, call.args[0], call.args[1], call.args[4])
    case 'repay':
      return repay(frame, call.args[0], call.args[1], call.args[3])
    case 'flashRepay':
      return flashRepay(frame, call.args[0])
    case 'minHealthFactor': {
      const [, account, minimum] = call.args
      const { healthFactor } = accountIn(state, book, account)
      const signature = 'HealthFactorTooLow(address,uint256,uint256)'
      return healthFactor >= minimum
        ? done()
        : reverted(revertError(signature, addressWord(account), healthFactor, minimum))
    }
    case 'minBalance': {
      const [token, account, minimum] = call.args
      const actual = balanceIn(state, token, account)
      const signature = 'BalanceTooLow(address,address,uint256,uint256)'
      return actual >= minimum
        ? done()
        : reverted(revertError(signature, addressWord(token), addressWord(account), actual, minimum))
    }
    case 'maxBalance':
      return balanceIn(state, call.args[0], call.args[1]) <= call.args[2]
        ? done()
        : reverted(revertText('above the maximum'))
    case 'zeroAllowance':
      return allowanceIn(state, call.args[0], call.args[1], call.args[2]) === 0n
        ? done()
        : reverted(revertText('an allowance is left'))
    case 'notAfter':
      return block <= call.args[0]
        ? done()
        : reverted(revertError('TooLate(uint256,uint256)', block, call.args[0]))
    case 'approveDelegation':
    case 'liquidationCall':
    case 'exactInputSingle':
      return reverted(revertText(`${call.functionName} is not modelled`))
    default:
      call satisfies never
      return reverted('0x')
  }
}

function move(state: MarketState, token: Address, from: Address, to: Address, amount: bigint): CallOutcome {
  if (balanceIn(state, token, from) < amount) return reverted(revertText('balance too low'))
  addBalance(state, token, from, -amount)
  addBalance(state, token, to, amount)
  return done(transferLog(token, from, to, amount))
}

/** Takes by an allowance, which it uses up. */
function pull(
  state: MarketState,
  token: Address,
  owner: Address,
  spender: Address,
  amount: bigint,
  to: Address,
): CallOutcome {
  const allowed = allowanceIn(state, token, owner, spender)
  if (allowed < amount) return reverted(revertText('allowance too low'))
  state.allowances.set(keyOf(token, owner, spender), allowed - amount)
  return move(state, token, owner, to, amount)
}

/** One after the other, until one reverts. */
function inTurn(...steps: readonly (() => CallOutcome)[]): CallOutcome {
  const logs: ReceiptLog[] = []
  for (const step of steps) {
    const outcome = step()
    if (!outcome.ok) return outcome
    logs.push(...outcome.logs)
  }
  return done(...logs)
}

const mint = (state: MarketState, token: Address, to: Address, amount: bigint): CallOutcome => {
  addBalance(state, token, to, amount)
  return done(transferLog(token, zeroAddress, to, amount))
}
const burn = (state: MarketState, token: Address, from: Address, amount: bigint): CallOutcome => {
  if (balanceIn(state, token, from) < amount) return reverted(revertText('burns more than there is'))
  addBalance(state, token, from, -amount)
  return done(transferLog(token, from, zeroAddress, amount))
}

const reserveOf = (book: AddressBook, asset: Address) =>
  book.aaveV3.reserves.find((reserve) => same(reserve.asset, asset))

/** Aave's errors are numbers; "27" is RESERVE_INACTIVE. */
const NO_RESERVE = reverted(revertText('27'))

function supply(
  { state, book, from, to }: Frame,
  asset: Address,
  amount: bigint,
  owner: Address,
): CallOutcome {
  const reserve = reserveOf(book, asset)
  if (reserve === undefined) return NO_RESERVE
  return inTurn(
    () => pull(state, asset, from, to, amount, reserve.aToken),
    () => mint(state, reserve.aToken, owner, amount),
  )
}

function withdraw({ state, book, from }: Frame, asset: Address, amount: bigint, to: Address): CallOutcome {
  const reserve = reserveOf(book, asset)
  if (reserve === undefined) return NO_RESERVE
  return inTurn(
    () => burn(state, reserve.aToken, from, amount),
    () => move(state, asset, reserve.aToken, to, amount),
    () => solvent(state, book, from),
  )
}

function borrow({ state, book, from }: Frame, asset: Address, amount: bigint, owner: Address): CallOutcome {
  const reserve = reserveOf(book, asset)
  if (reserve === undefined || !same(from, owner)) return NO_RESERVE
  const { availableBorrows } = accountIn(state, book, owner)
  const decimals = book.tokens.find(({ address }) => same(address, asset))?.decimals ?? 18
  if ((amount * priceIn(state, asset)) / 10n ** BigInt(decimals) > availableBorrows)
    return reverted(revertText('36'))
  return inTurn(
    () => mint(state, reserve.variableDebtToken, owner, amount),
    () => move(state, asset, reserve.aToken, owner, amount),
  )
}

function repay(
  { state, book, from, to }: Frame,
  asset: Address,
  amount: bigint,
  owner: Address,
): CallOutcome {
  const reserve = reserveOf(book, asset)
  if (reserve === undefined) return NO_RESERVE
  const owed = balanceIn(state, reserve.variableDebtToken, owner)
  const taken = amount < owed ? amount : owed
  if (taken === 0n) return reverted(revertText('39'))
  return inTurn(
    () => pull(state, asset, from, to, taken, reserve.aToken),
    () => burn(state, reserve.variableDebtToken, owner, taken),
  )
}

type FlashRepayOrder = Extract<DecodedCall, { functionName: 'flashRepay' }>['args'][0]

/** What `FlashRepay` comes to: debt repaid with collateral sold at the oracle's price and the pool's fee. */
function flashRepay({ state, book, from, to }: Frame, order: FlashRepayOrder): CallOutcome {
  const debt = reserveOf(book, order.debtAsset)
  const pool = book.uniswapV3.pools.find(({ address }) => same(address, order.pool))
  if (debt === undefined || pool === undefined) return NO_RESERVE
  const unit = (asset: Address) =>
    10n ** BigInt(book.tokens.find(({ address }) => same(address, asset))?.decimals ?? 18)
  const worth = order.repayAmount * priceIn(state, order.debtAsset) * unit(order.collateralAsset)
  const fair = worth / (priceIn(state, order.collateralAsset) * unit(order.debtAsset))
  const sold = (fair * 1_000_000n) / (1_000_000n - BigInt(pool.fee)) + 1n
  if (sold > order.maxCollateral) return reverted(revertText('too much collateral'))
  if (balanceIn(state, debt.variableDebtToken, from) < order.repayAmount)
    return reverted(revertText('repays more than is owed'))
  return inTurn(
    () => move(state, order.debtAsset, order.pool, debt.aToken, order.repayAmount),
    () => burn(state, debt.variableDebtToken, from, order.repayAmount),
    () => pull(state, order.aToken, from, to, order.maxCollateral, to),
    () => burn(state, order.aToken, to, sold),
    () => move(state, order.collateralAsset, order.aToken, order.pool, sold),
    () => move(state, order.aToken, to, from, order.maxCollateral - sold),
  )
}

/** "35": HEALTH_FACTOR_LOWER_THAN_LIQUIDATION_THRESHOLD. */
function solvent(state: MarketState, book: AddressBook, account: Address): CallOutcome {
  const { totalCollateral, totalDebt } = accountIn(state, book, account)
  return totalDebt === 0n || totalCollateral * RESERVE.threshold >= totalDebt * 10_000n
    ? done()
    : reverted(revertText('35'))
}
