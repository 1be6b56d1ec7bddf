import type { Address } from 'viem'
import type { IntentId } from '../core/ids.ts'
import type { Action } from '../core/intent.ts'
import {
  type BalanceDelta,
  type Call,
  type Effects,
  type Plan,
  planHash,
  type SimulatedPlan,
} from '../core/lifecycle.ts'
import type { AccountData } from '../core/snapshot.ts'
import { usd } from '../core/units.ts'
import { encodeIntent } from '../protocols/encodeIntent.ts'
import {
  accountData,
  at,
  aWeth,
  BLOCK,
  book,
  debtUsdc,
  dollars,
  ether,
  factor,
  gweis,
  owner,
  policy,
  pool,
  snapshot,
  usdc,
  usdcs,
  weth,
} from './guardScene.fixture.ts'

/** For tests: plans that carry out the scene's intents, and what they do when all goes well. */

export const moved = (
  account: Address,
  token: Address | null,
  change: bigint,
  before = 10n ** 24n,
): BalanceDelta => ({ account, token, before, after: before + change })

/** A change of the owner's wallet, from what the snapshot says it holds. */
const paid = (token: Address, change: bigint): BalanceDelta =>
  moved(owner, token, change, snapshot.wallet.tokens.find((entry) => entry.token === token)?.balance)

/** What each intent does when all goes well: the account's position, and everybody's balances. */
const outcomes: {
  readonly [Kind in Action['kind']]: readonly [AccountData, readonly BalanceDelta[], string]
} = {
  supply: [
    accountData('79200', '51000'),
    [paid(weth, -ether('4')), moved(owner, aWeth, ether('4'), ether('40')), moved(aWeth, weth, ether('4'))],
    '0',
  ],
  withdraw: [
    accountData('70200', '46000'),
    [paid(weth, ether('1')), moved(owner, aWeth, -ether('1'), ether('40')), moved(aWeth, weth, -ether('1'))],
    '0',
  ],
  borrow: [
    accountData('72000', '47500'),
    [paid(usdc, usdcs('500')), moved(owner, debtUsdc, usdcs('500')), moved(at(0x23), usdc, -usdcs('500'))],
    '0',
  ],
  repay: [
    accountData('72000', '41000'),
    [
      paid(usdc, -usdcs('10000')),
      moved(owner, debtUsdc, -usdcs('10000')),
      moved(at(0x23), usdc, usdcs('10000')),
    ],
    '0',
  ],
  // 10 WETH, worth 18,000 dollars, repay 17,820: one per cent is lost.
  deleverage: [
    accountData('54000', '33180'),
    [
      moved(owner, aWeth, -ether('10'), ether('40')),
      moved(owner, debtUsdc, -usdcs('17820')),
      moved(pool, weth, ether('10')),
      moved(pool, usdc, -usdcs('17820')),
      moved(at(0x23), usdc, usdcs('17820')),
    ],
    '180',
  ],
  swap: [
    accountData('72000', '46000'),
    [
      paid(weth, -ether('1')),
      paid(usdc, usdcs('1796.4')),
      moved(pool, weth, ether('1')),
      moved(pool, usdc, -usdcs('1796.4')),
    ],
    '3.6',
  ],
  transfer: [
    accountData('72000', '46000'),
    [paid(usdc, -usdcs('50')), moved(at(0xf1), usdc, usdcs('50'))],
    '50',
  ],
  liquidate: [
    accountData('72000', '46000'),
    [
      paid(usdc, -usdcs('18000')),
      paid(weth, ether('10.45')),
      moved(at(0xb0), aWeth, -ether('10.5')),
      moved(at(0x99), aWeth, ether('0.05')),
      moved(at(0x23), usdc, usdcs('18000')),
    ],
    '0',
  ],
  revoke: [accountData('72000', '46000'), [paid(usdc, 0n)], '0'],
}

/** Allowances that a plan touched: used up, or taken back. */
const touched = (plan: Pick<Plan, 'account'>, token: Address, spender: Address, left = 0n) => ({
  token,
  owner: plan.account,
  spender,
  before: 0n,
  after: left,
})

const allowancesOf = (kind: Action['kind']): Effects['allowances'] => {
  const of = { account: owner }
  switch (kind) {
    case 'supply':
      return [touched(of, weth, book.aaveV3.pool)]
    case 'repay':
    case 'liquidate':
      return [touched(of, usdc, book.aaveV3.pool)]
    case 'deleverage':
      return [touched(of, aWeth, at(0x52))]
    case 'swap':
      return [touched(of, weth, book.uniswapV3.swapRouter)]
    case 'revoke':
      return [{ ...touched(of, usdc, at(0xbad)), before: usdcs('1000') }]
    default:
      return []
  }
}

/** What a test changes about a plan and its effects. */
export type PlanChanges = { readonly plan?: Partial<Plan>; readonly effects?: Partial<Effects> }

const LAST_VALID_BLOCK = BLOCK + 3n
const encoded = new WeakMap<Action, readonly Call[]>()

function callsOf(intent: Action): readonly Call[] {
  const known = encoded.get(intent)
  if (known !== undefined) return known
  const { minAfter } = policy.healthFactor
  const options = { minHealthFactor: minAfter, lastValidBlock: LAST_VALID_BLOCK }
  const calls = encodeIntent(intent, snapshot, book, options)
  encoded.set(intent, calls)
  return calls
}

/** A plan of an intent as `encodeIntent` makes it, with the effects it has when all goes well. */
export function planOf(intent: Action, { plan = {}, effects = {} }: PlanChanges = {}): SimulatedPlan {
  const [positionAfter, balances, loss] = outcomes[intent.kind]
  const equity = dollars('46000')
  const made: Plan = {
    intentId: '00' as IntentId,
    chainId: book.chainId,
    account: owner,
    calls: callsOf(intent),
    delegateTo: at(0x51),
    gasLimit: 500_000n,
    maxFeePerGas: gweis('50'),
    maxPriorityFeePerGas: gweis('1'),
    block: { number: BLOCK, hash: snapshot.block.hash },
    lastValidBlock: LAST_VALID_BLOCK,
    policyVersion: policy.version,
    ...plan,
  }
  const measured: Effects = {
    gasUsed: 400_000n,
    balances,
    allowances: allowancesOf(intent.kind),
    position: { before: accountData('72000', isOwnRisk(intent) ? '51000' : '46000'), after: positionAfter },
    equity: { before: equity, after: usd(equity - dollars(loss)) },
    logCount: 5,
    ...effects,
  }
  // Not sealed: guards judge what they are given, and only the simulate stage may seal.
  return { ...made, hash: planHash(made), effects: measured } as SimulatedPlan
}

/** Rescues start at a health factor of 1.165, everything else at 1.29, where nothing is in danger yet. */
const isOwnRisk = ({ kind }: Action): boolean =>
  kind === 'repay' || kind === 'deleverage' || kind === 'supply'

/** A position's figures with a health factor of one's own. */
export const withHealthFactor = (healthFactor: string): AccountData => ({
  ...accountData('72000', '51000'),
  healthFactor: factor(healthFactor),
})

/** A rescue: the same effects with other health factors. */
export const movingHealthFactor = (before: string, afterwards: string): Partial<Effects> => ({
  position: { before: withHealthFactor(before), after: withHealthFactor(afterwards) },
})
