import { pad, stringToHex } from 'viem'
import { describe, expect, it } from 'vitest'
import type { Hash } from '../../runtime/core/ids.ts'
import { protectorRoleKey } from './protectorRoleKey.ts'

const named = (text: string) => stringToHex(text, { size: 32 }) as Hash

describe("the key of a protector's role", () => {
  it('is the name of the agent’s with an ending, for as long as that fits', () => {
    expect(protectorRoleKey(named('guardian'))).toBe(named('guardian-protector'))
    expect(protectorRoleKey(named('a'.repeat(21)))).toBe(named(`${'a'.repeat(21)}-protector`))
  })

  it.each<[string, Hash]>([
    ['a name that is too long', named('a'.repeat(22))],
    ['bytes that are no name', `0x${'11'.repeat(32)}`],
    ['a name with bytes in front of it', pad(stringToHex('guardian'), { size: 32 }) as Hash],
  ])('is a hash of both for %s: never the agent’s, and always the same', (_what, roleKey) => {
    const derived = protectorRoleKey(roleKey)
    expect(derived).toMatch(/^0x[0-9a-f]{64}$/)
    expect(derived).not.toBe(roleKey)
    expect(protectorRoleKey(roleKey)).toBe(derived)
  })
})
