import { type Abi, encodeFunctionData, type Hex, parseAbi, parseUnits } from 'viem'
import { beforeAll, describe, expect, it } from 'vitest'
import { checkRole } from '../../infra/safe/checkRole.ts'
import { explainRisk } from '../../infra/safe/explainRisk.ts'
import { addressOf, worldAccounts } from '../../infra/world/accounts.ts'
import { createActors } from '../../infra/world/actors.ts'
import { openPositions } from '../../infra/world/openPositions.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { tokenAmount, usd, wei } from '../../runtime/core/units.ts'
import { protectorPolicy } from '../../runtime/guards/protector.ts'
import { aavePoolReadsAbi } from '../../runtime/protocols/aave-v3/abi.ts'
import { attempt, attemptBatch, type Packed } from './asMember.ts'
import { attackedSafe, ONE } from './attack.fixture.ts'
import { roleKeyOf } from './deploySafe.ts'
import { wholePolicy } from './safeScene.ts'

// Two members of one modifier: the agent under a role that allows everything, its protector under one for rescues.

const DAY = 86_400n
const quoterAbi = parseAbi([
  'struct In { address tokenIn; address tokenOut; uint256 amountIn; uint24 fee; uint160 sqrtPriceLimitX96; }',
  'function quoteExactInputSingle(In params) returns (uint256 amount, uint160 sqrtPriceX96After, uint32 initializedTicksCrossed, uint256 gasEstimate)',
])

const { scene, thief: agent, accomplice, at, calls: make, holdingsOf } = await attackedSafe()
const { world, account, protector } = scene
const { client, addressBook: book } = world
const { safe, modifier } = account
const { weth, usdc, wethReserve, pool, router, rialto } = at
const policy = wholePolicy({
  protector: { rollingUsd: '1500', allowances: { WETH: '3', USDC: '4000', native: '1' } },
})
const [role, second] = [scene.role(policy), scene.protectorRole(policy)]
const roleKey = roleKeyOf('guardian-protector')
const stranger = addressOf('treasury')

/** As the agent, and as the protector: each in its role. */
const asAgent = (calls: readonly Packed[]) => attemptBatch(scene, agent, calls)
const asProtector = (calls: readonly Packed[]) =>
  attemptBatch({ ...scene, account: { ...account, roleKey } }, protector, calls)
const linesOf = async () => (await scene.check(role, second)).differences.map(({ line }) => line)

beforeAll(async () => {
  await openPositions(world, [
    {
      ...{ account: safe, collateral: tokenAmount(30n * ONE), debt: tokenAmount(parseUnits('20000', 6)) },
      ...{ walletUsdc: tokenAmount(0n), walletEth: wei(0n) },
    },
  ])
})

describe('the role of a protector, on the modifier of the agent’s', () => {
  it('is missing where the agent’s alone was applied, and made by one transaction with it', async () => {
    const missing = await linesOf()
    expect(missing.filter((line) => line.startsWith("The protector's role: ")).length).toBeGreaterThan(10)
    expect(missing).toContain(`The protector's role: ${protector.address} is no member of the role`)
    const hash = await scene.apply(role, second)
    expect(await linesOf()).toEqual([])
    // EIP-7825: no transaction has more gas than this.
    expect((await client.getTransactionReceipt({ hash })).gasUsed).toBeLessThan(2n ** 24n)
  })

  const owner = parseAbi([
    'function allowTarget(bytes32, address, uint8)',
    'function allowFunction(bytes32, address, bytes4, uint8)',
    'function setAllowance(bytes32, uint128, uint128, uint128, uint64, uint64)',
    'function assignRoles(address, bytes32[], bool[])',
  ])
  const sets = (functionName: string, ...args: readonly unknown[]): Hex =>
    encodeFunctionData({ abi: owner as Abi, functionName, args })
  const moves = second.allowances.find(({ kind, token }) => kind === 'moves' && token.symbol === 'WETH')

  it.each<[string, Hex, readonly string[]]>([
    [
      'a withdrawal',
      sets('allowFunction', roleKey, pool, '0x69328dec', 0),
      ['0x69328dec of aave-v3.pool may be called, which the policy does not say'],
    ],
    [
      'another contract',
      sets('allowTarget', roleKey, router, 3),
      ['uniswap-v3.router may be called with anything, which the policy does not say'],
    ],
    [
      'a higher reserve',
      sets('setAllowance', moves?.key, ONE, 9n * ONE, 9n * ONE, DAY, 0n),
      ['The moves of WETH are 9 WETH every 24 h, up to 9 WETH, with 1 WETH left, not 3 WETH every 24 h'],
    ],
    [
      'another member',
      sets('assignRoles', stranger, [roleKey], [true]),
      [`${stranger} is a member of the role`],
    ],
    [
      'no member',
      sets('assignRoles', protector.address, [roleKey], [false]),
      [`${protector.address} is no member of the role`],
    ],
  ])('differs by %s, and is mended', async (_what, data, lines) => {
    const snapshot = await client.snapshot()
    await scene.asSafe(modifier, data)
    expect(await linesOf()).toEqual(lines.map((line) => `The protector's role: ${line}`))
    await scene.apply(role, second)
    expect(await linesOf()).toEqual([])
    await client.revert({ id: snapshot })
  })

  it('has no member who is in the other, and takes one out once', async () => {
    const snapshot = await client.snapshot()
    await scene.asSafe(modifier, sets('assignRoles', agent.address, [roleKey], [true]))
    expect(await linesOf()).toEqual([
      expect.stringContaining(`${agent.address} is also a member of the role`),
    ])
    await scene.apply(role, second)
    expect(await linesOf()).toEqual([])
    await client.revert({ id: snapshot })
  })

  it('leaves nobody in a role that the configuration no longer names', async () => {
    const snapshot = await client.snapshot()
    const renamed = (of: typeof role, name: string) => ({
      ...of,
      account: { ...of.account, roleKey: roleKeyOf(name), sender: stranger },
    })
    const rotated = renamed(second, 'guardian-rescue')
    const { differences } = await scene.check(role, rotated)
    const found = differences.filter(({ code }) => code === 'OTHER_ROLE')
    expect(found.map(({ line }) => line)).toEqual([
      `${protector.address} is a member of the role ${roleKey} of the same modifier, which the configuration does not name`,
    ])
    const rescue = [make.approve(wethReserve.aToken, rialto.flashRepay, 1n)]
    expect(await asProtector(rescue)).toBe('done')
    await scene.apply(role, rotated)
    expect((await scene.check(role, rotated)).differences).toEqual([])
    expect(await asProtector(rescue)).toBe('NoMembership')
    // Whoever was put out of the agent's role stays in no other that nobody names.
    await scene.asSafe(modifier, sets('assignRoles', agent.address, [roleKey], [true]))
    const replaced = { ...role, account: { ...account, sender: accomplice.address } }
    await scene.apply(replaced, rotated)
    expect(await attemptBatch({ ...scene, account: { ...account, roleKey } }, agent, rescue)).toBe(
      'NoMembership',
    )
    const another = { rpc: scene.rpc, role: replaced, protector: rotated, book }
    await scene.asSafe(modifier, sets('assignRoles', agent.address, [roleKey], [true]))
    expect((await checkRole(another)).differences).toHaveLength(1)
    expect((await checkRole({ ...another, otherRoles: [roleKey] })).differences).toEqual([])
    await client.revert({ id: snapshot })
  })

  it('has nobody in it where nothing is reserved', async () => {
    const snapshot = await client.snapshot()
    const none = scene.protectorRole(wholePolicy({ protector: 'none' }))
    const { differences } = await scene.check(role, none)
    expect(differences.map(({ line }) => line)).toContain(
      `The protector's role: ${protector.address} is a member of the role`,
    )
    await scene.apply(role, none)
    expect((await scene.check(role, none)).differences).toEqual([])
    expect(await asProtector([make.approve(wethReserve.aToken, rialto.flashRepay, 1n)])).toMatch(
      /NotAuthorized|NoMembership/,
    )
    await client.revert({ id: snapshot })
  })
})

/** What it takes to sell collateral for debt, by whoever does it. */
const rescueBy = (repayAmount: bigint, maxCollateral: bigint): readonly Packed[] => [
  make.approve(wethReserve.aToken, rialto.flashRepay, maxCollateral),
  make.rescue({ repayAmount, maxCollateral }),
]

describe('with the key of the protector', () => {
  it.each<[string, readonly Packed[], string]>([
    ['borrows', [make.toPool('borrow', [usdc, 1n, 2n, 0, safe])], 'FunctionNotAllowed'],
    ['withdraws', [make.toPool('withdraw', [weth, 1n, safe])], 'FunctionNotAllowed'],
    ['swaps', [make.swap(weth, usdc, 1n)], 'TargetAddressNotAllowed'],
    ['sends tokens', [make.transfer(weth, worldAccounts.treasury.address, 1n)], 'FunctionNotAllowed'],
    ['approves the router', [make.approve(weth, router, 1n)], 'ParameterNotAllowed'],
    ['liquidates', [make.toPool('liquidationCall', [weth, usdc, stranger, 1n, false])], 'FunctionNotAllowed'],
    ['supplies for another', [make.toPool('supply', [weth, 1n, stranger, 0])], 'OrViolation'],
    [
      'rescues with more than is reserved',
      [make.rescue({ maxCollateral: 3n * ONE + 1n })],
      'ParameterNotAllowed',
    ],
  ])('%s: refused', async (_what, calls, refusal) => {
    expect(await asProtector(calls)).toMatch(new RegExp(`${refusal}|OrViolation|AllowanceExceeded`))
  })

  it('acts in the agent’s role, or the agent in its: refused', async () => {
    expect(await attemptBatch(scene, protector, rescueBy(1n, ONE))).toBe('NoMembership')
    const inIts = { ...scene, account: { ...account, roleKey } }
    expect(await attemptBatch(inIts, agent, rescueBy(1n, ONE))).toBe('NoMembership')
  })
})

const equity = async () => (await holdingsOf(safe)).equity
const health = async () => {
  const args = [safe] as const
  const abi = aavePoolReadsAbi
  return (await client.readContract({ address: pool, abi, functionName: 'getUserAccountData', args }))[5]
}

describe('the budgets of both', () => {
  it('are apart: the protector rescues when the agent has used up everything that it may', async () => {
    const snapshot = await client.snapshot()
    for (const token of [weth, usdc]) {
      const most = token === weth ? 2n * ONE : parseUnits('5000', 6)
      const supply = [make.approve(token, pool, most), make.toPool('supply', [token, most, safe, 0])]
      expect(await asAgent(supply)).toBe('done')
    }
    expect(await asAgent(rescueBy(1n, ONE))).toMatch(/OrViolation|AllowanceExceeded/)
    const before = await health()
    expect(await asProtector(rescueBy(parseUnits('2000', 6), 2n * ONE))).toBe('done')
    expect(await health()).toBeGreaterThan(before)
    await client.revert({ id: snapshot })
    expect(await asProtector(rescueBy(parseUnits('2000', 6), 3n * ONE))).toBe('done')
    expect(await asProtector(rescueBy(1n, 1n))).toMatch(/OrViolation|AllowanceExceeded/)
    expect(await asAgent(rescueBy(parseUnits('1000', 6), ONE))).toBe('done')
  })

  it('are what thieves of the keys can take: of each, and of both', async () => {
    const derived = protectorPolicy(policy)
    if (derived === null) throw new InvariantError('Something is reserved.')
    const holdings = await holdingsOf(safe)
    const { protector: said } = explainRisk({
      ...{ account: safe, policy, role, holdings },
      protector: { role: second, policy: derived, gas: null },
    })
    if (said?.thief.most == null || said.both === null) throw new InvariantError('It was stated.')
    const { allowances, block } = await scene
      .check(role, second)
      .then(({ protector: state }) => state ?? expect.unreachable())
    const [first] = [...allowances.values()]
    if (first === undefined) throw new InvariantError('There are allowances.')
    // From the next window on, so that all are full.
    const next = first.timestamp + first.period * ((block.timestamp - first.timestamp) / first.period + 1n)
    await client.setNextBlockTimestamp({ timestamp: next + DAY / 2n })
    await client.mine({ blocks: 1 })
    await renewPrices()

    /** A rescue at a price that the accomplice has made, for as much as it takes. */
    const rob = async (by: typeof asAgent, maximum: bigint) => {
      const data = make.swapData(weth, usdc, 200_000n * ONE, accomplice.address)
      expect(await attempt(scene, accomplice, router, data)).toBe('done')
      const { result } = await client.simulateContract({
        ...{ address: book.uniswapV3.quoter, abi: quoterAbi, functionName: 'quoteExactInputSingle' },
        args: [
          {
            ...{ tokenIn: weth, tokenOut: usdc, fee: 500, sqrtPriceLimitX96: 0n },
            amountIn: (maximum * 99n) / 100n,
          },
        ],
      })
      const [bought] = result
      return by(rescueBy(bought, maximum))
    }
    const before = await equity()
    expect(await rob(asProtector, 3n * ONE)).toBe('done')
    expect(await rob(asProtector, ONE / 10n)).toMatch(/OrViolation|AllowanceExceeded/)
    await client.setNextBlockTimestamp({ timestamp: next + DAY })
    await client.mine({ blocks: 1 })
    await renewPrices()
    expect(await rob(asProtector, 3n * ONE)).toBe('done')
    const lost = before - (await equity())
    expect(lost).toBeLessThanOrEqual(said.thief.most)
    expect(lost).toBeGreaterThan((said.thief.tokensPerDay ?? usd(0n)) / 2n)
    expect(await rob(asAgent, 2n * ONE)).toBe('done')
    const together = before - (await equity())
    expect(together).toBeGreaterThan(lost)
    expect(together).toBeLessThanOrEqual(said.both)
  })
})

/** The oracle's answer would be too old after a day. */
async function renewPrices(): Promise<void> {
  await createActors(world).pushPrice(usd(2_000n * 10n ** 8n))
}
