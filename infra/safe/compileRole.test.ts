import { describe, expect, it } from 'vitest'
import { book, policyFile } from '../../runtime/guards/guardScene.fixture.ts'
import { PolicyError, type PolicyFile, parsePolicy } from '../../runtime/guards/policy.ts'
import { protectorPolicy } from '../../runtime/guards/protector.ts'
import { compileProtectorRole, compileRole } from './compileRole.ts'
import { flatten } from './conditions.ts'
import { describeFunction, describeRole, roleToJson } from './describeRole.ts'
import type { SafeAccount } from './role.ts'

const account: SafeAccount = {
  safe: '0x00000000000000000000000000000000000000A1',
  modifier: '0x00000000000000000000000000000000000000a2',
  multiSend: '0xA83c336B20401Af773B6219BA5027174338D1836',
  roleKey: `0x${'11'.repeat(32)}`,
  sender: null,
}
/** Without the leave to revoke, which allows to approve anybody for nothing. */
const base: PolicyFile = {
  ...policyFile,
  intents: ['supply', 'withdraw', 'borrow', 'repay', 'deleverage', 'swap', 'transfer', 'liquidate'],
}
const compile = (changes: Partial<PolicyFile> = {}, of = account) =>
  compileRole(parsePolicy({ ...base, ...changes }), book, of)

/** What may be called, as people read it: `erc20:WETH.approve(…)`. */
const lines = (changes: Partial<PolicyFile> = {}) => {
  const role = compile(changes)
  return role.targets.flatMap(({ name, functions }) =>
    functions.flatMap((each) => describeFunction(each, role, book).map((line) => `${name}.${line}`)),
  )
}
const found = (role: ReturnType<typeof compile>) =>
  role.targets.flatMap(({ name, functions }) => functions.map((each) => `${name}.${each.name}`))

describe('compileRole', () => {
  it('gives the same role for the same policy, however the file is ordered', () => {
    const reversed = Object.fromEntries(Object.entries(base.contracts).reverse())
    const one = JSON.stringify(roleToJson(compile(), book))
    const { policy: _policy, ...other } = roleToJson(compile({ contracts: reversed }), book)
    expect(JSON.parse(one)).toMatchObject(JSON.parse(JSON.stringify(other)))
    expect(JSON.stringify(roleToJson(compile(), book))).toBe(one)
  })

  it('has people read every condition', () => {
    const role = { ...compile(), policy: { name: 'test', version: '0011223344556677' } }
    expect(describeRole(role, book).join('\n')).toMatchSnapshot()
  })

  it('allows a function only with the kind of intent that it belongs to', () => {
    const all = found(compile())
    for (const [kind, name] of [
      ['swap', 'uniswap-v3.router.exactInputSingle'],
      ['deleverage', 'rialto.flashRepay.flashRepay'],
      ['borrow', 'aave-v3.pool.borrow'],
    ] as const) {
      expect(all).toContain(name)
      const intents = base.intents.filter((each) => each !== kind)
      expect(found(compile({ intents }))).not.toContain(name)
    }
  })

  it('moves no token that has no allowance, or one of nothing', () => {
    for (const allowances of [
      { USDC: '100', native: '1' },
      { USDC: '100', WETH: '0', native: '1' },
    ]) {
      const moving = lines({ allowances }).filter((line) => /WETH/.test(line) && /within/.test(line))
      expect(moving.filter((line) => / (the )?(moves|approvals) of WETH/.test(line))).toEqual([])
    }
    expect(compile({ allowances: { native: '1' } }).targets.map(({ name }) => name)).toEqual([
      'rialto.assert',
    ])
  })

  it('lets nobody be approved whom no allowed function has take anything', () => {
    const spenders = (intents: PolicyFile['intents']) =>
      lines({ intents, recipients: [] }).filter((line) => line.startsWith('erc20:WETH.approve'))
    expect(spenders(['swap'])).toEqual([
      'erc20:WETH.approve(spender = uniswap-v3.router, amount within the approvals of WETH)',
    ])
    expect(spenders(['repay'])).toEqual([
      'erc20:WETH.approve(spender = aave-v3.pool, amount within the approvals of WETH)',
    ])
    expect(spenders(['withdraw'])).toEqual([])
  })

  it('lets approvals be taken back from anybody, where the policy allows to revoke', () => {
    const approvals = (intents: PolicyFile['intents']) =>
      lines({ intents, recipients: [] }).filter((line) => line.startsWith('erc20:WETH.approve'))
    expect(approvals(['revoke'])).toEqual(['erc20:WETH.approve(spender any, amount = 0)'])
    expect(approvals(['revoke', 'swap'])).toHaveLength(2)
  })

  it('counts two roles of one modifier apart', () => {
    const keys = (roleKey: SafeAccount['roleKey']) =>
      compile({}, { ...account, roleKey }).allowances.map(({ key }) => key)
    const [one, other] = [keys(`0x${'11'.repeat(32)}`), keys(`0x${'22'.repeat(32)}`)]
    expect(new Set([...one, ...other]).size).toBe(one.length + other.length)
  })

  it('allows nothing to an agent whose policy names no contract', () => {
    const empty = compile({ intents: [], contracts: {}, recipients: [], mode: 'observe' })
    expect(empty).toMatchObject({ targets: [], allowances: [] })
    expect(describeRole(empty, book).join('\n')).toContain('none: nothing may be moved')
  })

  it.each([
    [
      'of a token that the book does not know',
      { DOGE: '1' },
      'allowances.DOGE is no token in the address book',
    ],
    [
      'with more decimals than the token',
      { USDC: '1.0000001' },
      'allowances.USDC has more than the 6 decimals',
    ],
    [
      'that no modifier can count',
      { WETH: '99999999999999' },
      'allowances.WETH is more than a Roles modifier can count',
    ],
  ])('refuses an allowance %s', (_what, allowances, line) => {
    const refused = () => compile({ allowances: { ...allowances, native: '1' } })
    expect(refused).toThrow(PolicyError)
    expect(refused).toThrow(line)
  })

  it('refuses what no modifier can number', () => {
    const recipients = Array.from(
      { length: 300 },
      (_, index) => `0x${(index + 1).toString(16).padStart(40, '0')}`,
    )
    const role = compile({ recipients })
    const transfers = role.targets.flatMap(({ functions }) =>
      functions.filter(({ name }) => name === 'transfer'),
    )
    expect(transfers.length).toBeGreaterThan(0)
    for (const { condition } of transfers)
      expect(() => flatten(condition)).toThrow(/has 30\d parts, and a Roles modifier holds at most 256/)
  })

  describe('for a protector', () => {
    const reserved: PolicyFile = {
      ...{ ...base, graduation: 'none' },
      protector: { rollingUsd: '3000', allowances: { WETH: '3', USDC: '0.1234567', native: '1' } },
    }
    const roleOf = (file: PolicyFile) =>
      compileProtectorRole(protectorPolicy(parsePolicy(file)), book, {
        ...account,
        roleKey: `0x${'22'.repeat(32)}`,
      })

    it('allows rescues alone, with counters that the agent’s role does not have', () => {
      const role = roleOf({
        ...reserved,
        protector: { rollingUsd: '3000', allowances: { WETH: '3', native: '1' } },
      })
      expect(found(role)).toEqual([
        ...['aave-v3.aToken:WETH.approve', 'aave-v3.pool.repay', 'aave-v3.pool.supply', 'erc20:WETH.approve'],
        ...['minBalance', 'minHealthFactor', 'notAfter', 'zeroAllowance'].map(
          (name) => `rialto.assert.${name}`,
        ),
        'rialto.flashRepay.flashRepay',
      ])
      const keys = compile().allowances.map(({ key }) => key)
      expect(role.allowances.length).toBe(2)
      expect(role.allowances.filter(({ key }) => keys.includes(key))).toEqual([])
      expect(role.allowances.map(({ amount }) => amount)).toEqual([3n * 10n ** 18n, 3n * 10n ** 18n])
    })

    it('says where in the policy an amount is that no modifier holds', () => {
      expect(() => roleOf(reserved)).toThrow(
        /protector\.allowances\.USDC has more than the 6 decimals of USDC/,
      )
    })

    it('allows nothing where nothing is reserved', () => {
      expect(roleOf({ ...reserved, protector: 'none' })).toMatchObject({ targets: [], allowances: [] })
    })
  })
})
