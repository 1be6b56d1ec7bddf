import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Address, Hex } from 'viem'
import { InvariantError } from '../../../runtime/core/errors.ts'
import { packageFolder } from './artifact.ts'
import type { WorldBuilder } from './builder.ts'

/** Where Multicall3 is on every chain that has it. */
export const MULTICALL3: Address = '0xcA11bde05977b3631167028862bE2a173976CA11'

/** Puts Multicall3 at its usual address, at once: its deployer's key is nobody's here, so its code is written. */
export async function placeMulticall3(builder: WorldBuilder): Promise<void> {
  const runtime = await builder.rpc<Hex>('eth_call', { data: multicall3Creation() }, 'latest')
  await builder.rpc('anvil_setCode', MULTICALL3, runtime)
}

/** viem carries the creation code but does not export it. */
function multicall3Creation(): Hex {
  const source = readFileSync(join(packageFolder('viem'), '_esm/constants/contracts.js'), 'utf8')
  const code = /multicall3Bytecode = '(0x[0-9a-f]+)'/.exec(source)?.[1]
  if (code === undefined) throw new InvariantError('viem no longer carries the code of Multicall3.')
  return code as Hex
}
