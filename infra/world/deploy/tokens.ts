import type { Address } from 'viem'
import { testTokenArtifact } from '../../contracts/artifacts/TestToken.ts'
import { addressOf } from '../accounts.ts'
import { type Artifact, readArtifact } from './artifact.ts'
import type { WorldBuilder } from './builder.ts'

export type WorldToken = { readonly address: Address; readonly symbol: string; readonly decimals: number }
export type WorldTokens = { readonly weth: WorldToken; readonly usdc: WorldToken }

/** One of our own contracts as the builder takes it. */
export const ownArtifact = (compiled: Omit<Artifact, 'links'> & { bytecode: string }): Artifact => ({
  name: compiled.name,
  abi: compiled.abi,
  bytecode: compiled.bytecode.slice(2),
  links: {},
})

export const wethArtifact = () => readArtifact('canonical-weth', 'build/contracts/WETH9.json')

/** Queues WETH9 as it is on mainnet, and a dollar with 6 decimals that the deployer mints. */
export function deployTokens(builder: WorldBuilder): WorldTokens {
  const deployer = addressOf('deployer')
  return {
    weth: { address: builder.deploy(deployer, wethArtifact()), symbol: 'WETH', decimals: 18 },
    usdc: {
      address: builder.deploy(deployer, ownArtifact(testTokenArtifact), ['USD Coin', 'USDC', 6]),
      symbol: 'USDC',
      decimals: 6,
    },
  }
}
