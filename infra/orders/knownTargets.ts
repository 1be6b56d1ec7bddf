import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Address, getAddress, isAddress } from 'viem'
import type { AgentConfig, KeyConfig } from '../config/loadConfig.ts'

/** Whom an order can be for: agents by their ids, and accounts and keys by their addresses. */
export type KnownTargets = { readonly agents: readonly string[]; readonly accounts: readonly Address[] }

/**
 * Everybody whom an order can name: the agents, their accounts and Safes, the keys that act for them and for their
 * protectors, and every key of the folder. The runtime and whoever gives an order without it ask this alone, so that a
 * name means the same whether the runtime answers or not.
 *
 * @param directory the runtime's folder (`.rialto`)
 * @param told addresses that only who has the keys can say: of one in AWS KMS that is configured without its address
 * @example knownTargets('.rialto', config.agents).agents // ['guardian']
 */
export function knownTargets(
  directory: string,
  agents: readonly Pick<AgentConfig, 'id' | 'account' | 'key' | 'safe'>[],
  told: readonly Address[] = [],
): KnownTargets {
  const configured = agents.flatMap(({ account, key, safe }) => [
    ...(account === null ? [] : [account]),
    ...addressOf(key),
    ...(safe === null ? [] : addressOf(safe.protector.key)),
  ])
  const accounts = [...configured, ...told, ...keystoreAddresses(directory)]
  return {
    agents: agents.map(({ id }) => id),
    accounts: [...new Set(accounts.map((account) => getAddress(account)))],
  }
}

const addressOf = (key: KeyConfig): readonly Address[] =>
  key.kind === 'keystore' || key.address === undefined ? [] : [key.address]

/** Key files are named by address: none of them has to be read, or be whole. */
function keystoreAddresses(directory: string): readonly Address[] {
  const folder = join(directory, 'keystore')
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .map((name) => name.replace(/\.json$/, ''))
    .filter((name) => isAddress(name, { strict: false }))
    .map((name) => getAddress(name))
}
