import {
  type Address,
  decodeEventLog,
  decodeFunctionResult,
  encodeFunctionData,
  erc20Abi,
  getAddress,
  type Hex,
  isAddressEqual,
  multicall3Abi,
  parseEventLogs,
  zeroAddress,
} from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import type { Hash } from '../core/ids.ts'
import type { Effects, Outcome } from '../core/lifecycle.ts'
import type { Chain, ReceiptLog } from '../core/ports.ts'
import type { AccountData, Snapshot } from '../core/snapshot.ts'
import { aaveDebtTokenEventsAbi } from '../protocols/aave-v3/abi.ts'
import { borrowAllowance, userAccountData } from '../protocols/aave-v3/read.ts'
import { allowance, balanceOf, nativeBalanceOf } from '../protocols/erc20/read.ts'
import { combineReads, listReads, type Readable, readAll } from '../protocols/read.ts'
import { changeValue, valuation } from './measure.ts'

/** Everything that is read before and after a transaction to measure what it does. */
export type Probe = {
  readonly account: Address
  readonly balances: readonly { readonly account: Address; readonly token: Address | null }[]
  readonly allowances: readonly {
    readonly token: Address
    readonly owner: Address
    readonly spender: Address
  }[]
}

/**
 * What to measure around a transaction: the account's native coin, its balance in every token that the snapshot
 * knows, and every balance and allowance that a Transfer or Approval event of the first pass names; credit that is
 * delegated counts as an allowance on the debt token.
 */
export function probesFor(
  snapshot: Snapshot,
  book: AddressBook,
  account: Address,
  logs: readonly ReceiptLog[],
): Probe {
  const balances = new Map<string, Probe['balances'][number]>()
  const allowances = new Map<string, Probe['allowances'][number]>()
  const addBalance = (holder: Address, token: Address | null) => {
    if (!isAddressEqual(holder, zeroAddress)) balances.set(`${holder}/${token}`, { account: holder, token })
  }

  addBalance(account, null)
  for (const { address } of book.tokens) addBalance(account, getAddress(address))
  for (const reserve of snapshot.reserves) {
    for (const token of [reserve.asset, reserve.aToken, reserve.variableDebtToken])
      addBalance(account, getAddress(token))
  }
  for (const log of logs) {
    const event = tokenEvent(log) ?? delegationEvent(log, book)
    if (event === null) continue
    const token = getAddress(log.address)
    if (event.name !== 'Delegation') {
      addBalance(event.from, token)
      addBalance(event.to, token)
    }
    if (event.name !== 'Transfer')
      allowances.set(`${token}/${event.from}/${event.to}`, { token, owner: event.from, spender: event.to })
  }
  return { account, balances: [...balances.values()], allowances: [...allowances.values()] }
}

type TokenEvent = {
  readonly name: 'Transfer' | 'Approval' | 'Delegation'
  readonly from: Address
  readonly to: Address
}

/** Of the debt tokens in the book alone: nothing else can be asked what is left of it. */
function delegationEvent(log: ReceiptLog, book: AddressBook): TokenEvent | null {
  if (!isDebtToken(log.address, book)) return null
  const [event] = parseEventLogs({
    abi: aaveDebtTokenEventsAbi,
    logs: [{ ...log, topics: [...log.topics] }] as never,
  })
  if (event === undefined) return null
  const { fromUser, toUser } = event.args
  return { name: 'Delegation', from: getAddress(fromUser), to: getAddress(toUser) }
}

const isDebtToken = (token: Address, { aaveV3 }: AddressBook): boolean =>
  aaveV3.reserves.some(({ variableDebtToken }) => isAddressEqual(variableDebtToken, token))

function tokenEvent(log: ReceiptLog): TokenEvent | null {
  // ERC-721 shares both signatures but has a fourth topic.
  if (log.topics.length !== 3) return null
  try {
    const { eventName, args } = decodeEventLog({
      abi: erc20Abi,
      topics: [...log.topics] as [Hex, ...Hex[]],
      data: log.data,
    })
    return eventName === 'Transfer'
      ? { name: 'Transfer', from: getAddress(args.from), to: getAddress(args.to) }
      : { name: 'Approval', from: getAddress(args.owner), to: getAddress(args.spender) }
  } catch {
    // Not every log is a token's; those that cannot be read as one move no token.
    return null
  }
}

type Reading = {
  readonly position: AccountData
  readonly balances: readonly bigint[]
  readonly allowances: readonly bigint[]
}

function probeReads(probe: Probe, book: AddressBook) {
  return combineReads({
    position: userAccountData(book.aaveV3.pool, probe.account),
    balances: listReads<bigint>(
      probe.balances.map(({ account, token }) =>
        token === null ? nativeBalanceOf(book.multicall3, account) : balanceOf(token, account),
      ),
    ),
    allowances: listReads<bigint>(
      probe.allowances.map(
        ({ token, owner, spender }): Readable<bigint> =>
          isDebtToken(token, book)
            ? borrowAllowance(token, owner, spender)
            : allowance(token, owner, spender),
      ),
    ),
  })
}

/** One Multicall3 call that reads the whole probe: it can stand between the calls of a simulation. */
export function encodeProbe(probe: Probe, book: AddressBook): { readonly to: Address; readonly data: Hex } {
  const calls = probeReads(probe, book).reads.map(({ target, data }) => ({
    target,
    callData: data,
    allowFailure: false,
  }))
  return {
    to: book.multicall3,
    data: encodeFunctionData({ abi: multicall3Abi, functionName: 'aggregate3', args: [calls] }),
  }
}

/** What one call of {@link encodeProbe} returned. */
export function decodeProbe(probe: Probe, data: Hex, book: AddressBook): Reading {
  const group = probeReads(probe, book)
  const results = decodeFunctionResult({ abi: multicall3Abi, functionName: 'aggregate3', data })
  return group.assemble(group.reads.map((read, index) => read.decode(results[index]?.returnData ?? '0x')))
}

/** The probe's figures as they stand at a block. */
export async function readProbe(chain: Chain, at: Hash, probe: Probe, book: AddressBook): Promise<Reading> {
  return (await readAll(chain, at, { probe: probeReads(probe, book) })).probe
}

/**
 * The effects between two readings of a probe.
 *
 * Equity counts the account's own balances at the snapshot's oracle prices: `before` is what it is worth at the
 * first reading, `after` adds what the transaction changed.
 */
export function measureEffects(
  probe: Probe,
  before: Hex,
  after: Hex,
  snapshot: Snapshot,
  book: AddressBook,
): Omit<Effects, 'gasUsed' | 'logCount'> {
  const first = decodeProbe(probe, before, book)
  const second = decodeProbe(probe, after, book)
  const balances = probe.balances.map((entry, index) => ({
    ...entry,
    before: first.balances[index] ?? 0n,
    after: second.balances[index] ?? 0n,
  }))
  const mine = balances.filter((delta) => isAddressEqual(delta.account, probe.account))
  const held: Outcome['balanceChanges'] = mine
    .filter((delta) => valuation(snapshot, book, delta.token) !== null)
    .map((delta) => ({ token: delta.token ?? zeroAddress, change: delta.before }))
  const changed: Outcome['balanceChanges'] = mine.map((delta) => ({
    token: delta.token ?? zeroAddress,
    change: delta.after - delta.before,
  }))
  const equity = changeValue(held, snapshot, book) ?? 0n
  const owned = held.filter(({ token }) => valuation(snapshot, book, token)?.sign === 1n)
  // A token without a price that leaves the account cannot be valued: all that is owned is taken as lost.
  const change = changeValue(changed, snapshot, book) ?? -(changeValue(owned, snapshot, book) ?? 0n)
  return {
    balances,
    allowances: probe.allowances.map((entry, index) => ({
      ...entry,
      before: first.allowances[index] ?? 0n,
      after: second.allowances[index] ?? 0n,
    })),
    position: { before: first.position, after: second.position },
    equity: { before: equity, after: equity + change },
  }
}
