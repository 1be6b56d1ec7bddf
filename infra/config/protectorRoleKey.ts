import { hexToString, keccak256, stringToHex } from 'viem'
import type { Hash } from '../../runtime/core/ids.ts'

const ENDING = '-protector'

/**
 * The key of the protector's role where the configuration names none: the name of the agent's role with `-protector`
 * after it, or, where that is no name or would not fit, a hash of both.
 *
 * @example protectorRoleKey(stringToHex('guardian', { size: 32 })) // the bytes of "guardian-protector"
 */
export function protectorRoleKey(roleKey: Hash): Hash {
  const name = hexToString(roleKey).replace(/\0+$/, '')
  const joined = `${name}${ENDING}`
  const isName = /^[A-Za-z0-9_.-]+$/.test(name) && joined.length <= 31
  return (
    isName ? stringToHex(joined, { size: 32 }) : keccak256(`${roleKey}${stringToHex(ENDING).slice(2)}`)
  ) as Hash
}
