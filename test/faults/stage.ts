import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keccak256, toHex } from 'viem'
import type { Services } from '../../infra/compose.ts'
import { openQueueServer } from '../../infra/queue/openQueueServer.ts'
import { createSignerProcess, type SignerProcess } from '../../infra/signer/createSignerProcess.ts'
import { createCheckpointer } from '../../infra/store/createCheckpointer.ts'
import { createLogger } from '../../infra/telemetry/createLogger.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Journal } from '../../runtime/core/ports.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import { embeddedTestStore, serverTestStore } from '../conformance/journalStores.ts'

/**
 * The real things that many schedules share, since each takes seconds to start: one anvil, one database, one queue and
 * one signer process with an account for each schedule.
 */
export type Stage = {
  readonly world: World
  readonly services: Services
  readonly signer: SignerProcess
  /** A journal of a schedule's own: nothing that one did is to be seen by another. */
  journalOf(schedule: string): Promise<Journal>
  close(): Promise<void>
}

/** An account that the signer acts for, under all policies that schedules may draw for it. */
export type StageAccount = { readonly label: string; readonly policies: readonly Policy[] }

/** The key of every account here derives from it. */
export const KEY_SEED = 'faults'

/** Embedded database and queue, or the servers that `TEST_DATABASE_URL` and `TEST_REDIS_URL` name. */
export async function openStage(accounts: readonly StageAccount[]): Promise<Stage> {
  const directory = await mkdtemp(join(tmpdir(), 'rialto-faults-'))
  const { TEST_DATABASE_URL, TEST_REDIS_URL } = process.env
  const [world, { store, remove }, queue] = await Promise.all([
    startWorld(),
    TEST_DATABASE_URL === undefined ? embeddedTestStore() : serverTestStore(),
    openQueueServer({ redisUrl: TEST_REDIS_URL }),
  ])
  const logger = createLogger({
    directory,
    level: 'info',
    onFailure(error) {
      throw error
    },
  })
  const signer = await createSignerProcess({
    directory,
    chainId: world.chainId,
    genesisHash: world.genesisHash,
    book: world.addressBook,
    accounts: accounts.map(({ label, policies }) => ({
      label,
      key: { kind: 'derived', seed: KEY_SEED },
      policies,
    })),
  })
  const never = async () => {
    throw new InvariantError('Nothing of the stage is broken by the engine.')
  }
  return {
    world,
    signer,
    services: {
      store,
      queue,
      // The agents here decide by rule.
      model: { chat: null as never, name: 'none' },
      checkpointer: await createCheckpointer(store.database),
      logger,
      directory,
      breakers: { inference: never, queue: never, journal: never },
      close: async () => undefined,
    },
    journalOf: (schedule) => store.journals.open(world.chainId, genesisOf(schedule)),
    async close() {
      await signer.close()
      await remove()
      await queue.close()
      await logger.close()
      await world.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** All schedules begin from one state of one chain; for the journal, each is a world of its own. */
const genesisOf = (schedule: string): Hash => keccak256(toHex(`genesis of ${schedule}`))
