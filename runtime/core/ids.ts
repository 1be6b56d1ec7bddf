import { type Hex, keccak256, stringToHex } from 'viem'
import { InvalidInputError } from './errors.ts'

declare const id: unique symbol
type Id<Name extends string> = string & { readonly [id]: Name }

/** A 32-byte hash as lower-case hex. */
export type Hash = Hex
/** An agent, by the name the owner gave it: letters, digits and dashes. */
export type AgentId = Id<'AgentId'>
/** One pass of one agent over one block: `<agent>.<block hash>`. Also the id of its queue job. */
export type RunId = Id<'RunId'>
/** The one intent of a run. A run has at most one, so its id follows from the run's. */
export type IntentId = Id<'IntentId'>
/** One set of signed bytes for an intent: `<intent>.<n>`. */
export type AttemptId = Id<'AttemptId'>
/** A stretch of the journal that belongs to one chain with one genesis. */
export type EpochId = Id<'EpochId'>

/**
 * @throws {InvalidInputError} when the name holds anything but letters, digits and dashes.
 * @example agentId('lending-guardian')
 */
export function agentId(name: string): AgentId {
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/i.test(name))
    throw new InvalidInputError(`"${name}" cannot name an agent.`, {
      fix: 'Use letters, digits and dashes, at most 63 of them.',
    })
  return name as AgentId
}

/**
 * The id of the run of an agent on a block.
 *
 * It holds the block's *hash*: with its number, the block that replaces another in a reorganisation would be
 * taken for the one that was already seen. It holds no ":", which BullMQ refuses in job ids.
 *
 * @example runId(agentId('guardian'), '0xabc…') // 'guardian.0xabc…'
 */
export const runId = (agent: AgentId, blockHash: Hash): RunId => `${agent}.${blockHash}` as RunId

/** The id of the run's intent: the first 16 bytes of the run id's Keccak-256, as hex. */
export const intentId = (run: RunId): IntentId => keccak256(stringToHex(run)).slice(2, 34) as IntentId

/**
 * The id of an intent that no run made: the protector's, an evacuation's. It holds whose it is, since both act for several
 * accounts on one block; and more dots than a run's, so that no agent's name makes the same.
 *
 * @param by who made it
 * @example unaidedIntentId(agentId('protector'), { agent: agentId('guardian'), account: '0xAb…' }, '0xabc…')
 */
export const unaidedIntentId = (
  by: AgentId,
  of: { readonly agent: AgentId; readonly account: Hex },
  blockHash: Hash,
): IntentId => intentId(`${by}.${of.agent}.${of.account.toLowerCase()}.${blockHash}` as RunId)

/** The id of the n-th attempt at an intent, from 1. */
export const attemptId = (intent: IntentId, n: number): AttemptId => `${intent}.${n}` as AttemptId

/**
 * The name under which a nonce is filled: it stands where an intent's id does, so that the signer holds it to one nonce
 * like any intent.
 *
 * @example fillId('0xAb…', 7n) // 'fill.0xab….7'
 */
export const fillId = (account: Hex, nonce: bigint): IntentId =>
  `fill.${account.toLowerCase()}.${nonce}` as IntentId

/** The epoch of a chain: its id and its genesis, so that another genesis starts another epoch. */
export const epochId = (chainId: number, genesisHash: Hash): EpochId => `${chainId}.${genesisHash}` as EpochId
