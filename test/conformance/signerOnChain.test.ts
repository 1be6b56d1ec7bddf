import { type Address, hexToBigInt, parseEther, parseGwei, parseUnits } from 'viem'
import { describe, expect, test } from 'vitest'
import { createChain } from '../../infra/chain/createChain.ts'
import { fundAccounts } from '../../infra/world/fundAccounts.ts'
import { testWorld } from '../../infra/world/testWorld.ts'
import type { IntentId } from '../../runtime/core/ids.ts'
import type { Call, Plan } from '../../runtime/core/lifecycle.ts'
import { tokenAmount, wad, wei } from '../../runtime/core/units.ts'
import { encodeBorrow, encodeSupply } from '../../runtime/protocols/aave-v3/encode.ts'
import { reserveOf, rialtoOf } from '../../runtime/protocols/book.ts'
import { encodeApprove } from '../../runtime/protocols/erc20/encode.ts'
import {
  encodeMinBalance,
  encodeMinHealthFactor,
  encodeNotAfter,
  encodeZeroAllowance,
} from '../../runtime/protocols/rialto/encode.ts'
import { memorySigner } from '../twins/memorySigner.ts'
import { policy, requestOf } from './signerFixture.ts'

const world = await testWorld({ automine: false })
const { addressBook: book } = world
const chain = await createChain({ rpcUrl: world.url, chainId: world.chainId, multicall3: book.multicall3 })
const signer = memorySigner({
  book,
  accounts: [{ label: 'owner', key: { kind: 'derived', seed: 'on-chain' }, policies: [policy] }],
})
const [account] = (await signer.accounts()) as [Address]

const WETH = book.wrappedNative
const { pool } = book.aaveV3
const { assert, batchAccount } = rialtoOf(book)
const { aToken } = reserveOf(book, WETH)
const TEN = tokenAmount(parseEther('10'))

async function planOf(intentId: string, delegateTo: Address | null, calls: readonly Call[]): Promise<Plan> {
  const head = await chain.head()
  return {
    intentId: intentId as IntentId,
    chainId: world.chainId,
    account,
    calls: [...calls, encodeNotAfter(assert, head.number + 3n)],
    delegateTo,
    gasLimit: 1_000_000n,
    maxFeePerGas: wei(parseGwei('90')),
    maxPriorityFeePerGas: wei(0n),
    block: { number: head.number, hash: head.hash },
    lastValidBlock: head.number + 3n,
    policyVersion: policy.version,
  }
}

describe('what the signer signs', () => {
  test('is mined as one atomic transaction, delegates on the way, and uses the nonces it says', async () => {
    await fundAccounts(world, [{ account, eth: wei(parseEther('5')), weth: TEN }])
    const supply = await planOf('supply', batchAccount, [
      encodeApprove(WETH, pool, TEN),
      encodeSupply(pool, WETH, TEN, account),
      encodeMinBalance(assert, aToken, account, tokenAmount(TEN - 1n)),
      encodeZeroAllowance(assert, WETH, account, pool),
    ])
    const first = await signer.sign(requestOf(supply, { nonce: 0n }))
    expect(await chain.sendRaw(first.raw)).toBe(first.hash)
    await world.client.mine({ blocks: 1 })
    const receipt = await chain.receipt(first.hash)
    expect(receipt?.status).toBe('success')
    // A stale authorisation succeeds too, and emits nothing.
    expect(receipt?.logs.length).toBeGreaterThan(3)
    const { hash } = await chain.head()
    expect(await chain.nonce(account, hash)).toBe(BigInt(first.noncesUsed))
    expect(await chain.code(account, hash)).toBe(`0xef0100${batchAccount.slice(2).toLowerCase()}`)

    const dollars = tokenAmount(parseUnits('1000', 6))
    const usdc = book.tokens.find(({ symbol }) => symbol === 'USDC')?.address as Address
    const borrow = await planOf('borrow', null, [
      encodeBorrow(pool, usdc, dollars, account),
      encodeMinHealthFactor(assert, pool, account, wad(125n * 10n ** 16n)),
    ])
    const second = await signer.sign(requestOf(borrow, { nonce: 2n }))
    await chain.sendRaw(second.raw)
    await world.client.mine({ blocks: 1 })
    expect((await chain.receipt(second.hash))?.status).toBe('success')
    expect(await chain.nonce(account, (await chain.head()).hash)).toBe(3n)
    const data = `0x70a08231${account.slice(2).toLowerCase().padStart(64, '0')}` as const
    const [balance] = await chain.read([{ target: usdc, data }], (await chain.head()).hash)
    expect(hexToBigInt(balance?.data ?? '0x')).toBe(dollars)
  })

  test('reverts on-chain, and says why, when what it asserts does not hold', async () => {
    const usdc = book.tokens.find(({ symbol }) => symbol === 'USDC')?.address as Address
    const greedy = await planOf('greedy', null, [
      encodeBorrow(pool, usdc, tokenAmount(parseUnits('1000', 6)), account),
      encodeMinHealthFactor(assert, pool, account, wad(100n * 10n ** 18n)),
    ])
    const { raw, hash } = await signer.sign(requestOf(greedy, { nonce: 3n }))
    await chain.sendRaw(raw)
    await world.client.mine({ blocks: 1 })
    expect((await chain.receipt(hash))?.status).toBe('reverted')
    expect(await chain.revertReason(hash)).toMatch(
      new RegExp(
        `^HealthFactorTooLow\\(account: ${account}, actual: \\d+, minimum: 100000000000000000000\\)$`,
      ),
    )
  })
})
