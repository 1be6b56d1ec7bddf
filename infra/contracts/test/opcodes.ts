import type { Hex } from 'viem'

const NAMES: Readonly<Record<number, string>> = {
  84: 'SLOAD',
  85: 'SSTORE',
  92: 'TLOAD',
  93: 'TSTORE',
  240: 'CREATE',
  241: 'CALL',
  242: 'CALLCODE',
  244: 'DELEGATECALL',
  245: 'CREATE2',
  255: 'SELFDESTRUCT',
}
const [PUSH1, PUSH32, INVALID] = [0x60, 0x7f, 0xfe]

/**
 * Which of the telling opcodes occur in creation code, the code that it leaves on the chain included. Data that
 * PUSH carries is skipped; INVALID, with which solc parts the two, is stepped over.
 */
export function opcodesOf(bytecode: Hex): ReadonlySet<string> {
  const bytes = Buffer.from(bytecode.slice(2), 'hex')
  const found = new Set<string>()
  for (let at = 0; at < bytes.length; at++) {
    const opcode = bytes[at] ?? INVALID
    if (opcode >= PUSH1 && opcode <= PUSH32) at += opcode - PUSH1 + 1
    const name = NAMES[opcode]
    if (name !== undefined) found.add(name)
  }
  return found
}
