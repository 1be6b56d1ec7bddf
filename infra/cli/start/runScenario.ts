import { systemClock } from '../../../runtime/core/clock.ts'
import type { RialtoError } from '../../../runtime/core/errors.ts'
import { giveOrder } from '../../api/giveOrder.ts'
import { removeRuntimeFile, writeRuntimeFile } from '../../api/runtimeFile.ts'
import { startStatusServer } from '../../api/statusServer.ts'
import { type ApprovalDesk, openDesk } from '../../approvals/desk.ts'
import type { Config } from '../../config/loadConfig.ts'
import { holdDirectory } from '../../directory.ts'
import { knownTargets } from '../../orders/knownTargets.ts'
import type { LogLevel } from '../../telemetry/createLogger.ts'
import { version } from '../../version.ts'
import { WorldGoneError } from '../../world/errors.ts'
import { attachWorld, type World } from '../../world/world.ts'
import { renderReport } from '../renderReport.ts'
import type { Report } from '../report.ts'
import { type ExitCode, paint, type Terminal } from '../terminal.ts'
import { describeStatus } from './describeStatus.ts'
import { createEndings } from './endings.ts'
import { interruption } from './interruption.ts'
import { type PlayRequest, playersOf } from './openWorld.ts'
import { openSession, playSession, type Session } from './playWorld.ts'

export type RunScenarioOptions = {
  readonly config: Config
  readonly request: PlayRequest
  readonly realtime: number | null
  readonly once: boolean
  readonly json: boolean
  readonly fresh: boolean
  readonly port: number
  readonly logLevel: LogLevel
  readonly terminal: Terminal
  readonly startedAt: number
}

/**
 * Plays a scenario from the first line to the last: services up, the play, the report; then it stays and serves its
 * status until it is interrupted, or ends at once.
 */
export async function runScenario(options: RunScenarioOptions): Promise<ExitCode> {
  const { config, request, terminal } = options
  // Before anything is touched: whether the configuration has who plays in it.
  playersOf(config)
  const folder = await holdDirectory(config.directory)
  const stop = interruption()
  let died: RialtoError | null = null
  let report: Report | null = null
  terminal.note(
    `${paint('bold', `rialto ${version}`)}  ${request.found.scenario.name}: ${request.found.scenario.summary}`,
  )

  const endings = createEndings(terminal.note)
  endings.add(() => stop.dispose())
  endings.add(() => folder.release())
  const opened = promised<Session>()
  let session: Session | null = null
  const known = () =>
    knownTargets(
      config.directory,
      config.agents,
      session?.agents.map(({ agent }) => agent.account),
    )
  // A play that broke off by itself can be gone on with, so its world is left alone.
  let isOver = false
  try {
    // The port first: that it is taken is known before anything is started.
    const server = await startStatusServer({
      port: options.port,
      status: () => describeStatus(session, request, report),
      known,
      // One that comes during the start waits for the journal, and holds from the first block on.
      order: async (order) => giveOrder((await opened.promise).services.store.journals, order, known()),
      approvals: deskOf(opened.promise),
    })
    endings.add(() => server.close())
    endings.add(() => removeRuntimeFile(config.directory))
    await writeRuntimeFile(config.directory, { pid: process.pid, url: server.url, token: server.token })
    session = await openSession({
      config,
      request,
      fresh: options.fresh,
      logLevel: options.logLevel,
      terminal,
      onFailure(error) {
        died ??= error as RialtoError
        stop.abort()
      },
    })
    const { world, close } = session
    endings.add(async () => {
      await close(isOver)
      if (!isOver && (await isThere(world)))
        terminal.note('  The world runs on. Start again to go on with the play, or with --fresh to end it.')
    })
    opened.resolve(session)
    terminal.note(`  status at ${server.url} (rialto status), log in ${session.services.logger.path}\n`)
    report = await playSession(session, request, { ...options, signal: stop.signal })
    if (died !== null) throw died
    isOver = true
    if (stop.signal.aborted && report.blocks < request.found.blocks) {
      terminal.note(
        `  interrupted at block ${report.blocks} of ${request.found.blocks}; the world and its play are gone`,
      )
      return 1
    }
    terminal.out(options.json ? JSON.stringify(report) : renderReport(report))
    if (!options.once && !stop.signal.aborted) {
      terminal.note(
        '  It stays up and serves its status. Ctrl-C ends it, with every process that it started.',
      )
      await stop.untilAborted()
      if (died !== null) throw died
    }
  } catch (error) {
    opened.reject(error)
    // What a dead service or world makes of the rest is no news; why it died is.
    throw (
      died ?? (session !== null && !(await isThere(session.world)) ? goneError(session.world, error) : error)
    )
  } finally {
    await endings.run()
  }
  return report.passed ? 0 : 1
}

/** People who are asked during the start wait for the journal, too. */
function deskOf(opened: Promise<Session>): ApprovalDesk {
  const desk = async () => openDesk([(await opened).journal], systemClock)
  return {
    list: async (all) => (await desk()).list(all),
    approve: async (...answer) => (await desk()).approve(...answer),
    reject: async (...answer) => (await desk()).reject(...answer),
  }
}

/** Whether the world still answers. */
async function isThere(world: World): Promise<boolean> {
  try {
    await attachWorld(world)
    return true
  } catch (error) {
    if (error instanceof WorldGoneError) return false
    throw error
  }
}

const goneError = ({ pid, url }: World, cause: unknown) => new WorldGoneError(pid, url, cause)

/** A promise that is kept from outside. Nobody has to wait for it: that it is broken is then no news. */
function promised<T>(): {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
} {
  let settle: { resolve(value: T): void; reject(error: unknown): void } | undefined
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  promise.catch(() => undefined)
  return {
    promise,
    resolve: (value) => settle?.resolve(value),
    reject: (error) => settle?.reject(error),
  }
}
