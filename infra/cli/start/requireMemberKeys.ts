import { join } from 'node:path'
import { InvalidInputError } from '../../../runtime/core/errors.ts'
import type { Config } from '../../config/loadConfig.ts'
import { memberOf } from '../../protector/memberOf.ts'
import { listKeys } from '../../signer/keystore/openKeystore.ts'
import { needsKey } from './signerAccounts.ts'

/**
 * Says which key of a Safe's members the keystore lacks, before anything is started. Elsewhere a missing key is made; but
 * one that is new is no member of any role.
 *
 * @throws {InvalidInputError} `NO_KEY`, saying what to do.
 */
export function requireMemberKeys({ agents, directory }: Pick<Config, 'agents' | 'directory'>): void {
  const there = listKeys(join(directory, 'keystore')).map(({ label }) => label)
  for (const agent of agents.filter(needsKey)) {
    const { id, key, safe } = agent
    if (safe === null) continue
    const member = memberOf(agent)
    const wanted = [
      { label: id, key, who: 'the agent' },
      ...(member === null ? [] : [{ ...member, who: `the protector of ${id}` }]),
    ]
    const missing = wanted.find((each) => each.key.kind === 'keystore' && !there.includes(each.label))
    if (missing !== undefined)
      throw new InvalidInputError(
        `There is no key for "${missing.label}", by which ${missing.who} acts for the Safe ${safe.safe}.`,
        {
          code: 'NO_KEY',
          fix: `Make one with "rialto wallet create --label ${missing.label}", give its address coins for gas, and let it act with "rialto policy apply".`,
        },
      )
  }
}
