import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { BaseCheckpointSaver } from '@langchain/langgraph'
import type { Address } from 'viem'
import type { LendingGuardianOptions } from '../agents/lending-guardian/index.ts'
import type { AddressBook } from '../runtime/core/addressBook.ts'
import type { Agent } from '../runtime/core/agent.ts'
import { systemClock } from '../runtime/core/clock.ts'
import { describeError, type RialtoError } from '../runtime/core/errors.ts'
import type { AgentId } from '../runtime/core/ids.ts'
import type { RolesRoute } from '../runtime/core/lifecycle.ts'
import type { Chain, Journal, Signer } from '../runtime/core/ports.ts'
import type { BlockRef } from '../runtime/core/snapshot.ts'
import { policyOn, withoutSteps } from '../runtime/guards/graduation.ts'
import type { Policy } from '../runtime/guards/policy.ts'
import { createStandings, type Standings, type Step } from '../runtime/live/standings.ts'
import { type Live, startLive } from '../runtime/live/startLive.ts'
import type { Runtime } from '../runtime/stages/runtime.ts'
import { holdRuns } from './approvals/holdRuns.ts'
import { decodeRevert } from './chain/decodeRevert.ts'
import type { Terminal } from './cli/terminal.ts'
import type { Config } from './config/loadConfig.ts'
import { openInference } from './inference/openInference.ts'
import { openOrders } from './orders/ownerOrders.ts'
import { withOwnerOrders } from './orders/withOwnerOrders.ts'
import { openQueueServer, type QueueServer } from './queue/openQueueServer.ts'
import { describeRisk } from './safe/describeRisk.ts'
import { explainRisk } from './safe/explainRisk.ts'
import { createCheckpointer } from './store/createCheckpointer.ts'
import { openStore, type Store } from './store/openStore.ts'
import { createLogger, type FileLogger, type LogLevel } from './telemetry/createLogger.ts'
import { tellErrors } from './telemetry/tellErrors.ts'

/** What can fail beside the engine while the engine goes on. */
export type Breakable = 'inference' | 'queue' | 'journal'

/** What runs beside the chain: database, queue, model and log. */
export type Services = {
  readonly store: Store
  readonly queue: QueueServer
  readonly model: NonNullable<LendingGuardianOptions['model']>
  readonly checkpointer: BaseCheckpointSaver
  readonly logger: FileLogger
  /** Rialto's folder, where the owner's orders lie. */
  readonly directory: string
  /** Ends one of them under whatever uses it, as a crash of it would: for a rehearsal. */
  readonly breakers: Readonly<Record<Breakable, () => Promise<void>>>
  close(): Promise<void>
}

export type ServicesOptions = {
  readonly config: Config
  readonly logLevel: LogLevel
  readonly terminal: Terminal
  /** Told when the database dies while it is in use: nothing can go on without it. */
  onFailure(error: RialtoError): void
}

/**
 * Opens database, queue and model side by side. When one of them fails, those that are open are closed again: nothing
 * is left half-done.
 */
export async function openServices(options: ServicesOptions): Promise<Services> {
  const { config, terminal, onFailure } = options
  const logger = tellErrors(
    createLogger({
      directory: config.directory,
      level: options.logLevel,
      onFailure: (error) => terminal.note(`rialto: the log cannot be written: ${describeError(error)}`),
    }),
    terminal.note,
  )
  const { databaseUrl } = config.store
  const { redisUrl } = config.queue
  const [store, queue, inference] = await Promise.allSettled([
    terminal.step(
      'journal',
      () =>
        openStore({
          ...(databaseUrl === null ? { directory: config.directory } : { url: databaseUrl }),
          onFailure,
        }),
      ({ database }) => `${database.kind === 'embedded' ? 'PGlite in' : 'PostgreSQL,'} ${database.where}`,
    ),
    terminal.step(
      'queue',
      () =>
        openQueueServer({
          ...(redisUrl === null ? {} : { redisUrl }),
          // The queue is a wake-up: the engine goes on without it, and says so.
          onFailure(error) {
            logger.error({ error: error.toLine() }, 'the embedded queue died: the engine goes on without it')
            terminal.note(
              `rialto: ${error.message} Agents go on without the queue; start again to have it back.`,
            )
          },
        }),
      ({ kind, where }) => `${kind === 'embedded' ? 'Valkey, embedded,' : 'Redis,'} ${where}`,
    ),
    terminal.step(
      'inference',
      () => openInference({ directory: config.directory, config: config.inference, logger }),
      ({ description }) => description,
    ),
  ])
  const open = [store, queue, inference].filter((result) => result.status === 'fulfilled')
  const closeOpen = async () => {
    await Promise.all(open.map(({ value }) => value.close()))
    await logger.close()
  }
  if (store.status === 'rejected' || queue.status === 'rejected' || inference.status === 'rejected') {
    await closeOpen()
    throw [store, queue, inference].find((result) => result.status === 'rejected')?.reason
  }
  for (const note of queue.value.notes) terminal.note(`             ${note}`)
  try {
    return {
      store: store.value,
      queue: queue.value,
      model: { chat: inference.value.chat, name: inference.value.name },
      checkpointer: await createCheckpointer(store.value.database),
      logger,
      directory: config.directory,
      breakers: { inference: inference.value.close, queue: queue.value.close, journal: store.value.close },
      close: closeOpen,
    }
  } catch (error) {
    await closeOpen()
    throw error
  }
}

export type EngineOptions = {
  readonly services: Services
  readonly chain: Chain
  readonly journal: Journal
  readonly signer: Signer
  readonly book: AddressBook
  readonly blockSeconds: number
  readonly agents: readonly { readonly agent: Agent; readonly policy: Policy }[]
  /** How agents whose account is a Safe act for it. */
  readonly routes?: ReadonlyMap<AgentId, RolesRoute>
  /** By whose key their protectors do. */
  readonly protectors?: ReadonlyMap<AgentId, Address>
  /**
   * Whether agents begin on the strictest step of their policies and rise, as they do on a chain that is there already;
   * else the whole policy holds from the first block, as it does in a world.
   */
  readonly graduates?: boolean
  /** Told of every step that an agent takes, up or down. */
  onStep?(step: Step): void
}

export type Engine = { readonly runtime: Runtime; readonly live: Live; readonly standings: Standings }

/** How long a run may think, in milliseconds, when the model does not answer: its own deadline comes first. */
const ANALYSE_TIMEOUT = 30_000

/** Wires the engine: the one place that knows all of its parts. */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const { services, agents } = options
  const journal = withOwnerOrders(options.journal, openOrders(services.directory), services.logger)
  const standings = createStandings({
    chain: options.chain,
    journal,
    signer: options.signer,
    logger: services.logger,
    agents: agents.map(({ agent, policy }) => ({
      agent,
      policy: options.graduates === true ? policyOn(policy, options.chain.chainId) : withoutSteps(policy),
      sender: options.routes?.get(agent.id)?.sender ?? agent.account,
    })),
  })
  const runs = holdRuns({ journal, checkpointer: services.checkpointer, logger: services.logger })
  const runtime: Runtime = {
    chain: options.chain,
    journal,
    signer: options.signer,
    logger: services.logger,
    book: options.book,
    clock: systemClock,
    holder: leaseHolder(services.store),
    blockSeconds: BigInt(options.blockSeconds),
    analyseTimeout: ANALYSE_TIMEOUT,
    explainRevert: decodeRevert,
    policyOf: standings.policyOf,
    routeOf: (agent) => options.routes?.get(agent) ?? null,
    protectorOf: (agent) => options.protectors?.get(agent) ?? null,
  }
  const live = await startLive({
    runtime,
    agents: agents.map(({ agent }) => agent),
    connection: services.queue.connection,
    prefix: queuePrefix(journal),
  })
  const refresh = async (head: BlockRef) => {
    for (const step of await standings.refresh(head)) options.onStep?.(step)
  }
  return {
    runtime,
    standings,
    live: {
      async recover(head) {
        await refresh(head)
        const lines = await live.recover(head)
        await runs.follow()
        return lines
      },
      async processHead(head) {
        await refresh(head)
        await live.processHead(head)
        await runs.follow()
      },
      close: () => live.close(),
    },
  }
}

/**
 * Who holds the leases. The embedded database belongs to one process at a time, so there a successor may take over
 * at once what its predecessor held when it was killed; on a shared one it has to wait until the lease ends.
 */
const leaseHolder = ({ database }: Store): string =>
  database.kind === 'embedded' ? 'owner-of-the-directory' : `${hostname()}.${process.pid}.${randomUUID()}`

/** Block hashes repeat from one local world to the next, and so do job ids: each epoch has queues of its own. */
const queuePrefix = ({ epoch }: Journal): string =>
  `rialto-${epoch.replaceAll(/[^0-9a-z]/gi, '-').slice(0, 40)}`

/** The most that can be lost, said before anything is signed for the first time, without a look at the chain. */
export const worstCase = (
  agents: readonly { agent: Agent; policy: Policy }[],
  money: (usd8: string) => string,
): readonly string[] =>
  agents.flatMap(({ agent: { id, account }, policy }) =>
    describeRisk(id, explainRisk({ account, policy, role: null, holdings: null }), money),
  )
