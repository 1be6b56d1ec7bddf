import type { AgentConfig, KeyConfig } from '../../config/loadConfig.ts'
import { memberOf } from '../../protector/memberOf.ts'
import type { SignerAccount } from '../../signer/messages.ts'
import { signerSafeOf } from './safeAgents.ts'

/** Whether an agent needs a key: one that only observes somebody else's account does not. */
export const needsKey = ({ account, policy }: Pick<AgentConfig, 'account' | 'policy'>): boolean =>
  account === null || policy.mode !== 'observe'

/**
 * What the signer is started with for the agents of a configuration, and for the protectors of their Safes. Whoever
 * starts it from the same configuration starts the same, so that one that runs can be taken over.
 */
export const signerAccounts = (agents: readonly AgentConfig[]): readonly SignerAccount[] =>
  agents.filter(needsKey).flatMap((agent) => [
    {
      label: agent.id,
      key: keyOf(agent.key),
      // The whole one: the signer derives the steps by which its agent rises, and counts what it has earned, itself.
      policies: [agent.policy],
      ...(agent.safe === null ? {} : { safe: signerSafeOf(agent.safe) }),
      ...(agent.evacuateTo === null ? {} : { evacuateTo: agent.evacuateTo }),
    },
    ...protectorAccounts(agent),
  ])

function protectorAccounts(agent: AgentConfig): readonly SignerAccount[] {
  const member = memberOf(agent)
  if (member === null) return []
  const { label, key, safe, roleKey, policy } = member
  return [
    {
      label,
      key: keyOf(key),
      policies: [policy],
      safe: signerSafeOf({ ...safe, roleKey }),
      protects: agent.id,
    },
  ]
}

/** Keys that have to be in the keystore, by label. */
export const keystoreLabels = (agents: readonly AgentConfig[]): readonly string[] =>
  signerAccounts(agents).flatMap(({ label, key }) => (key.kind === 'stored' ? [label] : []))

function keyOf(key: KeyConfig): SignerAccount['key'] {
  switch (key.kind) {
    case 'keystore':
      return { kind: 'stored' }
    case 'remote': {
      const { kind, url, address, dialect } = key
      return { kind, url, address, ...(dialect === undefined ? {} : { dialect }) }
    }
    case 'kms': {
      const { kind, keyId, region, address } = key
      return {
        kind,
        keyId,
        ...(region === undefined ? {} : { region }),
        ...(address === undefined ? {} : { address }),
      }
    }
  }
}
