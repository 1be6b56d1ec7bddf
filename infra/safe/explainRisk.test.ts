import { parseEther, parseUnits } from 'viem'
import { describe, expect, it } from 'vitest'
import { InvariantError } from '../../runtime/core/errors.ts'
import { bps, tokenAmount, usd, wei } from '../../runtime/core/units.ts'
import { book, policyFile, snapshot } from '../../runtime/guards/guardScene.fixture.ts'
import { type PolicyFile, parsePolicy } from '../../runtime/guards/policy.ts'
import { protectorPolicy } from '../../runtime/guards/protector.ts'
import { money } from '../cli/money.ts'
import { compileProtectorRole, compileRole } from './compileRole.ts'
import { describeRisk, riskToJson } from './describeRisk.ts'
import { explainRisk } from './explainRisk.ts'
import type { Holdings } from './readHoldings.ts'
import type { SafeAccount } from './role.ts'

const safe = '0x00000000000000000000000000000000000000A1'
const account: SafeAccount = {
  safe,
  modifier: '0x00000000000000000000000000000000000000a2',
  multiSend: '0xA83c336B20401Af773B6219BA5027174338D1836',
  roleKey: `0x${'11'.repeat(32)}`,
  sender: null,
}
const dollars = (text: string) => usd(parseUnits(text, 8))
const [weth, usdc] = ['WETH', 'USDC'].map((symbol) => {
  const token = book.tokens.find((each) => each.symbol === symbol)
  if (token === undefined) throw new InvariantError('The book has both tokens.')
  return token
}) as [(typeof book.tokens)[number], (typeof book.tokens)[number]]

const holdings = (changes: Partial<Holdings> = {}): Holdings => ({
  block: snapshot.block,
  tokens: [
    { token: weth, wallet: tokenAmount(0n), price: dollars('2000') },
    { token: usdc, wallet: tokenAmount(0n), price: dollars('1') },
  ],
  collateral: dollars('80000'),
  debt: dollars('40000'),
  borrowable: dollars('24000'),
  equity: dollars('1000000'),
  liquidationPenalty: bps(500n),
  gas: wei(parseEther('1.5')),
  ...changes,
})

const explain = (changes: Partial<PolicyFile>, held: Holdings | null = holdings()) => {
  const policy = parsePolicy({
    ...policyFile,
    allowances: { WETH: '2', USDC: '5000', native: '1' },
    recipients: [],
    ...changes,
  })
  const risk = explainRisk({
    account: safe,
    policy,
    role: compileRole(policy, book, account),
    holdings: held,
  })
  if (risk.thief.holds !== 'role') throw new InvariantError('There is a role.')
  return { risk, thief: risk.thief }
}
const ways = (thief: ReturnType<typeof explain>['thief']) =>
  Object.fromEntries(thief.tokens.map((each) => [each.token.symbol, each.ways]))

describe('the most that a thief of a role can take', () => {
  it('is every allowance that a swap draws on, twice within a day: it may be full just before and after', () => {
    const { thief } = explain({ intents: ['swap'] })
    expect(ways(thief)).toEqual({ WETH: ['swap'], USDC: ['swap'] })
    expect(thief.tokens.map(({ perDay }) => perDay)).toEqual([10_000_000_000n, parseEther('4')])
    expect(thief).toMatchObject({ fillsPerDay: 2, canBeLiquidated: false, penalty: null })
    expect(thief.most).toBe(dollars('18000'))
  })

  it.each([
    [3_600, 25],
    [50_000, 3],
    [86_400, 2],
    [604_800, 2],
  ])('with a window of %i seconds is full %i times within a day', (windowSeconds, fills) => {
    const { thief } = explain({ intents: ['swap'], spend: { ...policyFile.spend, windowSeconds } })
    expect(thief.fillsPerDay).toBe(fills)
  })

  it('is nothing where tokens can only be supplied, repaid and taken back without a debt', () => {
    const { thief, risk } = explain({ intents: ['supply', 'repay'] })
    expect(thief).toMatchObject({ tokens: [], borrows: [], most: 0n, canBeLiquidated: false })
    expect(describeRisk('guardian', risk, money).join('\n')).toContain('nothing: no function of the role')
  })

  it('includes liquidations of all that is owed and could be, where the position can be weakened', () => {
    expect(explain({ intents: ['supply', 'withdraw'] }).thief.penalty).toBe(dollars('2000'))
    // 40,000 that are owed, and twice 2 WETH and 5,000 USDC more.
    expect(explain({ intents: ['supply', 'borrow'] }).thief.penalty).toBe(dollars('2900'))
    const small = holdings({ collateral: dollars('42000') })
    expect(explain({ intents: ['borrow'] }, small).thief.penalty).toBe(dollars('2100'))
  })

  it('is never more than all there is', () => {
    const { thief, risk } = explain({ intents: ['swap'] }, holdings({ equity: dollars('700') }))
    expect(thief.most).toBe(dollars('700'))
    expect(describeRisk('guardian', risk, money).join('\n')).toContain('no more than all there is: $700.00')
  })

  it('is not said in dollars where a token has no price, or nobody was asked', () => {
    const [first, second] = holdings().tokens
    const tokens = [{ ...first, price: null }, second] as Holdings['tokens']
    expect(explain({ intents: ['swap'] }, holdings({ tokens })).thief.most).toBeNull()
    const { thief, risk } = explain({ intents: ['swap'] }, null)
    expect(thief).toMatchObject({ most: null, equity: null, gas: null, tokensPerDay: null })
    expect(describeRisk('guardian', risk, money).join('\n')).toMatch(
      /at most:\n.*10000 USDC: 5000 USDC every 24 h/,
    )
  })

  it('names every way: rescues at any price, liquidations of others, transfers', () => {
    const { thief } = explain({
      intents: ['deleverage', 'liquidate', 'transfer'],
      recipients: ['0x00000000000000000000000000000000000000f1'],
    })
    expect(ways(thief)).toEqual({
      USDC: ['liquidate', 'transfer'],
      WETH: ['liquidate', 'transfer', 'deleverage'],
    })
  })
})

describe('the worst case of an agent', () => {
  it('by its policy is the higher cap, as often as its window fits into a day', () => {
    const spend = { ...policyFile.spend, windowSeconds: 3_600 }
    expect(explain({ intents: ['swap'], spend }).risk.policy).toMatchObject({
      ordinary: dollars('1000'),
      riskReducing: dollars('5000'),
      perDay: dollars('120000'),
    })
  })

  it('counts what is reserved for the protector of a Safe, and what thieves of its key, and of both, could take', () => {
    const policy = parsePolicy({
      ...{ ...policyFile, intents: ['swap', 'deleverage'], recipients: [] },
      allowances: { WETH: '2', native: '1' },
      protector: { rollingUsd: '3000', allowances: { WETH: '3', native: '1' } },
    })
    const derived = protectorPolicy(policy)
    if (derived === null) throw new InvariantError('Something is reserved.')
    const second = compileProtectorRole(derived, book, { ...account, roleKey: `0x${'22'.repeat(32)}` })
    const risk = explainRisk({
      ...{ account: safe, policy, role: compileRole(policy, book, account), holdings: holdings() },
      protector: { role: second, policy: derived, gas: wei(parseEther('0.5')) },
    })
    expect(risk.policy).toMatchObject({ reserve: dollars('3000'), perDay: dollars('8000') })
    // Twice 2 WETH of the agent's, and twice 3 of the protector's; the penalty on 40,000 of debt either way.
    expect(risk.thief).toMatchObject({ most: dollars('10000') })
    expect(risk.protector).toMatchObject({
      both: dollars('22000'),
      thief: { most: dollars('14000'), borrows: [], gas: parseEther('0.5') },
    })
    expect(risk.protector?.thief.tokens.map(({ ways: by }) => by)).toEqual([['deleverage']])
    const said = describeRisk('guardian', risk, money).join('\n')
    expect(said).toContain('$5,000.00 when that reduces risk, and its protector $3,000.00 more: $8,000.00 in')
    expect(said).toMatch(/A thief of its protector's key could take of the Safe .* at most \$14,000\.00:/)
    expect(said).toContain('A thief of both keys could take at most $22,000.00 in any 24 h')
    expect(JSON.parse(JSON.stringify(riskToJson(risk)))).toMatchObject({
      protector: { both: '2200000000000' },
    })
  })

  it('of a key is everything', () => {
    const policy = parsePolicy(policyFile)
    const risk = explainRisk({ account: safe, policy, role: null, holdings: holdings() })
    expect(describeRisk('guardian', risk, money).join('\n')).toMatch(
      /could take all that 0x\w+A1 holds and can borrow: \$1,000,000\.00 now, \$24,000\.00 more by/,
    )
    expect(JSON.parse(JSON.stringify(riskToJson(risk)))).toMatchObject({
      thief: { holds: 'key', equity: '100000000000000', gas: '1500000000000000000' },
    })
  })

  it('of an agent that only observes is nothing by its policy', () => {
    const policy = parsePolicy({ ...policyFile, mode: 'observe' })
    const risk = explainRisk({ account: null, policy, role: null, holdings: null })
    expect(describeRisk('guardian', risk, money)[0]).toBe(
      '  guardian (observe) signs nothing, so by its policy it loses nothing.',
    )
  })
})
