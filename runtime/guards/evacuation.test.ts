import { getAddress } from 'viem'
import { describe, expect, it } from 'vitest'
import { evacuationFault, evacuationKinds, evacuationPolicy, requireDestination } from './evacuation.ts'
import { at, book, owner, policy, weth } from './guardScene.fixture.ts'
import { withMode } from './policy.ts'

const destination = getAddress(at(0xf00d))
const derived = evacuationPolicy(policy, book, destination)

describe('the policy of an evacuation', () => {
  it('sends nowhere but to the destination, and opens nothing', () => {
    expect(derived.recipients).toEqual([destination])
    expect(derived.intents).toEqual([...evacuationKinds])
    for (const [contract, functions] of Object.entries(derived.contracts))
      for (const name of ['supply', 'borrow', 'exactInputSingle', 'liquidationCall'])
        expect(functions, contract).not.toContain(name)
  })

  it('limits price, slippage and gas as a rescue', () => {
    expect(derived.slippage).toEqual(policy.riskReducing.slippage)
    expect(derived.oracle).toMatchObject(policy.riskReducing.oracle)
    expect(derived.gas).toEqual({
      maxFeePerGas: policy.riskReducing.gas.maxFeePerGas,
      maxCost: policy.riskReducing.spend.perTransaction,
    })
  })

  it('is the same for everybody who derives it, in whatever mode its agent is, and no other', () => {
    expect(evacuationPolicy(policy, book, destination)).toEqual(derived)
    expect(evacuationPolicy(withMode(policy, 'propose'), book, destination).version).toBe(derived.version)
    expect(evacuationPolicy(policy, book, getAddress(at(0xf00e))).version).not.toBe(derived.version)
    expect(derived.version).not.toBe(policy.version)
  })

  it.each([
    ['10', '20'],
    ['0.5', '1.0'],
    ['12.75', '25.50'],
    ['0.05', '0.10'],
  ])('lets gas cost what its agent may burn of %s, and as much again', (native, twice) => {
    const { allowances } = evacuationPolicy({ ...policy, allowances: { native } }, book, destination)
    expect(allowances.native).toBe(twice)
    expect(allowances.WETH).toMatch(/^9+$/)
  })
})

describe('a destination', () => {
  it.each([
    ['the zero address', at(0), /zero address/],
    ['the account itself', owner, /account that would be evacuated/],
    ['a token', weth, /contract erc20:WETH/],
    ['the pool', book.aaveV3.pool, /contract aave-v3\.pool/],
  ])('is not %s', (_what, address, why) => {
    expect(evacuationFault(address, book, owner)).toMatch(why)
    expect(() => requireDestination(address, book, owner)).toThrow(why)
  })

  it('is anybody else', () => expect(evacuationFault(destination, book, owner)).toBeNull())
})
