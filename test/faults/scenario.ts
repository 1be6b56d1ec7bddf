import { type Address, isAddressEqual, parseEther, parseUnits } from 'viem'
import { fundAccounts } from '../../infra/world/fundAccounts.ts'
import { openPositions } from '../../infra/world/openPositions.ts'
import { POSITION } from '../../infra/world/setStage.ts'
import type { World } from '../../infra/world/world.ts'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { Agent } from '../../runtime/core/agent.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { agentId } from '../../runtime/core/ids.ts'
import type { Intent } from '../../runtime/core/intent.ts'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { tokenAmount, wad, wei } from '../../runtime/core/units.ts'
import { type Policy, type PolicyFile, parsePolicy } from '../../runtime/guards/policy.ts'

/** One thing that the agent wants, once its block has come and everything before it is done. */
type Step = {
  readonly kind: 'repay' | 'supply'
  readonly token: 'USDC' | 'WETH'
  readonly amount: bigint
  /** The first block in which it is due, counted from the beginning of the schedule. */
  readonly due: bigint
}

const usdc = (whole: string) => parseUnits(whole, 6)

/** Amounts of which no two selections have the same sums: what a wallet lacks tells which steps were done. */
export const steps: readonly Step[] = [
  { kind: 'repay', token: 'USDC', amount: usdc('101'), due: 1n },
  { kind: 'supply', token: 'WETH', amount: parseEther('0.11'), due: 3n },
  { kind: 'repay', token: 'USDC', amount: usdc('211'), due: 5n },
  { kind: 'supply', token: 'WETH', amount: parseEther('0.37'), due: 7n },
]

/** What the wallet holds at the beginning, besides the native coin. */
export const WALLET = { USDC: POSITION.walletUsdc as bigint, WETH: parseEther('3') } as const

/** All selections of steps, each step once at most, as their places in the list. */
const selections: readonly (readonly number[])[] = Array.from({ length: 2 ** steps.length }, (_, bits) =>
  steps.flatMap((_, place) => ((bits >> place) % 2 === 1 ? [place] : [])),
)

function walletAfter(done: readonly number[]): Wallet {
  const spent = (token: Step['token']) =>
    steps.reduce(
      (sum, step, place) => (step.token === token && done.includes(place) ? sum + step.amount : sum),
      0n,
    )
  return { USDC: WALLET.USDC - spent('USDC'), WETH: WALLET.WETH - spent('WETH') }
}

export type Wallet = { readonly USDC: bigint; readonly WETH: bigint }

/** Which steps a wallet shows to be done; null when one was done twice, or by another amount. */
export function stepsDone(held: Wallet): readonly number[] | null {
  const isIt = (done: readonly number[]) => {
    const { USDC, WETH } = walletAfter(done)
    return USDC === held.USDC && WETH === held.WETH
  }
  return selections.find(isIt) ?? null
}

export function tokensOf(book: AddressBook): { readonly USDC: Address; readonly WETH: Address } {
  const USDC = book.tokens.find(({ symbol }) => symbol === 'USDC')?.address
  if (USDC === undefined) throw new InvariantError('The address book is not that of a world.')
  return { USDC, WETH: book.wrappedNative }
}

/** Gives an account the position and the wallet that every schedule begins with. */
export async function prepareAccount(world: World, account: Address): Promise<void> {
  await openPositions(world, [{ account, ...POSITION }])
  await fundAccounts(world, [{ account, eth: wei(parseEther('20')), weth: tokenAmount(WALLET.WETH) }])
}

export const AGENT = agentId('stepper')

/**
 * An agent that takes its steps one after another, by what it sees and nothing else: it wants the first one that its
 * wallet does not show to be done, until it does. So whatever is delayed, lost, expires, reverts or is reorganised away is
 * wanted again, and there is one state that all ways lead to.
 *
 * @param begin the block before the schedule's first
 */
export function stepper(book: AddressBook, account: Address, begin: bigint): Agent {
  const tokens = tokensOf(book)
  const nothing = (snapshot: Snapshot): Intent => ({
    kind: 'nothing',
    expiresAtBlock: snapshot.block.number + 1n,
  })
  const propose = (snapshot: Snapshot): Intent => {
    const balance = (token: Address) =>
      snapshot.wallet.tokens.find((entry) => isAddressEqual(entry.token, token))?.balance ?? 0n
    const done = stepsDone({ USDC: balance(tokens.USDC), WETH: balance(tokens.WETH) })
    const next = done === null ? undefined : steps.find((_, place) => !done.includes(place))
    if (next === undefined || snapshot.block.number < begin + next.due) return nothing(snapshot)
    const shared = {
      asset: tokens[next.token],
      amount: tokenAmount(next.amount),
      expiresAtBlock: snapshot.block.number + 4n,
    }
    return next.kind === 'supply'
      ? { kind: 'supply', ...shared }
      : { kind: 'repay', ...shared, minHealthFactor: wad(10n ** 18n) }
  }
  return {
    id: AGENT,
    account,
    watch: () => ({
      positions: [account],
      assets: [tokens.WETH, tokens.USDC],
      pools: book.uniswapV3.pools.map(({ address }) => address),
    }),
    analyse: async (snapshot) => ({
      proposal: propose(snapshot),
      reason: 'scripted',
      source: 'rule',
      fallbackReason: null,
      candidates: 1,
      inferenceCalls: 0,
      model: null,
    }),
  }
}

/** What a schedule may draw of a policy. */
export type PolicyDraw = {
  readonly confirmations: 1 | 2 | 3
  /** A rolling cap so low that what faults cost may leave the last steps undone. */
  readonly isTight: boolean
}

export const policyDraws: readonly PolicyDraw[] = ([1, 2, 3] as const).flatMap((confirmations) =>
  [false, true].map((isTight) => ({ confirmations, isTight })),
)

export function policyOf({ confirmations, isTight }: PolicyDraw): Policy {
  const spend = isTight
    ? { perTransactionUsd: '85.00', rollingUsd: '85.00' }
    : { perTransactionUsd: '1500.00', rollingUsd: '5000.00' }
  const file: PolicyFile = {
    name: `stepper-${confirmations}-${isTight ? 'tight' : 'wide'}`,
    mode: 'execute',
    intents: ['repay', 'supply'],
    contracts: {
      'erc20:WETH': ['approve'],
      'erc20:USDC': ['approve'],
      'aave-v3.pool': ['supply', 'repay'],
      'rialto.assert': ['minHealthFactor', 'minBalance', 'zeroAllowance', 'notAfter'],
    },
    recipients: [],
    spend: { ...spend, windowSeconds: 86_400 },
    slippage: { oracleBps: 50, poolBps: 50 },
    oracle: { maxAgeSeconds: 90_000, maxDeviationBps: 200, withoutReferencePool: [] },
    healthFactor: { floor: '1.02', trigger: '1.10', minAfter: '1.15', target: '1.35' },
    gas: { maxFeeGwei: '150', maxCostUsd: '45.00' },
    cooldownSeconds: 0,
    drawdownStopBps: 9_000,
    lastValidBlocks: 3,
    intentExpiryBlocks: 10,
    confirmations,
    replacement: { afterBlocks: 2, bumpBps: 1_250 },
    submission: { route: 'public', publicAfterBlocks: 'never' },
    allowances: { WETH: '80', USDC: '120000', native: '10' },
    protector: 'none',
    maxDeviationBps: 5_000,
    approvals: { personAboveUsd: 'none', owners: [], threshold: 1, expirySeconds: 3_600 },
    graduation: 'none',
    riskReducing: {
      spend,
      slippage: { oracleBps: 300, poolBps: 300 },
      oracle: { maxAgeSeconds: 90_000, maxDeviationBps: 500 },
      gas: { maxFeeGwei: '400', penaltyPartBps: 9_000 },
    },
  }
  return parsePolicy(file)
}
