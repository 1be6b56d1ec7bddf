import type { Address } from 'viem'
import type { AddressBook } from '../../../runtime/core/addressBook.ts'
import type { AgentId } from '../../../runtime/core/ids.ts'
import type { RolesRoute } from '../../../runtime/core/lifecycle.ts'
import { createRpc, type Rpc } from '../../chain/rpc.ts'
import { openStateReader } from '../../chain/stateReader.ts'
import type { AgentConfig, ChainConfig, SafeConfig } from '../../config/loadConfig.ts'
import { memberOf } from '../../protector/memberOf.ts'
import { riskOfSafe } from '../../protector/riskOfSafe.ts'
import { type RolesParameters, roleKeysOn, rolesOf } from '../../protector/rolesOf.ts'
import { describeRisk } from '../../safe/describeRisk.ts'
import { explainRisk, type Risk } from '../../safe/explainRisk.ts'
import { readHoldings } from '../../safe/readHoldings.ts'
import { requireRole } from '../../safe/requireRole.ts'
import type { SignerAccount } from '../../signer/messages.ts'
import { money } from '../money.ts'
import { paint } from '../terminal.ts'

type RealChain = Extract<ChainConfig, { kind: 'rpc' }>

/** Milliseconds for one request: logs of years take their time. */
const TIMEOUT = 60_000

/** Every node of a chain by itself, for reads that no run of an agent makes. */
export const openRpcs = ({ nodes }: Pick<RealChain, 'nodes'>): readonly Rpc[] =>
  nodes.map(({ url }) => createRpc({ url: new URL(url), timeout: TIMEOUT, retries: 2 }))

/** What the signer is told of a Safe: the key of its member then acts for nobody else. */
export const signerSafeOf = ({
  safe,
  modifier,
  multiSend,
  roleKey,
}: SafeConfig): NonNullable<SignerAccount['safe']> => ({ account: safe, modifier, multiSend, roleKey })

/** How a member of a role acts for a Safe. */
const routeOf = (
  { modifier, multiSend, roleKey }: Pick<SafeConfig, 'modifier' | 'multiSend' | 'roleKey'>,
  sender: Address,
): RolesRoute => ({
  kind: 'roles',
  modifier,
  multiSend,
  roleKey,
  sender,
})

/** An agent that is about to act on a chain. */
export type ActingAgent = {
  readonly config: AgentConfig
  /** Whose money it moves. */
  readonly account: Address
  /** Whose key the signer holds for it; null where it only observes. */
  readonly sender: Address | null
  /** Whose key the signer holds for the protector of its Safe; null where there is none. */
  readonly protector: Address | null
}

/** What the roles of an agent's Safe are made of; null where its account is none. */
function rolesParameters(
  { config, sender, protector }: ActingAgent,
  book: AddressBook,
): RolesParameters | null {
  const { safe, policy } = config
  const member = memberOf(config)
  if (safe === null) return null
  return {
    ...{ safe, policy, book, sender },
    protector: member === null ? null : { ...member, sender: protector },
  }
}

/**
 * Lets agents of Safes begin only if what is on-chain is what their policies say, of their roles and their protectors', by
 * the word of every node.
 *
 * @returns a line about each that was looked at
 * @throws {RoleMismatchError}
 */
export async function requireRoles(
  agents: readonly ActingAgent[],
  chain: RealChain,
): Promise<readonly string[]> {
  const lines: string[] = []
  const configs = agents.map(({ config }) => config)
  for (const agent of agents) {
    const { id, safe } = agent.config
    const parameters = rolesParameters(agent, chain.addressBook)
    // Whoever holds no key signs nothing, whatever the chain would let it do.
    if (parameters === null || safe === null || agent.sender === null) continue
    const { role, protectorRole } = rolesOf(parameters)
    const { check, hosts } = await requireRole(id, {
      ...{ rpcs: openRpcs(chain), quorum: chain.quorum, book: chain.addressBook },
      ...{ role, protector: protectorRole, firstBlock: safe.firstBlock },
      otherRoles: roleKeysOn(safe.modifier, configs),
    })
    const by = agent.protector === null ? 'which nobody protects' : `protected by ${agent.protector}`
    lines.push(
      `${id} for the Safe ${safe.safe}, ${by}, as its policy says at block ${check.block.number} (${hosts.join(', ')})`,
    )
  }
  return lines
}

/** The routes of agents that act for a Safe, by id. */
export const routesOf = (agents: readonly ActingAgent[]): ReadonlyMap<AgentId, RolesRoute> =>
  new Map(
    agents.flatMap(({ config: { id, safe }, sender }) =>
      safe === null || sender === null ? [] : [[id, routeOf(safe, sender)] as const],
    ),
  )

/** Whose key the protector of an agent's Safe acts by, by the agent's id. */
export const protectorsOf = (agents: readonly ActingAgent[]): ReadonlyMap<AgentId, Address> =>
  new Map(
    agents.flatMap(({ config: { id }, protector }) => (protector === null ? [] : [[id, protector] as const])),
  )

/** The most that can be lost, said before anything is signed for the first time. */
export async function worstCaseOnChain(
  agents: readonly ActingAgent[],
  chain: RealChain,
): Promise<readonly string[]> {
  const [rpc] = openRpcs(chain)
  if (rpc === undefined) return []
  const reader = await openStateReader(rpc)
  const lines = await Promise.all(
    agents.map(async (agent) => {
      const { config, account } = agent
      const parameters = rolesParameters(agent, chain.addressBook)
      const risk =
        parameters === null
          ? explainRisk({
              ...{ account, policy: config.policy, role: null },
              holdings: await readHoldings(reader, chain.addressBook, account, account),
            })
          : await riskOfSafe(reader, parameters)
      return [...describeRisk(config.id, risk, money), ...withoutCoins(agent, risk)]
    }),
  )
  return lines.flat()
}

/** Whoever cannot pay for gas can rescue nothing, which is better known before. */
const withoutCoins = ({ config, sender, protector }: ActingAgent, risk: Risk): readonly string[] =>
  [
    { key: sender, gas: risk.thief.gas, who: config.id },
    { key: protector, gas: risk.protector?.thief.gas ?? null, who: `the protector of ${config.id}` },
  ].flatMap(({ key, gas, who }) =>
    key === null || gas !== 0n
      ? []
      : [`  ${paint('yellow', '!')} ${who} cannot pay for gas: send some coins to ${key}.`],
  )
