import { join } from 'node:path'
import { type Address, isAddressEqual } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import type { TradingScope } from '../../runtime/core/journal.ts'
import { requireDestination } from '../../runtime/guards/evacuation.ts'
import type { AgentConfig, Config, SafeConfig } from '../config/loadConfig.ts'
import { listKeys } from '../signer/keystore/openKeystore.ts'
import type { SafeEvacuee } from './prepareSafe.ts'
import type { Evacuee } from './runEvacuation.ts'

/** Accounts that the signer's keys evacuate, and Safes, which their owners do. */
export type Evacuees = { readonly own: readonly Evacuee[]; readonly safes: readonly SafeEvacuee[] }

/**
 * The accounts that an order is about: of one agent, one account, or all agents that have a key.
 *
 * @throws {InvalidInputError} naming the first agent that cannot be evacuated, and what to do about it.
 */
export function findEvacuees(
  { agents, directory }: Pick<Config, 'agents' | 'directory'>,
  book: AddressBook,
  scope: TradingScope,
): Evacuees {
  const found = agents
    .map((config) => ({ config, account: accountOf(config, directory) }))
    .filter(({ config, account }) => isMeant(config, account, scope))
  if (found.length === 0)
    throw new InvalidInputError('No agent of the configuration is meant by that.', {
      fix: `Name one of ${agents.map(({ id }) => id).join(', ')}, or leave --agent and --account out to mean all.`,
    })
  const safes = found.flatMap(({ config }) =>
    config.safe === null ? [] : [toSafe(config, config.safe, book)],
  )
  const own = found
    .filter(({ config }) => config.safe === null)
    // Who watches somebody else's position has nothing to evacuate, and is passed over unless it is named.
    .filter(({ config }) => scope !== 'all' || hasKey(config))
    .map(({ config, account }) => toEvacuee(config, account, book))
  if (own.length === 0 && safes.length === 0)
    throw new InvalidInputError('No agent of the configuration has a key, so there is nothing to evacuate.')
  // Two agents on one account share its funds and its nonces: the first one's limits do for both.
  return { own: firstOfEach(own), safes: firstOfEach(safes) }
}

const firstOfEach = <Of extends { readonly account: Address }>(all: readonly Of[]): readonly Of[] =>
  all.filter(
    ({ account }, index) => all.findIndex((other) => isAddressEqual(other.account, account)) === index,
  )

function toSafe(config: AgentConfig, safe: SafeConfig, book: AddressBook): SafeEvacuee {
  const { evacuateTo: destination } = config
  if (destination !== null) requireDestination(destination, book, safe.safe)
  return { config, safe, account: safe.safe, destination }
}

const hasKey = ({ account, policy }: AgentConfig): boolean => account === null || policy.mode !== 'observe'

function isMeant({ id }: AgentConfig, account: Address | null, scope: TradingScope): boolean {
  if (scope === 'all') return true
  if ('agent' in scope) return scope.agent === id
  return account !== null && isAddressEqual(account, scope.account)
}

/** As far as it is known without a signer. */
function accountOf({ id, account, key }: AgentConfig, directory: string): Address | null {
  if (account !== null) return account
  if (key.kind !== 'keystore') return key.address ?? null
  return listKeys(join(directory, 'keystore')).find(({ label }) => label === id)?.address ?? null
}

function toEvacuee(config: AgentConfig, account: Address | null, book: AddressBook): Evacuee {
  const { id, evacuateTo } = config
  const refuse = (why: string, fix: string): InvalidInputError =>
    new InvalidInputError(`Agent "${id}" cannot be evacuated: ${why}.`, { code: 'NOT_EVACUABLE', fix })
  if (!hasKey(config))
    throw refuse('it only observes, and has no key', 'Use the key of the account it observes.')
  if (evacuateTo === null)
    throw refuse(
      'the configuration does not say where to',
      'Set evacuateTo of the agent to an address of the owner.',
    )
  if (account === null)
    throw refuse(
      'its account is not known',
      config.key.kind === 'keystore'
        ? `Make its key with "rialto wallet create --label ${id}".`
        : "Set the address of the agent's key.",
    )
  requireDestination(evacuateTo, book, account)
  return { config, account, destination: evacuateTo }
}
