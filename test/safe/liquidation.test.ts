import { type Address, type Hex, maxUint256, parseEther, parseUnits } from 'viem'
import { beforeAll, describe, expect, it } from 'vitest'
import { openStateReader } from '../../infra/chain/stateReader.ts'
import { explainRisk } from '../../infra/safe/explainRisk.ts'
import { readHoldings } from '../../infra/safe/readHoldings.ts'
import { worldAccounts } from '../../infra/world/accounts.ts'
import { openPositions } from '../../infra/world/openPositions.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { tokenAmount, wei } from '../../runtime/core/units.ts'
import { aavePoolReadsAbi } from '../../runtime/protocols/aave-v3/abi.ts'
import {
  encodeBorrow,
  encodeLiquidationCall,
  encodeWithdraw,
} from '../../runtime/protocols/aave-v3/encode.ts'
import { encodeApprove } from '../../runtime/protocols/erc20/encode.ts'
import { attempt, attemptBatch } from './asMember.ts'
import { safeScene, sceneContracts, wholePolicy } from './safeScene.ts'

const scene = await safeScene()
const { world, account, agent: thief } = scene
const { client } = world
const { weth, usdc, pool } = sceneContracts(world)
const { safe } = account
const dollars = (text: string) => tokenAmount(parseUnits(text, 6))
/** The thief's other account, with all the money that it takes. */
const accomplice = worldAccounts.arbitrageur

/** A policy under which nothing can be swapped or sent, but the position be weakened. */
const policy = wholePolicy({
  intents: ['withdraw', 'borrow'],
  contracts: {
    'aave-v3.pool': ['withdraw', 'borrow'],
    'rialto.assert': ['minHealthFactor', 'minBalance', 'notAfter'],
  },
  recipients: [],
  allowances: { WETH: '20', USDC: '30000', native: '1' },
})
const role = scene.role(policy)

const holdings = async () =>
  readHoldings(await openStateReader(scene.rpc), world.addressBook, safe, thief.address)
const health = async (): Promise<bigint> =>
  (
    await client.readContract({
      address: pool,
      abi: aavePoolReadsAbi,
      functionName: 'getUserAccountData',
      args: [safe],
    })
  )[5]
const send = async (to: Address, data: Hex) => expect(await attempt(scene, accomplice, to, data)).toBe('done')

beforeAll(async () => {
  await openPositions(world, [
    {
      ...{ account: safe, collateral: tokenAmount(parseEther('40')), debt: dollars('40000') },
      ...{ walletUsdc: dollars('0'), walletEth: wei(0n) },
    },
  ])
  await scene.apply(role)
})

describe('a thief who can only weaken the position', () => {
  it('can have it liquidated, and take no more by that than was stated', async () => {
    const { thief: stated } = explainRisk({ account: safe, policy, role, holdings: await holdings() })
    if (stated.holds !== 'role' || stated.most === null) throw new InvariantError('It was stated.')
    expect(stated.tokens).toEqual([])
    const before = await holdings()

    // As near to liquidation as Aave lets anybody go, and then a day's interest does the rest.
    const threshold = 8_250n
    const most = (before.collateral * threshold) / 10_000n - before.debt
    const borrowed = tokenAmount((most * 999_999n) / 1_000_000n / 100n)
    const refused = await attemptBatch(scene, thief, [encodeBorrow(pool, usdc, borrowed, safe)])
    // What may be borrowed is less than what makes a position liquidable: the rest goes by withdrawing.
    expect(refused).toBe('ModuleTransactionFailed')
    const borrowable = tokenAmount((before.borrowable * 999n) / 1_000n / 100n)
    expect(await attemptBatch(scene, thief, [encodeBorrow(pool, usdc, borrowable, safe)])).toBe('done')
    for (let step = parseEther('1'); step > parseEther('0.000001'); step /= 2n)
      while (
        (await attemptBatch(scene, thief, [encodeWithdraw(pool, weth, tokenAmount(step), safe)])) === 'done'
      );
    const weakened = await health()
    expect(weakened).toBeGreaterThanOrEqual(parseEther('1'))
    expect(weakened).toBeLessThan(parseEther('1.00001'))
    const { timestamp } = await client.getBlock()
    await client.setNextBlockTimestamp({ timestamp: timestamp + 80_000n })
    await client.mine({ blocks: 1 })
    expect(await health()).toBeLessThan(parseEther('1'))

    await send(usdc, encodeApprove(usdc, pool, tokenAmount(maxUint256)).data)
    const { debt } = await holdings()
    const half = tokenAmount(debt / 2n / 100n)
    await send(pool, encodeLiquidationCall(pool, weth, usdc, safe, half).data)
    const after = await holdings()
    const interest = debt - before.debt - BigInt(borrowable) * 100n
    const lost = before.equity - after.equity
    expect(lost).toBeGreaterThan(interest)
    expect(lost - interest).toBeLessThanOrEqual(stated.most)
    expect(lost).toBeGreaterThan(stated.most / 4n)
  })
})
