import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Address, parseEther, parseUnits } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import { createChain } from '../../infra/chain/createChain.ts'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { deriveKey } from '../../infra/signer/deriveKey.ts'
import { judgePlan } from '../../infra/signer/judgePlan.ts'
import { setStage } from '../../infra/world/setStage.ts'
import { testWorld } from '../../infra/world/testWorld.ts'
import { type Action, parseIntent } from '../../runtime/core/intent.ts'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { type Policy, parsePolicy } from '../../runtime/guards/policy.ts'
import { encodeIntent } from '../../runtime/protocols/encodeIntent.ts'
import { readSnapshot } from '../../runtime/protocols/readSnapshot.ts'
import { FRIEND, planOf, policyOf } from './signerFixture.ts'

// The signer's rules and the runtime's encoders know nothing of one another: what these make, those must let through.

const world = await testWorld({ automine: false })
const { addressBook: book } = world
const chain = await createChain({ rpcUrl: world.url, chainId: world.chainId, multicall3: book.multicall3 })
const addressOf = (label: string) => privateKeyToAccount(deriveKey({ label, seed: 'plans' })).address
const cast = { guarded: addressOf('guarded'), twin: addressOf('twin'), liquidator: addressOf('liquidator') }
await setStage(world, cast, await chain.head())

const weth = book.wrappedNative
const usdc = book.tokens.find(({ symbol }) => symbol === 'USDC')?.address as Address
const [pool] = book.uniswapV3.pools.map(({ address }) => address)

const snapshotFor = async (account: Address): Promise<Snapshot> =>
  readSnapshot(chain, await chain.head(), book, account, {
    positions: [...new Set([account, cast.twin])],
    assets: [weth, usdc],
    pools: pool === undefined ? [] : [pool],
  })

const policyFile = (name: string): Policy =>
  parsePolicy(JSON.parse(readFileSync(join(packageRoot(import.meta.url), 'policies', name), 'utf8')))

async function judge(account: Address, intent: Record<string, unknown>, policy: Policy): Promise<void> {
  const snapshot = await snapshotFor(account)
  const { number, hash } = snapshot.block
  const action = parseIntent({ ...intent, expiresAtBlock: number + 10n }) as Action
  const lastValidBlock = number + BigInt(policy.lastValidBlocks)
  const calls = encodeIntent(action, snapshot, book, {
    minHealthFactor: policy.healthFactor.minAfter,
    lastValidBlock,
  })
  const plan = planOf(account, {
    calls,
    delegateTo: book.rialto?.batchAccount ?? null,
    block: { number, hash },
    lastValidBlock,
    policyVersion: policy.version,
  })
  judgePlan(plan, policy, book)
}

const amount = parseUnits('500', 6)
const supply = { kind: 'supply', asset: weth, amount: parseEther('1') }
const repay = { kind: 'repay', asset: usdc, amount, minHealthFactor: 10n ** 18n }
const deleverage = {
  kind: 'deleverage',
  collateral: weth,
  debt: usdc,
  pool,
  repayAmount: amount,
  maxCollateralIn: parseEther('1'),
  minHealthFactor: 10n ** 18n,
}
const liquidate = {
  kind: 'liquidate',
  collateral: weth,
  debt: usdc,
  user: cast.twin,
  debtToCover: amount,
  minCollateralOut: 1n,
}

test.each([supply, repay, deleverage])("allows the guardian's $kind under its policy", async (intent) => {
  await expect(judge(cast.guarded, intent, policyFile('lending-guardian.json'))).resolves.toBeUndefined()
})

test("allows the liquidator's liquidation under its policy", async () => {
  await expect(judge(cast.liquidator, liquidate, policyFile('liquidator.json'))).resolves.toBeUndefined()
})

test.each([
  supply,
  repay,
  deleverage,
  { kind: 'withdraw', asset: weth, amount: parseEther('1') },
  { kind: 'borrow', asset: usdc, amount },
  { kind: 'swap', tokenIn: usdc, tokenOut: weth, pool, amountIn: amount, minAmountOut: 1n },
  { kind: 'transfer', asset: usdc, to: FRIEND, amount },
])('allows a $kind as the encoders make it', async (intent) => {
  await expect(judge(cast.guarded, intent, policyOf())).resolves.toBeUndefined()
})

test.each([deleverage, liquidate])('refuses a $kind under a policy that allows none', async (intent) => {
  const policy = intent.kind === 'liquidate' ? policyOf() : policyFile('liquidator.json')
  await expect(judge(cast.guarded, intent, policy)).rejects.toMatchObject({ code: 'PLAN_REFUSED' })
})
