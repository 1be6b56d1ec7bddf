import type { Address } from 'viem'
import type { AgentId, Hash, IntentId } from '../core/ids.ts'
import type { BlockRef } from '../core/snapshot.ts'
import { wei } from '../core/units.ts'

/** A block as JSON: what a job carries. */
export type BlockJson = { readonly [Key in keyof BlockRef]: string }

export const toBlockJson = (block: BlockRef): BlockJson => ({
  number: block.number.toString(),
  hash: block.hash,
  parentHash: block.parentHash,
  timestamp: block.timestamp.toString(),
  baseFeePerGas: block.baseFeePerGas.toString(),
})

export const fromBlockJson = (block: BlockJson): BlockRef => ({
  number: BigInt(block.number),
  hash: block.hash as Hash,
  parentHash: block.parentHash as Hash,
  timestamp: BigInt(block.timestamp),
  baseFeePerGas: wei(BigInt(block.baseFeePerGas)),
})

/** Decide: one pass of one agent over one block. */
export type RunJob = { readonly agent: AgentId; readonly block: BlockJson }
/** The run's intent, if it is still to be executed. */
export type RunResult = { readonly intent: IntentId | null }

/** Execute an intent, or follow what is sent from the account. Both are serial per account. */
export type AccountJob =
  | {
      readonly kind: 'execute'
      readonly agent: AgentId
      readonly intent: IntentId
      readonly block: BlockJson
    }
  | { readonly kind: 'settle'; readonly account: Address; readonly block: BlockJson }

export const RUNS_QUEUE = 'runs'
/** BullMQ refuses ":" in queue names and job ids. */
export const accountQueue = (account: Address): string => `account-${account.toLowerCase()}`
export const executeJobId = (intent: IntentId, block: Hash): string => `execute.${intent}.${block}`
export const settleJobId = (account: Address, block: Hash): string =>
  `settle.${account.toLowerCase()}.${block}`
