import type { Address } from 'viem'
import { getAddress } from 'viem'
import type { Agent } from '../../runtime/core/agent.ts'
import { type AgentId, agentId } from '../../runtime/core/ids.ts'
import type { Intent } from '../../runtime/core/intent.ts'
import { findPosition, type Snapshot } from '../../runtime/core/snapshot.ts'
import { mulDiv, tokenAmount, wad } from '../../runtime/core/units.ts'
import { type Policy, type PolicyFile, parsePolicy } from '../../runtime/guards/policy.ts'
import { POOL, sampleBook, USDC, WETH } from '../../runtime/protocols/sampleSnapshot.fixture.ts'
import { addBalance, type MarketState } from '../twins/chain/marketState.ts'
import { approvers } from './approvers.ts'
import type { Random } from './random.ts'

export const book = sampleBook
export const ACCOUNT: Address = getAddress('0xac00000000000000000000000000000000000001')

const ETHER = 10n ** 18n
const USDC_UNIT = 10n ** 6n
const DOLLAR = 10n ** 8n
const GWEI = 10n ** 9n

const [wethReserve, usdcReserve] = book.aaveV3.reserves

/** One lending position: 10 WETH against 12,000 USDC, at a health factor of 1.375, and a wallet to act from. */
export function begin(state: MarketState, isDelegated: boolean): void {
  if (wethReserve === undefined || usdcReserve === undefined)
    throw new TypeError('the sample has two reserves')
  state.native.set(ACCOUNT.toLowerCase(), 20n * ETHER)
  setPrice(state, WETH, 2_000n * DOLLAR, 1_699_999_000n)
  setPrice(state, USDC, DOLLAR, 1_699_999_000n)
  addBalance(state, WETH, ACCOUNT, 8n * ETHER)
  addBalance(state, USDC, ACCOUNT, 9_000n * USDC_UNIT)
  addBalance(state, wethReserve.aToken, ACCOUNT, 10n * ETHER)
  addBalance(state, usdcReserve.variableDebtToken, ACCOUNT, 12_000n * USDC_UNIT)
  for (const { asset, aToken } of book.aaveV3.reserves) addBalance(state, asset, aToken, 10n ** 26n)
  for (const token of [WETH, USDC]) addBalance(state, token, POOL, 10n ** 26n)
  const delegate = book.rialto?.batchAccount
  if (isDelegated && delegate !== undefined)
    state.code.set(ACCOUNT.toLowerCase(), `0xef0100${delegate.slice(2).toLowerCase()}`)
}

/** A feed answers. */
export function setPrice(state: MarketState, asset: Address, answer: bigint, updatedAt: bigint): void {
  const key = asset.toLowerCase()
  state.feeds.set(key, [...(state.feeds.get(key) ?? []), { answer, updatedAt }])
}

/** What of the product a seed has besides agents, queue, journal, signer and nodes. */
export type Parts = {
  /** Blocks under the hard floor before the protector acts; null where none runs. */
  readonly graceBlocks: bigint | null
  /** Whether people are asked about anything. */
  readonly hasApprovers: boolean
  readonly isPrivate: boolean
}

export const drawParts = (random: Random): Parts => ({
  graceBlocks: random.chance(0.4) ? BigInt(random.between(0, 3)) : null,
  hasApprovers: random.chance(0.25),
  isPrivate: random.chance(0.3),
})

/** Where a position is in danger: with a protector soon enough that it has something to do. */
const CLOSE = { floor: '1.02', trigger: '1.10', minAfter: '1.15', target: '1.40' } as const
const FAR = { floor: '1.30', trigger: '1.32', minAfter: '1.33', target: '1.40' } as const

/** A policy under which everything is used: small caps, few confirmations, quick replacements. */
export function drawPolicy(random: Random, parts: Parts, hasFinality: boolean): Policy {
  const depths = [1, 1, 2, 3, hasFinality ? ('finalized' as const) : 4] as const
  const rolling = random.pick([45, 45, 60, 500])
  const rescues = rolling * random.pick([1, 1, 10])
  const asks = random.pick(['mode', 'amount'] as const)
  const file: PolicyFile = {
    name: 'simulated',
    mode: parts.hasApprovers && asks === 'mode' ? 'propose' : 'execute',
    intents: ['supply', 'withdraw', 'borrow', 'repay', 'deleverage'],
    contracts: {
      'erc20:WETH': ['approve'],
      'erc20:USDC': ['approve'],
      'aave-v3.aToken:WETH': ['approve'],
      'aave-v3.pool': ['supply', 'withdraw', 'borrow', 'repay'],
      'rialto.flashRepay': ['flashRepay'],
      'rialto.assert': ['minHealthFactor', 'minBalance', 'zeroAllowance', 'notAfter'],
    },
    recipients: [],
    spend: {
      perTransactionUsd: '45.00',
      rollingUsd: String(rolling),
      windowSeconds: random.pick([120, 86_400, 86_400]),
    },
    slippage: { oracleBps: 100, poolBps: 100 },
    oracle: { maxAgeSeconds: 90_000, maxDeviationBps: 500, withoutReferencePool: [] },
    healthFactor: parts.graceBlocks === null ? CLOSE : random.pick([CLOSE, FAR, FAR]),
    gas: { maxFeeGwei: '150', maxCostUsd: '45.00' },
    cooldownSeconds: random.pick([0, 0, 0, 36]),
    drawdownStopBps: 9_000,
    lastValidBlocks: random.between(2, 6),
    intentExpiryBlocks: 12,
    confirmations: random.pick(depths),
    replacement: { afterBlocks: random.between(1, 3), bumpBps: random.pick([1_000, 1_250, 3_000]) },
    submission: parts.isPrivate
      ? { route: 'private', publicAfterBlocks: random.pick(['never', 1, 2, 4]) }
      : { route: 'public', publicAfterBlocks: 'never' },
    allowances: { WETH: '1000', USDC: '1000000', native: '50' },
    protector: 'none',
    maxDeviationBps: 5_000,
    approvals: {
      personAboveUsd: parts.hasApprovers ? random.pick(['0.00', '5.00']) : 'none',
      owners: parts.hasApprovers ? [...approvers] : [],
      threshold: parts.hasApprovers ? random.between(1, 2) : 1,
      expirySeconds: parts.hasApprovers ? random.pick([60, 120, 300]) : 3_600,
    },
    graduation: 'none',
    riskReducing: {
      spend: { perTransactionUsd: String(rolling), rollingUsd: String(rescues) },
      slippage: { oracleBps: 300, poolBps: 300 },
      oracle: { maxAgeSeconds: 90_000, maxDeviationBps: 1_000 },
      gas: { maxFeeGwei: '500', penaltyPartBps: 9_000 },
    },
  }
  return parsePolicy(file)
}

/** Numbers from a block: the same on every worker and in every life of a process. */
function digits(snapshot: Snapshot, salt: number): (below: number) => number {
  let left = BigInt(snapshot.block.hash) >> BigInt(salt)
  return (below) => {
    const value = Number(left % BigInt(below))
    left /= BigInt(below)
    return value
  }
}

const nothing = (snapshot: Snapshot): Intent => ({
  kind: 'nothing',
  expiresAtBlock: snapshot.block.number + 1n,
})

/** Rescues the position when it is below the target: by repaying, topping up or deleveraging. */
function rescue(snapshot: Snapshot): Intent {
  const position = findPosition(snapshot, ACCOUNT)?.account
  const draw = digits(snapshot, 3)
  const minHealthFactor = wad(1n)
  const expiresAtBlock = snapshot.block.number + 2n + BigInt(draw(8))
  if (position === undefined || position.healthFactor > 138n * 10n ** 16n) return nothing(snapshot)
  const wallet = (token: Address) => snapshot.wallet.tokens.find((one) => one.token === token)?.balance ?? 0n
  const price = snapshot.reserves.find(({ asset }) => asset === WETH)?.price ?? DOLLAR
  switch (draw(3)) {
    case 0:
      if (wallet(USDC) >= 400n * USDC_UNIT)
        return {
          kind: 'repay',
          asset: USDC,
          amount: tokenAmount(300n * USDC_UNIT),
          minHealthFactor,
          expiresAtBlock,
        }
      break
    case 1:
      if (wallet(WETH) >= ETHER)
        return { kind: 'supply', asset: WETH, amount: tokenAmount(ETHER / 4n), expiresAtBlock }
      break
  }
  const repayAmount = tokenAmount(200n * USDC_UNIT)
  const fair = mulDiv(200n * DOLLAR, ETHER, price, 'up')
  return {
    kind: 'deleverage',
    collateral: WETH,
    debt: USDC,
    pool: POOL,
    repayAmount,
    maxCollateralIn: tokenAmount((fair * 1_012n) / 1_000n),
    minHealthFactor,
    expiresAtBlock,
  }
}

/** Moves money about, for no reason but to move it. */
function trade(snapshot: Snapshot): Intent {
  const position = findPosition(snapshot, ACCOUNT)?.account
  const draw = digits(snapshot, 17)
  if (position === undefined || draw(3) === 0) return nothing(snapshot)
  const expiresAtBlock = snapshot.block.number + 2n + BigInt(draw(8))
  switch (draw(3)) {
    case 0:
      return { kind: 'supply', asset: WETH, amount: tokenAmount(ETHER / 10n), expiresAtBlock }
    case 1:
      return { kind: 'withdraw', asset: WETH, amount: tokenAmount(ETHER / 20n), expiresAtBlock }
    default:
      return { kind: 'borrow', asset: USDC, amount: tokenAmount(50n * USDC_UNIT), expiresAtBlock }
  }
}

/** An agent that decides by its block alone. `isOver` silences it. */
export function simulatedAgent(
  id: AgentId,
  propose: (snapshot: Snapshot) => Intent,
  isOver: () => boolean,
): Agent {
  return {
    id,
    account: ACCOUNT,
    watch: () => ({ positions: [ACCOUNT], assets: [WETH, USDC], pools: [POOL] }),
    analyse: async (snapshot) => ({
      proposal: isOver() ? nothing(snapshot) : propose(snapshot),
      reason: 'simulated',
      source: 'rule',
      fallbackReason: null,
      candidates: 1,
      inferenceCalls: 0,
      model: null,
    }),
  }
}

export const agents = (isOver: () => boolean): readonly Agent[] => [
  simulatedAgent(agentId('rescuer'), rescue, isOver),
  simulatedAgent(agentId('trader'), trade, isOver),
]

export const BASE_FEE = 20n * GWEI
