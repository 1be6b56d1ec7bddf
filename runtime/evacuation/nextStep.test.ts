import fc from 'fast-check'
import { getAddress } from 'viem'
import { describe, expect, it } from 'vitest'
import type { Snapshot } from '../core/snapshot.ts'
import { tokenAmount, usd, wei } from '../core/units.ts'
import { evacuationPolicy } from '../guards/evacuation.ts'
import {
  at,
  book,
  dollars,
  ether,
  owner,
  policy,
  snapshot,
  usdc,
  usdcs,
  weth,
} from '../guards/guardScene.fixture.ts'
import { type EvacuationScene, isOfValue, nextStep, type Remainder } from './nextStep.ts'

const destination = getAddress(at(0xf00d))
const evacuation = evacuationPolicy(policy, book, destination)

/** The guards' scene with other holdings: supplied WETH, owed USDC, and the wallet. No pool gives anything there. */
function sceneOf(
  { supplied = 0n, owed = 0n, wallet = { weth: 0n, usdc: 0n } },
  changes: Partial<EvacuationScene> = {},
): EvacuationScene {
  const [position] = snapshot.positions
  if (position === undefined) throw new TypeError('the scene has a position')
  const reserves = [
    { asset: weth, scaledATokenBalance: supplied, scaledVariableDebt: 0n, usedAsCollateral: supplied > 0n },
    { asset: usdc, scaledATokenBalance: 0n, scaledVariableDebt: owed, usedAsCollateral: false },
  ]
  const changed: Snapshot = {
    ...snapshot,
    wallet: {
      ...snapshot.wallet,
      tokens: [
        { token: weth, balance: tokenAmount(wallet.weth) },
        { token: usdc, balance: tokenAmount(wallet.usdc) },
      ],
    },
    positions: [{ ...position, user: owner, reserves }],
    pools: [],
  }
  return {
    snapshot: changed,
    allowances: [],
    policy: evacuation,
    wrappedNative: book.wrappedNative,
    blockSeconds: 12n,
    ...changes,
  }
}

const kindOf = (scene: EvacuationScene) => nextStep(scene).action?.kind ?? null
const standing = { token: weth, spender: at(0xbad), amount: tokenAmount(5n) }

describe('the next step', () => {
  it('repays from the wallet first, and more than is owed now: interest accrues until it is mined', () => {
    const scene = sceneOf(
      { supplied: ether('40'), owed: usdcs('1000'), wallet: { weth: 0n, usdc: usdcs('5000') } },
      { allowances: [standing] },
    )
    const { action } = nextStep(scene)
    expect(action).toMatchObject({ kind: 'repay', asset: usdc })
    expect(action?.kind === 'repay' && action.amount).toBeGreaterThan(usdcs('1000'))
  })

  it('revokes before it brings anything into the wallet', () => {
    const scene = sceneOf({ supplied: ether('4') }, { allowances: [standing] })
    expect(nextStep(scene).action).toMatchObject({ kind: 'revoke', asset: weth, spender: standing.spender })
    expect(kindOf({ ...scene, allowances: [] })).toBe('withdraw')
  })

  it('takes back credit that was delegated, and says whose and how much', () => {
    const debtToken = book.aaveV3.reserves[0]?.variableDebtToken ?? weth
    const scene = sceneOf(
      {},
      { allowances: [{ token: debtToken, spender: at(0xbad), amount: tokenAmount(5n) }] },
    )
    const step = nextStep(scene)
    expect(step.action).toMatchObject({ kind: 'revoke', asset: debtToken, spender: at(0xbad) })
    expect('reason' in step && step.reason).toMatch(/0x0+Bad may borrow of \w+ in its name \(0\.\d+ \w+\)/)
  })

  it('brings nothing into the reach of those who are still looked for', () => {
    const scene = sceneOf({ supplied: ether('4') }, { isSearching: true })
    const { action, ...rest } = nextStep(scene)
    expect(action).toBeNull()
    expect('remains' in rest && rest.remains[0]).toMatchObject({
      what: 'collateral',
      why: expect.stringMatching(/looked for/),
    })
    expect(kindOf({ ...scene, isSearching: false })).toBe('withdraw')
    // What is in the wallet is in their reach already.
    const inWallet = sceneOf({ wallet: { weth: ether('1'), usdc: 0n } }, { isSearching: true })
    expect(kindOf(inWallet)).toBe('transfer')
  })

  it('goes on past what the chain does not let be taken back, and names it as of value', () => {
    const unrevokable = [{ token: weth, spender: standing.spender, why: 'paused' }]
    const scene = sceneOf({ supplied: ether('4') }, { allowances: [standing], unrevokable })
    expect(kindOf(scene)).toBe('withdraw')
    const { action, ...rest } = nextStep(sceneOf({}, { allowances: [standing], unrevokable }))
    expect(action).toBeNull()
    const remains = 'remains' in rest ? rest.remains : []
    expect(remains[0]).toMatchObject({ what: 'allowance', token: weth, why: expect.stringMatching(/paused/) })
    expect(remains.map(isOfValue)).toEqual([true, false])
  })

  it('withdraws and sends nothing where nobody is named to send it to', () => {
    const policyOfSafe = { ...evacuation, recipients: [] }
    expect(kindOf(sceneOf({ supplied: ether('4') }, { policy: policyOfSafe }))).toBe('withdraw')
    expect(kindOf(sceneOf({ wallet: { weth: ether('1'), usdc: 0n } }, { policy: policyOfSafe }))).toBeNull()
  })

  it('withdraws no more than the reserve holds, and says why what is lent out stays', () => {
    const scene = sceneOf({ supplied: ether('4') })
    const lent = (availableLiquidity: bigint): EvacuationScene => ({
      ...scene,
      snapshot: {
        ...scene.snapshot,
        reserves: scene.snapshot.reserves.map((reserve) =>
          reserve.asset === weth
            ? { ...reserve, availableLiquidity: tokenAmount(availableLiquidity) }
            : reserve,
        ),
      },
    })
    expect(nextStep(lent(ether('1'))).action).toMatchObject({ kind: 'withdraw', amount: ether('1') })
    const { action, ...rest } = nextStep(lent(0n))
    expect(action).toBeNull()
    expect('remains' in rest && rest.remains[0]).toMatchObject({
      what: 'collateral',
      why: expect.stringMatching(/lent out/),
    })
  })

  it('transfers all of a token to the destination', () => {
    expect(nextStep(sceneOf({ wallet: { weth: ether('2'), usdc: 0n } })).action).toMatchObject({
      kind: 'transfer',
      to: destination,
      amount: ether('2'),
    })
  })

  it('leaves a debt that no pool repays, and the collateral that secures it, and says so', () => {
    const { action, ...rest } = nextStep(sceneOf({ supplied: ether('40'), owed: usdcs('1000') }))
    expect(action).toBeNull()
    const remains = 'remains' in rest ? rest.remains : []
    expect(remains.map(({ what }) => what)).toEqual(['debt', 'collateral', 'native'])
    expect(remains.map(isOfValue)).toEqual([true, true, false])
  })

  it('counts what nobody can value as of value, and dust as none', () => {
    const one = (worth: Remainder['worth']): Remainder => ({
      what: 'wallet',
      token: weth,
      amount: 1n,
      worth,
      why: 'a test',
    })
    expect(isOfValue(one(null))).toBe(true)
    expect(isOfValue(one(dollars('1')))).toBe(true)
    expect(isOfValue(one(usd(dollars('1') - 1n)))).toBe(false)
  })
})

const amount = (max: bigint) => fc.oneof(fc.constant(0n), fc.bigInt({ min: 0n, max }))
const holdings = fc.record({
  supplied: amount(ether('100')),
  owed: amount(usdcs('100000')),
  wallet: fc.record({ weth: amount(ether('50')), usdc: amount(usdcs('100000')) }),
})

describe('whatever an account holds', () => {
  it('is sent to nobody but the destination, and never opened further', () => {
    fc.assert(
      fc.property(holdings, fc.boolean(), (held, isApproved) => {
        const { action } = nextStep(sceneOf(held, { allowances: isApproved ? [standing] : [] }))
        if (action === null) return
        expect(['repay', 'deleverage', 'revoke', 'withdraw', 'transfer']).toContain(action.kind)
        if (action.kind === 'transfer') expect(action.to).toBe(destination)
        if (action.kind === 'withdraw') expect(held.owed).toBe(0n)
        if (isApproved) expect(['withdraw', 'transfer']).not.toContain(action.kind)
      }),
    )
  })

  it('is moved or named: nothing of value stays without a reason', () => {
    fc.assert(
      fc.property(holdings, fc.bigInt({ min: 0n, max: 400n * 10n ** 9n }), (held, baseFee) => {
        const scene = sceneOf(held)
        const block = { ...scene.snapshot.block, baseFeePerGas: wei(baseFee) }
        const step = nextStep({ ...scene, snapshot: { ...scene.snapshot, block } })
        if (step.action !== null) return
        const named = (what: Remainder['what']) => step.remains.some((one) => one.what === what)
        expect(named('debt')).toBe(held.owed > 0n)
        expect(named('collateral')).toBe(held.supplied > 0n)
        expect(named('wallet')).toBe(held.wallet.weth > 0n || held.wallet.usdc > 0n)
        for (const { why } of step.remains) expect(why).not.toBe('')
      }),
    )
  })
})
