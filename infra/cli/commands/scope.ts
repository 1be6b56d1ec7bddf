import { getAddress, isAddress } from 'viem'
import { InvalidInputError } from '../../../runtime/core/errors.ts'
import { agentId } from '../../../runtime/core/ids.ts'
import type { TradingScope } from '../../../runtime/core/journal.ts'

/**
 * Whom `--agent` and `--account` name; all where neither is given.
 *
 * @throws {InvalidInputError} for an account that is no address.
 */
export function scopeOf({
  agent,
  account,
}: {
  readonly agent?: string
  readonly account?: string
}): TradingScope {
  if (agent !== undefined) return { agent: agentId(agent) }
  if (account === undefined) return 'all'
  if (isAddress(account)) return { account: getAddress(account) }
  throw new InvalidInputError(`"${account}" is no address, or its checksum is wrong.`, {
    fix: 'Copy it again, or leave --account out to mean all of them.',
  })
}
