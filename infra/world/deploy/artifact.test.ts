import { describe, expect, it } from 'vitest'
import { InvariantError } from '../../../runtime/core/errors.ts'
import { type Artifact, linkArtifact, packageFolder, readArtifact } from './artifact.ts'

const POOL = 'artifacts/contracts/protocol/pool/Pool.sol/Pool.json'
const library = '0x00000000000000000000000000000000000000Aa'

describe('readArtifact', () => {
  it.each([
    ['@aave/core-v3', POOL, 'Pool'],
    ['canonical-weth', 'build/contracts/WETH9.json', 'WETH9'],
    ['chainlink-contracts-v0.1', 'abi/v0.6/FluxAggregator.json', 'FluxAggregator'],
  ])('reads the shape of %s', (packageName, path, name) => {
    const artifact = readArtifact(packageName, path)
    expect(artifact.name).toBe(name)
    expect(artifact.abi.length).toBeGreaterThan(5)
    expect(artifact.bytecode).toMatch(/^60[0-9a-f]{3}/)
  })

  it('refuses an interface, which has no code, and a package that is not there', () => {
    const path = 'artifacts/contracts/interfaces/IPool.sol/IPool.json'
    expect(() => readArtifact('@aave/core-v3', path)).toThrow(InvariantError)
    expect(() => packageFolder('no-such-package')).toThrow('no-such-package')
  })
})

describe('linkArtifact', () => {
  it('puts libraries in their places, all of them or none', () => {
    const pool = readArtifact('@aave/core-v3', POOL)
    const names = Object.keys(pool.links)
    expect(names.sort()).toEqual(
      [
        'BorrowLogic',
        'BridgeLogic',
        'EModeLogic',
        'FlashLoanLogic',
        'LiquidationLogic',
        'PoolLogic',
        'SupplyLogic',
      ].sort(),
    )
    const code = linkArtifact(pool, Object.fromEntries(names.map((name) => [name, library])))
    for (const { start, length } of Object.values(pool.links).flat())
      expect(code.slice(2 + start * 2, 2 + (start + length) * 2)).toBe(library.slice(2).toLowerCase())
    expect(() => linkArtifact(pool, { BorrowLogic: library })).toThrow('Pool needs the library')
  })

  it('refuses code with a place that nobody named', () => {
    const broken: Artifact = { name: 'Broken', abi: [], bytecode: '60__$abc$__', links: {} }
    expect(() => linkArtifact(broken, {})).toThrow('Broken is not linked completely.')
  })
})
