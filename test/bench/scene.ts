import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createChain } from '../../infra/chain/createChain.ts'
import { openServices, type Services } from '../../infra/compose.ts'
import { type Config, loadConfig } from '../../infra/config/loadConfig.ts'
import { createSignerProcess, type SignerProcess } from '../../infra/signer/createSignerProcess.ts'
import { type Actors, createActors } from '../../infra/world/actors.ts'
import { openPositions } from '../../infra/world/openPositions.ts'
import { POSITION } from '../../infra/world/setStage.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import type { Chain, Journal } from '../../runtime/core/ports.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import { silentTerminal } from './silentTerminal.ts'

/** A world with many equal borrowers, and all services around it: what the benchmarks play on. */
export type Scene = {
  readonly world: World
  readonly actors: Actors
  readonly chain: Chain
  readonly services: Services
  readonly signer: SignerProcess
  readonly journal: Journal
  readonly policy: Policy
  readonly labels: readonly string[]
  close(): Promise<void>
}

const POSITIONS_PER_BLOCK = 24

export async function openScene(borrowers: number, redisUrl: string | null): Promise<Scene> {
  const directory = await mkdtemp(join(tmpdir(), 'rialto-bench-'))
  const loaded = await loadConfig('rialto.config.ts', { directory })
  const config: Config = { ...loaded, queue: { redisUrl } }
  const policy = config.agents.find(({ role }) => role === 'lending-guardian')?.policy
  if (policy === undefined) throw new TypeError('the shipped configuration has a guardian')
  const world = await startWorld()
  const services = await openServices({
    config,
    logLevel: 'error',
    terminal: silentTerminal,
    onFailure: (error) => {
      throw error
    },
  })
  const labels = Array.from({ length: borrowers }, (_, index) => `borrower-${index}`)
  const signer = await createSignerProcess({
    directory,
    chainId: world.chainId,
    genesisHash: world.genesisHash,
    book: world.addressBook,
    accounts: labels.map((label) => ({ label, key: { kind: 'derived', seed: 'bench' }, policies: [policy] })),
  })
  const chain = await createChain({
    rpcUrl: world.url,
    chainId: world.chainId,
    multicall3: world.addressBook.multicall3,
  })
  // What many open does not fit into one block.
  for (let first = 0; first < labels.length; first += POSITIONS_PER_BLOCK)
    await openPositions(
      world,
      labels
        .slice(first, first + POSITIONS_PER_BLOCK)
        .map((label) => ({ account: signer.addressOf(label), ...POSITION })),
    )
  return {
    world,
    actors: createActors(world),
    chain,
    services,
    signer,
    journal: await services.store.journals.open(world.chainId, world.genesisHash),
    policy,
    labels,
    async close() {
      await signer.close()
      await services.close()
      await world.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
