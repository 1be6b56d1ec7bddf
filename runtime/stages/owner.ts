import { type Address, isAddressEqual } from 'viem'
import type { Agent } from '../core/agent.ts'
import type { AgentId } from '../core/ids.ts'
import type { AttemptRecord } from '../core/journal.ts'
import { UnknownAgentError } from './errors.ts'
import type { Runtime } from './runtime.ts'

/** Whose nonces an agent's transactions use: its own account's, or those of whoever acts for it. */
export const actorOf = (runtime: Runtime, agent: Agent): Address =>
  runtime.routeOf?.(agent.id)?.sender ?? agent.account

/** Everybody whose nonces are used for an agent: {@link actorOf}, and a protector with a key of its own. */
export const sendersOf = (runtime: Runtime, agent: Agent): readonly Address[] => {
  const protector = runtime.protectorOf?.(agent.id) ?? null
  return [actorOf(runtime, agent), ...(protector === null ? [] : [protector])]
}

/** The agents that act through an account, or are protected by it. */
export const agentsOf = (runtime: Runtime, agents: readonly Agent[], sender: Address): readonly Agent[] =>
  agents.filter((agent) => sendersOf(runtime, agent).some((each) => isAddressEqual(each, sender)))

/** Whether it is by a protector alone that anything is signed for an account. */
export const isProtectors = (runtime: Runtime, agents: readonly Agent[], sender: Address): boolean =>
  agents.some(({ id }) => {
    const protector = runtime.protectorOf?.(id) ?? null
    return protector !== null && isAddressEqual(protector, sender)
  })

/**
 * The agent by whose policy an attempt is followed: the one that made it. What belongs to none (a nonce that was
 * filled, bytes from the signer's ledger), or to one that is not configured any more, falls to another of the account.
 *
 * @throws {UnknownAgentError}
 */
export async function ownerOf(
  runtime: Runtime,
  agents: readonly Agent[],
  { intentId, account }: Pick<AttemptRecord, 'intentId' | 'account'>,
): Promise<Agent> {
  const intent = intentId === null ? null : await runtime.journal.intent(intentId)
  const owner = agents.find(({ id }) => id === intent?.agent) ?? agentsOf(runtime, agents, account)[0]
  if (owner === undefined) throw new UnknownAgentError(intent?.agent ?? (account as string as AgentId))
  return owner
}
