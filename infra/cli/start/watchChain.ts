import { systemClock } from '../../../runtime/core/clock.ts'
import { InvalidInputError, type RialtoError } from '../../../runtime/core/errors.ts'
import type { AgentId } from '../../../runtime/core/ids.ts'
import { describeGraduation } from '../../../runtime/live/standings.ts'
import { UnknownAgentError } from '../../../runtime/stages/errors.ts'
import { giveOrder } from '../../api/giveOrder.ts'
import { removeRuntimeFile, writeRuntimeFile } from '../../api/runtimeFile.ts'
import { startStatusServer } from '../../api/statusServer.ts'
import { openDesk } from '../../approvals/desk.ts'
import { requireBook } from '../../chain/checkBook.ts'
import { openChain } from '../../chain/openChain.ts'
import { watchHeads } from '../../chain/watchHeads.ts'
import { openServices, type Services, startEngine } from '../../compose.ts'
import type { AgentConfig, ChainConfig, Config, PassphraseConfig } from '../../config/loadConfig.ts'
import { redactUrl } from '../../config/redactUrl.ts'
import { createAgent } from '../../createAgent.ts'
import { holdDirectory } from '../../directory.ts'
import { knownTargets } from '../../orders/knownTargets.ts'
import { isUnprotected, listGuarded } from '../../protector/findGuarded.ts'
import { memberOf } from '../../protector/memberOf.ts'
import { keepProtector } from '../../protector/startProtector.ts'
import type { SignerProcess } from '../../signer/createSignerProcess.ts'
import type { LogLevel } from '../../telemetry/createLogger.ts'
import { deferLogger } from '../../telemetry/deferLogger.ts'
import { version } from '../../version.ts'
import { type ExitCode, paint, type Terminal } from '../terminal.ts'
import { announceRequests } from './announceRequests.ts'
import { describeMode } from './describeMode.ts'
import { describeAgents } from './describeStatus.ts'
import { createEndings } from './endings.ts'
import { interruption } from './interruption.ts'
import { recovered } from './recovered.ts'
import { requireMemberKeys } from './requireMemberKeys.ts'
import { openRpcs, protectorsOf, requireRoles, routesOf, worstCaseOnChain } from './safeAgents.ts'
import { keystoreLabels, needsKey, signerAccounts } from './signerAccounts.ts'
import { findPassphrase, openChainSigner, signerRuns } from './signerPassphrase.ts'

export type WatchChainOptions = {
  readonly config: Config
  readonly chain: Extract<ChainConfig, { kind: 'rpc' }>
  readonly port: number
  readonly logLevel: LogLevel
  /** One block, and it ends. */
  readonly once: boolean
  /** Whether a protector is started beside it. */
  readonly protector: boolean
  /** Where the keystore's passphrase comes from; null when nobody said. */
  readonly passphrase: PassphraseConfig | null
  readonly terminal: Terminal
  /** Told of the services once they are open: a rehearsal breaks them. */
  onServices?(services: Services): void
}

/**
 * Runs the configured agents on a chain that is there already, block by block, until it is interrupted.
 *
 * @returns 0 when it was interrupted, or after one block with `once`.
 */
export async function watchChain(options: WatchChainOptions): Promise<ExitCode> {
  const { config, terminal, chain: settings } = options
  const folder = await holdDirectory(config.directory)
  const stop = interruption()
  let died: RialtoError | null = null
  /** Ended because somebody asked for it: then nothing is left to be protected from here. */
  let isOrderly = false
  const endings = createEndings(terminal.note)
  endings.add(() => stop.dispose())
  endings.add(() => folder.release())
  terminal.note(
    `${paint('bold', `rialto ${version}`)}  chain ${settings.chainId} at ${settings.nodes.map(({ url }) => redactUrl(url)).join(', ')}`,
  )
  try {
    requireMemberKeys(config)
    const labels = keystoreLabels(config.agents)
    const isOpen = options.passphrase === null && labels.length > 0 && (await signerRuns(config.directory))
    const passphrase = isOpen ? null : await findPassphrase(config.directory, labels, options.passphrase)
    if (passphrase?.kind === 'bytes') endings.add(() => void passphrase.bytes.fill(0))
    const early = deferLogger()
    const chain = await terminal.step(
      'chain',
      () => openChain(settings, early),
      ({ quorum }) =>
        settings.nodes.length === 1
          ? `chain ${settings.chainId} answers, with eth_simulateV1`
          : `chain ${settings.chainId} answers, with eth_simulateV1; ${quorum} of ${settings.nodes.length} RPCs have to agree`,
    )
    await terminal.step(
      'contracts',
      () =>
        requireBook({
          rpcs: openRpcs(settings),
          quorum: settings.quorum,
          book: settings.addressBook,
          acts: config.agents.some(({ policy }) => policy.mode !== 'observe'),
        }),
      (hosts) => `everything is where the address book says (${hosts.join(', ')})`,
    )
    const services = await openServices({
      config,
      logLevel: options.logLevel,
      terminal,
      onFailure(error) {
        died ??= error
        stop.abort()
      },
    })
    early.to(services.logger)
    endings.add(() => services.close())
    options.onServices?.(services)
    const genesisHash = await chain.genesisHash()
    const signer = await terminal.step(
      'signer',
      () =>
        openChainSigner(
          {
            directory: config.directory,
            chainId: settings.chainId,
            genesisHash,
            book: settings.addressBook,
            logger: services.logger,
            accounts: signerAccounts(config.agents),
          },
          passphrase,
          (line) => terminal.note(`  ${paint('yellow', '!')} ${line}`),
        ),
      ({ started }) =>
        started.accounts
          .map(
            ({ label, address, created }) =>
              `${label} ${address}${created ? ' (new: back up the keystore)' : ''}`,
          )
          .join(', ') || 'no key is needed to observe',
    )
    endings.add(() => signer.close())
    const acting = config.agents.map((agent) => ({
      config: agent,
      account: accountOf(agent, signer),
      sender: needsKey(agent) ? signer.addressOf(agent.id) : null,
      protector: protectorOf(agent, signer),
    }))
    if (acting.some((agent) => agent.config.safe !== null && agent.sender !== null))
      await terminal.step(
        'role',
        () => requireRoles(acting, settings),
        (lines) => lines.join('; '),
      )
    const agents = acting.map(({ config: agent, account }) => ({
      agent: createAgent({
        config: agent,
        account,
        book: settings.addressBook,
        model: services.model,
        checkpointer: services.checkpointer,
        blockSeconds: settings.blockSeconds,
        users: [],
      }),
      policy: agent.policy,
    }))
    const journal = await services.store.journals.open(settings.chainId, genesisHash)
    const policyOf = (id: AgentId) => find(config.agents, id).policy
    const { live, standings } = await startEngine({
      services,
      chain,
      journal,
      signer,
      book: settings.addressBook,
      blockSeconds: settings.blockSeconds,
      agents,
      routes: routesOf(acting),
      protectors: protectorsOf(acting),
      graduates: true,
      onStep: ({ agent, to }) => terminal.note(`  ${describeGraduation(agent, policyOf(agent), to)}`),
    })
    endings.add(() => live.close())
    const { guarded, keyless } = listGuarded(config)
    for (const { id, safe } of config.agents.filter(isUnprotected))
      terminal.note(
        `  ${paint('yellow', '!')} ${id}: nobody protects the Safe ${safe?.safe}, for which its policy reserves nothing (protector)`,
      )
    for (const { config: agent, error } of keyless)
      terminal.note(`  ${paint('yellow', '!')} ${agent.id}: no protector stands behind it: ${error.toLine()}`)
    const protector =
      guarded.length > 0 && options.protector
        ? keepProtector(config.path, settings.blockSeconds * 1_000, (why) =>
            terminal.note(
              `  ${paint('yellow', '!')} The protector ended (${why}), and is started again in ${settings.blockSeconds} s; the log says more.`,
            ),
          )
        : null
    if (protector !== null) {
      endings.add(() => {
        if (isOrderly) return protector.stop()
        if (protector.pid !== null)
          terminal.note(`  The protector, process ${protector.pid}, goes on: rialto protect --stop ends it.`)
      })
      terminal.note(
        `  protector, process ${protector.pid}: rescues by rule alone, under the hard floor, if all else is down`,
      )
    }
    const session = { chain, journal, agents, standings }
    const held = signer.started.accounts.map(({ address }) => address)
    const known = () => knownTargets(config.directory, config.agents, held)
    const server = await startStatusServer({
      port: options.port,
      status: () => describeAgents(session, 'watching'),
      known,
      order: (order) => giveOrder(services.store.journals, order, known()),
      approvals: openDesk([journal], systemClock),
    })
    endings.add(() => server.close())
    endings.add(() => removeRuntimeFile(config.directory))
    await writeRuntimeFile(config.directory, { pid: process.pid, url: server.url, token: server.token })
    for (const line of await worstCaseOnChain(acting, settings)) terminal.note(line)
    terminal.note(`  status at ${server.url} (rialto status), log in ${services.logger.path}\n`)

    await standings.refresh(await chain.head())
    for (const agent of config.agents)
      for (const line of describeMode(agent, settings.chainId, standings.graduationOf(agent.id)))
        terminal.note(`  ${line}`)

    for (const line of recovered(await live.recover(await chain.head()))) terminal.note(line)
    const heads = watchHeads(chain, {
      signal: stop.signal,
      pollInterval: Math.min(settings.blockSeconds * 250, 2_000),
      onError: (error) => terminal.note(`  ${error.toLine()}`),
    })
    const requests = announceRequests(journal)
    for await (const { head } of heads) {
      await live.processHead(head)
      for (const line of await requests()) terminal.note(`  ${line}`)
      for (const { id, lastDecision } of (await describeAgents(session, 'watching')).agents)
        terminal.note(
          `  block ${head.number}  ${id}: ${
            lastDecision?.block === Number(head.number)
              ? `${lastDecision.intent}, ${lastDecision.reason}`
              : 'no decision; the log says why'
          }`,
        )
      if (options.once) break
    }
    if (died !== null) throw died
    isOrderly = true
    return 0
  } catch (error) {
    throw died ?? error
  } finally {
    await endings.run()
  }
}

function find(agents: readonly AgentConfig[], id: AgentId): AgentConfig {
  const found = agents.find((agent) => agent.id === id)
  if (found === undefined) throw new UnknownAgentError(id)
  return found
}

/** The key by which the protector of an agent's Safe acts. */
function protectorOf(agent: AgentConfig, signer: SignerProcess): `0x${string}` | null {
  const member = needsKey(agent) ? memberOf(agent) : null
  return member === null ? null : signer.addressOf(member.label)
}

/** The account that is configured, if it is the one whose key is there, or a Safe that the key acts for. */
function accountOf(agent: AgentConfig, signer: SignerProcess): `0x${string}` {
  if (agent.safe !== null) return agent.safe.safe
  if (agent.account !== null && !needsKey(agent)) return agent.account
  const held = signer.addressOf(agent.id)
  if (agent.account === null || agent.account === held) return held
  throw new InvalidInputError(`There is no key for ${agent.account}, the account of agent "${agent.id}".`, {
    fix: `Move the position to ${held}, whose key is in the keystore, or set the agent's mode to "observe".`,
  })
}
