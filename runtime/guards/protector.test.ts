import { describe, expect, it } from 'vitest'
import { graduatedPolicies } from './graduation.ts'
import { dollars, policyFile } from './guardScene.fixture.ts'
import { type PolicyFile, parsePolicy, policyVersion, withMode } from './policy.ts'
import { protectorPolicy } from './protector.ts'

const protector = { rollingUsd: '3000', allowances: { WETH: '500', USDC: '500000', native: '50' } }
const policyOf = (changes: Partial<PolicyFile> = {}) => parsePolicy({ ...policyFile, protector, ...changes })
const derivedOf = (changes: Partial<PolicyFile> = {}) => protectorPolicy(policyOf(changes))

describe('the limits of a protector', () => {
  it('allow what reduces risk, by the functions that it takes, and nothing else', () => {
    const derived = derivedOf()
    expect(derived).toMatchObject({
      intents: ['supply', 'repay', 'deleverage'],
      recipients: [],
      contracts: {
        'erc20:WETH': ['approve'],
        'erc20:USDC': ['approve'],
        'aave-v3.pool': ['supply', 'repay'],
        'rialto.flashRepay': ['flashRepay'],
      },
    })
    expect(Object.keys(derived?.contracts ?? {})).not.toContain('uniswap-v3.router')
    expect(derivedOf({ intents: ['repay', 'borrow'], recipients: [] })).toMatchObject({
      intents: ['repay'],
      contracts: { 'aave-v3.pool': ['repay'] },
    })
  })

  it('draw on the reserve, and leave all else as the policy says', () => {
    const policy = policyOf()
    const derived = protectorPolicy(policy)
    expect(derived).toMatchObject({
      allowances: { WETH: '500', USDC: '500000', native: '50' },
      spend: { perTransaction: dollars('200'), rolling: dollars('1000') },
      riskReducing: { spend: { perTransaction: dollars('2000'), rolling: dollars('3000') } },
      healthFactor: policy.healthFactor,
      gas: policy.gas,
    })
    expect(derived?.riskReducing.gas).toEqual(policy.riskReducing.gas)
  })

  it('have a version of their own that is the hash of them, and follow from the policy alone', () => {
    const policy = policyOf({ graduation: [{ days: 0, mode: 'execute', partBps: 10_000 }] })
    const derived = protectorPolicy(policy)
    if (derived === null) throw new TypeError('Something is reserved.')
    const { version, ...limits } = derived
    expect(version).toBe(policyVersion(limits))
    expect([policy.version, ...graduatedPolicies(policy).map((step) => step.version)]).not.toContain(version)
    expect(protectorPolicy(policyOf({ graduation: 'none' }))?.version).toBe(version)
  })

  it('are none where nothing is reserved, and go no further than the mode of the policy', () => {
    expect(derivedOf({ protector: 'none' })).toBeNull()
    expect(protectorPolicy(withMode(policyOf(), 'propose'))?.mode).toBe('propose')
  })
})
