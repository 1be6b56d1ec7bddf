import { type Address, getAddress } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { AttemptId, Hash, IntentId } from '../../runtime/core/ids.ts'
import { type Call, type Plan, planHash } from '../../runtime/core/lifecycle.ts'
import type { SignRequest } from '../../runtime/core/ports.ts'
import { tokenAmount, wad, wei } from '../../runtime/core/units.ts'
import { type Policy, type PolicyFile, parsePolicy } from '../../runtime/guards/policy.ts'
import {
  encodeBorrow,
  encodeRepay,
  encodeSupply,
  encodeWithdraw,
} from '../../runtime/protocols/aave-v3/encode.ts'
import { encodeApprove, encodeTransfer } from '../../runtime/protocols/erc20/encode.ts'
import {
  encodeFlashRepay,
  encodeMinBalance,
  encodeMinHealthFactor,
  encodeNotAfter,
  encodeZeroAllowance,
} from '../../runtime/protocols/rialto/encode.ts'
import { encodeExactInputSingle } from '../../runtime/protocols/uniswap-v3/encode.ts'

const fake = (n: number): Address => getAddress(`0x${n.toString(16).padStart(40, 'a0')}`)

/** An address book of contracts that are nowhere: the signer asks no chain. */
export const book = {
  chainId: 31_337,
  multicall3: fake(1),
  wrappedNative: fake(2),
  tokens: [
    { address: fake(2), symbol: 'WETH', decimals: 18 },
    { address: fake(3), symbol: 'USDC', decimals: 6 },
  ],
  aaveV3: {
    poolAddressesProvider: fake(4),
    pool: fake(5),
    oracle: fake(6),
    dataProvider: fake(7),
    reserves: [
      { asset: fake(2), aToken: fake(8), variableDebtToken: fake(9) },
      { asset: fake(3), aToken: fake(10), variableDebtToken: fake(11) },
    ],
  },
  uniswapV3: {
    factory: fake(12),
    swapRouter: fake(13),
    quoter: fake(14),
    pools: [{ address: fake(15), token0: fake(2), token1: fake(3), fee: 500 }],
  },
  chainlink: [],
  rialto: { batchAccount: fake(16), flashRepay: fake(17), assert: fake(18) },
} as const satisfies AddressBook

export const STRANGER = fake(99)
export const FRIEND = fake(98)
export const GENESIS: Hash = `0x${'aa'.repeat(32)}`

const WETH = book.wrappedNative
const USDC = book.tokens[1].address
const [A_WETH, A_USDC] = book.aaveV3.reserves.map((reserve) => reserve.aToken) as [Address, Address]
const { pool } = book.aaveV3
const { assert, flashRepay, batchAccount } = book.rialto
const router = book.uniswapV3.swapRouter
export const names = { WETH, USDC, A_WETH, A_USDC, pool, router, assert, flashRepay, batchAccount }

const limits: PolicyFile = {
  name: 'signer-test',
  mode: 'execute',
  intents: ['supply', 'withdraw', 'borrow', 'repay', 'deleverage', 'swap', 'transfer'],
  contracts: {
    'erc20:WETH': ['approve', 'transfer'],
    'erc20:USDC': ['approve', 'transfer'],
    'aave-v3.aToken:WETH': ['approve'],
    'aave-v3.pool': ['supply', 'withdraw', 'borrow', 'repay'],
    'uniswap-v3.router': ['exactInputSingle'],
    'rialto.flashRepay': ['flashRepay'],
    'rialto.assert': ['minHealthFactor', 'minBalance', 'zeroAllowance', 'notAfter'],
  },
  recipients: [FRIEND],
  spend: { perTransactionUsd: '250', rollingUsd: '500', windowSeconds: 86_400 },
  slippage: { oracleBps: 50, poolBps: 50 },
  oracle: { maxAgeSeconds: 3_600, maxDeviationBps: 200, withoutReferencePool: [] },
  healthFactor: { floor: '1.05', trigger: '1.15', minAfter: '1.25', target: '1.35' },
  gas: { maxFeeGwei: '100', maxCostUsd: '100' },
  cooldownSeconds: 300,
  drawdownStopBps: 2_000,
  lastValidBlocks: 3,
  intentExpiryBlocks: 10,
  confirmations: 1,
  replacement: { afterBlocks: 2, bumpBps: 1_250 },
  submission: { route: 'public', publicAfterBlocks: 'never' },
  allowances: { WETH: '1000', USDC: '1000000', native: '100' },
  protector: 'none',
  maxDeviationBps: 100,
  approvals: { personAboveUsd: 'none', owners: [], threshold: 1, expirySeconds: 3_600 },
  graduation: 'none',
  riskReducing: {
    spend: { perTransactionUsd: '1500', rollingUsd: '5000' },
    slippage: { oracleBps: 300, poolBps: 300 },
    oracle: { maxAgeSeconds: 90_000, maxDeviationBps: 500 },
    gas: { maxFeeGwei: '400', penaltyPartBps: 9_000 },
  },
}

/** The policy of the suite, with some of it changed. */
export const policyOf = (changes: Partial<PolicyFile> = {}): Policy => parsePolicy({ ...limits, ...changes })
export const policy = policyOf()

const MILLION = tokenAmount(1_000_000n)
const HEALTHY = wad(1_300_000_000_000_000_000n)
const LAST_BLOCK = 103n

/** The calls of an honest plan of each kind, as the encoders make them. */
export const honestCalls = (account: Address) => {
  const closing = encodeNotAfter(assert, LAST_BLOCK)
  const healthy = encodeMinHealthFactor(assert, pool, account, HEALTHY)
  const nothingLeft = (token: Address, spender: Address) =>
    encodeZeroAllowance(assert, token, account, spender)
  const swap = {
    tokenIn: USDC,
    tokenOut: WETH,
    fee: 500,
    recipient: account,
    deadline: 2n ** 256n - 1n,
    amountIn: MILLION,
    minAmountOut: tokenAmount(5n),
  }
  const order = {
    aave: pool,
    pool: book.uniswapV3.pools[0].address,
    debtAsset: USDC,
    collateralAsset: WETH,
    aToken: A_WETH,
    repayAmount: MILLION,
    maxCollateral: tokenAmount(777n),
  }
  return {
    supply: [
      encodeApprove(WETH, pool, MILLION),
      encodeSupply(pool, WETH, MILLION, account),
      encodeMinBalance(assert, A_WETH, account, MILLION),
      nothingLeft(WETH, pool),
      closing,
    ],
    withdraw: [encodeWithdraw(pool, WETH, MILLION, account), healthy, closing],
    borrow: [encodeBorrow(pool, USDC, MILLION, account), healthy, closing],
    repay: [
      encodeApprove(USDC, pool, MILLION),
      encodeRepay(pool, USDC, MILLION, account),
      encodeApprove(USDC, pool, tokenAmount(0n)),
      healthy,
      nothingLeft(USDC, pool),
      closing,
    ],
    deleverage: [
      encodeApprove(A_WETH, flashRepay, order.maxCollateral),
      encodeFlashRepay(flashRepay, order),
      healthy,
      encodeMinBalance(assert, A_WETH, account, MILLION),
      nothingLeft(A_WETH, flashRepay),
      closing,
    ],
    swap: [
      encodeApprove(USDC, router, MILLION),
      encodeExactInputSingle(router, swap),
      encodeMinBalance(assert, WETH, account, tokenAmount(5n)),
      nothingLeft(USDC, router),
      closing,
    ],
    transfer: [encodeTransfer(USDC, FRIEND, MILLION), closing],
  } satisfies Record<string, readonly Call[]>
}

/** A plan that the signer allows: a repayment, unless changed. */
export const planOf = (account: Address, changes: Partial<Plan> = {}): Plan => ({
  intentId: 'intent-1' as IntentId,
  chainId: book.chainId,
  account,
  calls: honestCalls(account).repay,
  delegateTo: batchAccount,
  gasLimit: 500_000n,
  maxFeePerGas: wei(50n * 10n ** 9n),
  maxPriorityFeePerGas: wei(10n ** 9n),
  block: { number: 100n, hash: `0x${'bb'.repeat(32)}` },
  lastValidBlock: LAST_BLOCK,
  policyVersion: policy.version,
  ...changes,
})

/** The least fees that may take the place of a plan's on its nonce. */
export const dearer = ({ maxFeePerGas, maxPriorityFeePerGas }: Plan) => ({
  maxFeePerGas: wei((maxFeePerGas * 110n + 99n) / 100n),
  maxPriorityFeePerGas: wei((maxPriorityFeePerGas * 110n + 99n) / 100n),
})

/** An empty plan: it cancels, or fills a nonce. */
export const emptyOf = (account: Address, changes: Partial<Plan> = {}): Plan =>
  planOf(account, { calls: [], delegateTo: null, gasLimit: 21_000n, ...changes })

/** A request to sign a plan, with its true hash unless changed. */
export const requestOf = (plan: Plan, changes: Partial<SignRequest> = {}): SignRequest => ({
  attemptId: `${plan.intentId}.1` as AttemptId,
  plan,
  planHash: planHash(plan),
  nonce: 7n,
  fence: 1n,
  ...changes,
})
