import { describe, expect, it } from 'vitest'
import {
  AmbiguousAddressBookError,
  contractAddress,
  contractName,
  knownContract,
  knownContracts,
} from './contracts.ts'
import { POOL, sampleBook, WETH } from './sampleSnapshot.fixture.ts'

describe('names of contracts', () => {
  it('name every contract of the book, and find it by its name', () => {
    const contracts = knownContracts(sampleBook)
    for (const { address, name } of contracts) {
      expect(contractName(address, sampleBook)).toBe(name)
      expect(contractAddress(name, sampleBook)).toBe(address)
    }
    expect(contracts.map(({ name }) => name)).toEqual([
      'multicall3',
      'erc20:WETH',
      'erc20:USDC',
      'aave-v3.pool',
      'aave-v3.oracle',
      'aave-v3.dataProvider',
      'aave-v3.poolAddressesProvider',
      'aave-v3.aToken:WETH',
      'aave-v3.variableDebtToken:WETH',
      'aave-v3.aToken:USDC',
      'aave-v3.variableDebtToken:USDC',
      'uniswap-v3.factory',
      'uniswap-v3.router',
      'uniswap-v3.quoter',
      'uniswap-v3.pool:WETH/USDC/500',
      'chainlink.feed:WETH',
      'chainlink.feed:USDC',
      'rialto.batchAccount',
      'rialto.flashRepay',
      'rialto.assert',
    ])
  })

  it('are null for what is not in the book', () => {
    expect(contractName(`0x${'99'.repeat(20)}`, sampleBook)).toBeNull()
    expect(contractAddress('erc20:DAI', sampleBook)).toBeNull()
    const { rialto: _, ...without } = sampleBook
    expect(contractAddress('rialto.assert', without)).toBeNull()
  })

  it('do not depend on how an address is spelled', () => {
    const upper = `0x${POOL.slice(2).toUpperCase()}` as const
    expect(knownContract(upper, sampleBook)?.role).toBe('uniswap-v3.pool')
  })

  it('refuse a book in which a name or an address means two things', () => {
    const twin = { address: `0x${'98'.repeat(20)}`, symbol: 'WETH', decimals: 18 } as const
    const sameSymbol = { ...sampleBook, tokens: [...sampleBook.tokens, twin] }
    expect(() => contractName(WETH, sameSymbol)).toThrow(AmbiguousAddressBookError)
    const sameAddress = {
      ...sampleBook,
      tokens: [...sampleBook.tokens, { ...twin, symbol: 'X', address: WETH }],
    }
    expect(() => contractAddress('erc20:X', sameAddress)).toThrow(AmbiguousAddressBookError)
  })
})
