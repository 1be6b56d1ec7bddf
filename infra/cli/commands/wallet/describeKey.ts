import type { KeyEntry } from '../../../signer/keystore/openKeystore.ts'
import type { Terminal } from '../../terminal.ts'
import type { Wallet } from './openWallet.ts'

/** One line about a key. */
export const describeKey = ({ label, address, path, derivationPath }: KeyEntry): string =>
  `${label}  ${address}${derivationPath === null ? '' : `  (${derivationPath})`}\n  ${path}`

/** Prints a key that has just come into the keystore, and what is to be done with it. */
export function showNewKey(terminal: Terminal, key: KeyEntry, wallet: Wallet, json: boolean): void {
  const next = [
    'back it up: rialto wallet backup --out <file>',
    `fund it: send what it shall manage, and ETH for gas, to ${key.address}`,
    ...(wallet.agents?.includes(key.label) === true
      ? []
      : [`name it in the configuration: agents: [{ id: '${key.label}', role: …, policy: … }]`]),
    'start: rialto start',
  ]
  if (json) {
    terminal.out(JSON.stringify({ ...key, next }))
    return
  }
  terminal.out(describeKey(key))
  terminal.out('Next:')
  for (const [at, step] of next.entries()) terminal.out(`  ${at + 1}. ${step}`)
}
