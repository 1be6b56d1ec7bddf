import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Address } from 'viem'
import { openKeystore } from '../signer/keystore/openKeystore.ts'
import { openPositions } from '../world/openPositions.ts'
import { POSITION } from '../world/setStage.ts'
import { startWorld, type World } from '../world/world.ts'

/** A stage for one rehearsal: a chain, a position on it, and a configuration that guards it. */
export type DrillStage = {
  readonly world: World
  readonly account: Address
  /** The configuration, absolute. */
  readonly configPath: string
  /** What the configuration keeps everything in. */
  readonly directory: string
  /** Ends the chain and removes everything. */
  close(): Promise<void>
}

/** Seconds between blocks, by the configuration and on the clock. */
export const DRILL_BLOCK_SECONDS = 2

/** The one agent of a drill. */
export const DRILL_AGENT = 'guardian'

/**
 * Sets the stage: a fresh local world with the real protocols, a key made for it, and the position of the local world
 * (40 WETH against 50,769 USDC at a health factor of 1.30), in a folder of its own.
 *
 * @param policyPath the policy that is rehearsed, absolute
 */
export async function prepareDrill(policyPath: string): Promise<DrillStage> {
  const folder = mkdtempSync(join(tmpdir(), 'rialto-drill-'))
  const directory = join(folder, '.rialto')
  const remove = () => rmSync(folder, { recursive: true, force: true })
  try {
    const world = await startWorld()
    try {
      const passphrase = randomBytes(24).toString('base64url')
      writeFileSync(join(folder, 'passphrase'), `${passphrase}\n`, { mode: 0o600 })
      writeFileSync(join(folder, 'addresses.json'), JSON.stringify(world.addressBook))
      const keystore = openKeystore(join(directory, 'keystore'), Buffer.from(passphrase))
      const { address: account } = keystore.create(DRILL_AGENT)
      keystore.close()
      await openPositions(world, [{ account, ...POSITION }])
      const configPath = join(folder, 'rialto.config.json')
      writeFileSync(configPath, JSON.stringify(configOf(world, policyPath), null, 2))
      return {
        world,
        account,
        configPath,
        directory,
        async close() {
          await world.stop()
          remove()
        },
      }
    } catch (error) {
      await world.stop()
      throw error
    }
  } catch (error) {
    remove()
    throw error
  }
}

const configOf = (world: World, policy: string) => ({
  signer: { passphrase: { kind: 'file', path: 'passphrase' } },
  chain: {
    kind: 'rpc',
    rpcUrl: world.url,
    chainId: world.chainId,
    addressBook: 'addresses.json',
    blockSeconds: DRILL_BLOCK_SECONDS,
  },
  agents: [{ id: DRILL_AGENT, role: 'lending-guardian', policy }],
})
