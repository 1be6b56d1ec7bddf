import { expect, it } from 'vitest'
import { at } from '../../runtime/guards/guardScene.fixture.ts'
import type { SafeConfig } from '../config/loadConfig.ts'
import { roleKeysOn } from './rolesOf.ts'

const key = (digit: number) => `0x${String(digit).repeat(64)}` as const
const safeOn = (modifier: SafeConfig['modifier'], roleKey: number): { readonly safe: SafeConfig } => ({
  safe: {
    ...{ safe: at(0x71), modifier, roleKey: key(roleKey), multiSend: at(0x73), firstBlock: null },
    protector: { label: 'one', key: { kind: 'keystore' }, roleKey: key(roleKey + 1) },
  },
})

it('the roles on a modifier are those of all its agents and of their protectors, and nobody else’s', () => {
  const modifier = at(0xab)
  const shouting = `0x${modifier.slice(2).toUpperCase()}` as const
  const agents = [safeOn(modifier, 1), safeOn(at(0x74), 3), { safe: null }, safeOn(shouting, 5)]
  expect(roleKeysOn(modifier, agents)).toEqual([1, 2, 5, 6].map(key))
})
