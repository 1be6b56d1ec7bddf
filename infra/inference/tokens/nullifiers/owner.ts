import { randomBytes } from 'node:crypto'
import { InvariantError } from '../../../../runtime/core/errors.ts'

/** What an owner looks like: it stands in records and answers. */
export const OWNER = /^[!-~]{1,64}$/

/** The given owner, or a random one: 64 bits, so that no two openings of a store share one by chance. */
export function ownerOr(given: string | undefined): string {
  if (given === undefined) return randomBytes(8).toString('hex')
  if (!OWNER.test(given)) throw new InvariantError('An owner is 1 to 64 printable characters without blanks.')
  return given
}
