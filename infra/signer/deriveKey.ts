import { type Hex, keccak256, stringToHex } from 'viem'

/**
 * The key of an account of the *local world*: the same label and seed give the same key on every machine, so that a
 * scenario gives the same calldata everywhere. Whoever knows the seed has the key; it is worth nothing elsewhere.
 *
 * @example privateKeyToAccount(deriveKey({ label: 'guarded', seed: '7' })).address
 */
export const deriveKey = ({ label, seed }: { readonly label: string; readonly seed: string }): Hex =>
  keccak256(stringToHex(JSON.stringify(['rialto local world key v1', label, seed])))
