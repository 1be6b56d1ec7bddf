import fc from 'fast-check'
import { parseAbi } from 'viem'
import { describe, expect, it } from 'vitest'
import { protocolWorld } from '../../../test/protocolWorld.ts'
import { bps, RAY, ray } from '../../core/units.ts'
import { contractRead, readAll } from '../read.ts'
import { interestRates } from './rates.ts'
import { decodeReserveConfiguration, reserveData } from './read.ts'

const strategyAbi = parseAbi([
  'struct Params { uint256 unbacked; uint256 liquidityAdded; uint256 liquidityTaken; uint256 totalStableDebt; uint256 totalVariableDebt; uint256 averageStableBorrowRate; uint256 reserveFactor; address reserve; address aToken; }',
  'function calculateInterestRates(Params params) view returns (uint256 liquidityRate, uint256 stableRate, uint256 variableRate)',
  'function OPTIMAL_USAGE_RATIO() view returns (uint256)',
  'function getBaseVariableBorrowRate() view returns (uint256)',
  'function getVariableRateSlope1() view returns (uint256)',
  'function getVariableRateSlope2() view returns (uint256)',
])

describe('rates of the real strategies', async () => {
  const { book, chain, head, usdc, weth } = await protocolWorld()
  const { hash } = await head()

  it.each([
    ['WETH', weth, 5_000n * 10n ** 18n],
    ['USDC', usdc, 30_000_000n * 10n ** 6n],
  ])('follow from the use of %s, on both slopes', async (_, asset, held) => {
    const { data } = await readAll(chain, hash, { data: reserveData(book.aaveV3.pool, asset) })
    const target = data.interestRateStrategyAddress
    const parameters = await readAll(chain, hash, {
      optimal: contractRead('optimal usage', target, strategyAbi, 'OPTIMAL_USAGE_RATIO', []),
      base: contractRead('base rate', target, strategyAbi, 'getBaseVariableBorrowRate', []),
      slope1: contractRead('slope 1', target, strategyAbi, 'getVariableRateSlope1', []),
      slope2: contractRead('slope 2', target, strategyAbi, 'getVariableRateSlope2', []),
    })
    const reserveFactor = bps(decodeReserveConfiguration(data.configuration).reserveFactor)
    expect(reserveFactor).toBeGreaterThan(0n)
    await fc.assert(
      fc.asyncProperty(
        fc.bigInt({ min: 0n, max: held }),
        fc.oneof(fc.constant(0n), fc.bigInt({ min: 1n, max: held * 10n })),
        async (liquidityTaken, totalVariableDebt) => {
          const params = {
            ...{ unbacked: 0n, liquidityAdded: 0n, liquidityTaken, totalStableDebt: 0n, totalVariableDebt },
            ...{ averageStableBorrowRate: 0n, reserveFactor, reserve: asset, aToken: data.aTokenAddress },
          }
          const { theirs } = await readAll(chain, hash, {
            theirs: contractRead('rates', target, strategyAbi, 'calculateInterestRates', [params]),
          })
          const ours = interestRates(
            {
              optimalUsageRatio: ray(parameters.optimal),
              baseVariableBorrowRate: ray(parameters.base),
              variableRateSlope1: ray(parameters.slope1),
              variableRateSlope2: ray(parameters.slope2),
            },
            { availableLiquidity: held - liquidityTaken, totalVariableDebt, reserveFactor },
          )
          expect([ours.liquidityRate, ours.variableBorrowRate]).toEqual([theirs[0], theirs[2]])
        },
      ),
      { numRuns: 60 },
    )
  })

  it('rest at the base rate without debt', () => {
    const rate = ray(RAY / 100n)
    const strategy = {
      optimalUsageRatio: ray((RAY * 8n) / 10n),
      baseVariableBorrowRate: rate,
      variableRateSlope1: rate,
      variableRateSlope2: rate,
    }
    const inputs = { availableLiquidity: 0n, totalVariableDebt: 0n, reserveFactor: bps(1_000n) }
    expect(interestRates(strategy, inputs)).toEqual({ liquidityRate: 0n, variableBorrowRate: rate })
  })
})
