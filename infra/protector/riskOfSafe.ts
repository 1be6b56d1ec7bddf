import { wei } from '../../runtime/core/units.ts'
import type { StateReader } from '../chain/stateReader.ts'
import { explainRisk, type Risk } from '../safe/explainRisk.ts'
import { readHoldings } from '../safe/readHoldings.ts'
import { type RolesParameters, rolesOf } from './rolesOf.ts'

/**
 * The worst case of a Safe: by policy, and by a thief of its agent's key, of its protector's, and of both.
 *
 * @throws {ReadFailedError} when a contract of the address book is not there.
 */
export async function riskOfSafe(reader: StateReader, parameters: RolesParameters): Promise<Risk> {
  const { safe, policy, book, sender, protector } = parameters
  const { role, protectorRole } = rolesOf(parameters)
  const holdings = await readHoldings(reader, book, safe.safe, sender)
  if (protector === null) return explainRisk({ account: safe.safe, policy, role, holdings })
  const gas = protector.sender === null ? null : wei(await reader.balance(protector.sender))
  return explainRisk({
    ...{ account: safe.safe, policy, role, holdings },
    protector: { role: protectorRole, policy: protector.policy, gas },
  })
}
