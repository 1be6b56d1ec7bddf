import type { Agent } from '../../../runtime/core/agent.ts'
import { systemClock } from '../../../runtime/core/clock.ts'
import { agentId } from '../../../runtime/core/ids.ts'
import type { Journal } from '../../../runtime/core/journal.ts'
import type { Chain } from '../../../runtime/core/ports.ts'
import type { BlockRef } from '../../../runtime/core/snapshot.ts'
import type { Live } from '../../../runtime/live/startLive.ts'
import { createChain } from '../../chain/createChain.ts'
import { openServices, type Services, startEngine, worstCase } from '../../compose.ts'
import type { Config } from '../../config/loadConfig.ts'
import { createAgent } from '../../createAgent.ts'
import type { SignerProcess } from '../../signer/createSignerProcess.ts'
import type { LogLevel } from '../../telemetry/createLogger.ts'
import { createActors } from '../../world/actors.ts'
import { createPlayMeter, type PlayMeter } from '../../world/measurePlay.ts'
import { blocksPlayed, playScenario } from '../../world/playScenario.ts'
import { BLOCK_SECONDS, type World } from '../../world/world.ts'
import { type Play, removeWorldFile } from '../../world/worldFile.ts'
import { money } from '../money.ts'
import { makeReport, type Report } from '../report.ts'
import type { Terminal } from '../terminal.ts'
import { awaitOwners } from './awaitOwners.ts'
import { createEndings } from './endings.ts'
import { narrate } from './narrate.ts'
import {
  beginPlay,
  castOf,
  findWorld,
  openWorld,
  openWorldSigner,
  type PlayRequest,
  playersOf,
} from './openWorld.ts'
import { recovered } from './recovered.ts'

/** A world with everything that plays in it. */
export type Session = {
  readonly world: World
  readonly play: Play
  readonly chain: Chain
  readonly journal: Journal
  readonly services: Services
  readonly signer: SignerProcess
  readonly live: Live
  readonly meter: PlayMeter
  readonly agents: readonly { readonly agent: Agent; readonly policy: Config['agents'][number]['policy'] }[]
  /** Ends everything that this process started; with `andWorld`, the chain too. */
  close(andWorld: boolean): Promise<void>
}

export type SessionOptions = {
  readonly config: Config
  readonly request: PlayRequest
  readonly fresh: boolean
  readonly logLevel: LogLevel
  readonly terminal: Terminal
  onFailure(error: Error): void
}

/**
 * Brings everything up, side by side where it can be, and takes up what an earlier process left.
 * When anything fails, what was started is ended again.
 */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { config, request, terminal } = options
  const { guardian } = playersOf(config)
  const { directory } = config
  // Before anything that would have to be undone: a running play of another scenario is an error.
  const found = await findWorld(directory, request, options.fresh)

  const endings = createEndings(terminal.note)
  let world: World | null = found?.world ?? null
  const close = async (andWorld: boolean) => {
    await endings.run()
    if (andWorld && world !== null) {
      await world.stop()
      await removeWorldFile(directory)
    }
  }
  try {
    const [services, opened] = await settled(
      openServices({ config, logLevel: options.logLevel, terminal, onFailure: options.onFailure }),
      terminal.step(
        'world',
        async () => found?.world ?? (await openWorld(directory)),
        ({ url, pid }) =>
          `${found === null ? 'anvil with Aave v3, Uniswap v3 and Chainlink' : 'found again'}, ${url}, process ${pid}`,
      ),
      (service) => {
        endings.add(() => service.close())
      },
      (running) => {
        world = running
      },
    )
    const chain = await createChain({
      rpcUrl: opened.url,
      chainId: opened.chainId,
      multicall3: opened.addressBook.multicall3,
    })
    const signer = await terminal.step(
      'signer',
      () => openWorldSigner({ config, world: opened, seed: request.seed, logger: services.logger }),
      ({ started, pid }) => `${started.accounts.length} keys, process ${pid}`,
    )
    endings.add(() => signer.close())
    const journal = await services.store.journals.open(opened.chainId, opened.genesisHash)
    const play = found?.play ?? (await beginPlay(directory, opened, chain, request, castOf(config, signer)))
    const agents = config.agents.map((agent) => ({
      agent: createAgent({
        config: agent,
        account: signer.addressOf(agent.id),
        book: opened.addressBook,
        model: agent === guardian ? services.model : null,
        checkpointer: services.checkpointer,
        blockSeconds: BLOCK_SECONDS,
        users: [play.guarded, play.twin],
      }),
      policy: agent.policy,
    }))
    const { live } = await startEngine({
      services,
      chain,
      journal,
      signer,
      book: opened.addressBook,
      blockSeconds: BLOCK_SECONDS,
      agents,
    })
    endings.add(() => live.close())
    for (const line of worstCase(agents, money)) terminal.note(line)
    if (found !== null) {
      const head = await chain.head()
      terminal.note(
        `  took up the play at block ${blocksPlayed(head, BigInt(play.startTimestamp))} of ${play.blocks}`,
      )
      for (const line of recovered(await live.recover(head))) terminal.note(line)
    }
    const meter = createPlayMeter({
      chain,
      url: opened.url,
      book: opened.addressBook,
      accounts: [play.guarded as `0x${string}`, play.twin as `0x${string}`],
      startBlock: BigInt(play.startBlock),
    })
    return { world: opened, play, chain, journal, services, signer, live, meter, agents, close }
  } catch (error) {
    await close(found === null)
    throw error
  }
}

/** Waits for both, hands each to its keeper, and only then throws what failed: nothing is forgotten. */
async function settled<A, B>(
  first: Promise<A>,
  second: Promise<B>,
  keepFirst: (value: A) => void,
  keepSecond: (value: B) => void,
): Promise<[A, B]> {
  const [a, b] = await Promise.allSettled([first, second])
  if (a.status === 'fulfilled') keepFirst(a.value)
  if (b.status === 'fulfilled') keepSecond(b.value)
  if (a.status === 'rejected') throw a.reason
  if (b.status === 'rejected') throw b.reason
  return [a.value, b.value]
}

/** Plays the request to its end, or until the signal, and reports. */
export async function playSession(
  session: Session,
  request: PlayRequest,
  options: {
    readonly realtime: number | null
    readonly signal: AbortSignal
    readonly terminal: Terminal
    readonly config: Config
    readonly startedAt: number
  },
): Promise<Report> {
  const { play, chain, journal, live, meter, world } = session
  const guardian = agentId(playersOf(options.config).guardian.id)
  const path = request.found.scenario.path({ seed: request.seed, blocks: request.found.blocks })
  const tell = narrate({ session, guardian, terminal: options.terminal })
  const owners = awaitOwners({ journal, clock: systemClock, note: options.terminal.note })
  const startTimestamp = BigInt(play.startTimestamp)
  await meter.measure(BigInt(play.startBlock))
  await playScenario({
    actors: createActors(world),
    players: {
      head: () => chain.head(),
      processHead: (head: BlockRef) => live.processHead(head),
      busy: async () => (await journal.inFlight()).length > 0,
      untilAnswered: owners.untilAnswered,
    },
    path,
    startTimestamp,
    realtime: options.realtime,
    signal: options.signal,
    async onBlock(progress) {
      await tell(progress)
      await owners.announce()
    },
  })
  const head = await chain.head()
  await meter.measure(head.number)
  const played = blocksPlayed(head, startTimestamp)
  const [guarded, twin] = await meter.fates()
  if (guarded === undefined || twin === undefined) throw new TypeError('the meter follows two accounts')
  const [runs, intents, attempts] = await Promise.all([
    journal.runs(guardian),
    journal.intents(guardian),
    journal.attempts(guardian),
  ])
  return makeReport({
    scenario: request.found.scenario.name,
    seed: request.seed,
    blocks: Math.min(played, path.length),
    completed: played >= path.length,
    passRule: request.found.scenario.passRule,
    guarded,
    twin,
    runs,
    intents,
    attempts,
    model: session.services.model.name,
    book: world.addressBook,
    durationMs: Math.round(performance.now() - options.startedAt),
  })
}
