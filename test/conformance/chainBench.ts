import { parseGwei } from 'viem'
import type { privateKeyToAccount } from 'viem/accounts'
import type { TestWorld } from '../../infra/world/testWorld.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Chain } from '../../runtime/core/ports.ts'

export const UNKNOWN_HASH: Hash = `0x${'12'.repeat(32)}`
export const FEES = { maxFeePerGas: parseGwei('100'), maxPriorityFeePerGas: 0n, gas: 21_000n } as const

/** What the tests of a `Chain` work with. */
export type ChainBench = {
  readonly world: TestWorld
  open(): Promise<Chain>
  test(name: string, work: () => Promise<void>): void
  /** A new account with ether and no history. */
  freshAccount(): Promise<ReturnType<typeof privateKeyToAccount>>
  /** Replaces the head by another block, without its transactions. */
  reorganise(): Promise<void>
}
