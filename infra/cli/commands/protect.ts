import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { describeError, InvalidInputError } from '../../../runtime/core/errors.ts'
import { formatWad } from '../../../runtime/core/units.ts'
import { requireBook } from '../../chain/checkBook.ts'
import { openChain } from '../../chain/openChain.ts'
import { findDirectory } from '../../config/findDirectory.ts'
import { type Config, loadConfig } from '../../config/loadConfig.ts'
import { loadEnvironment } from '../../config/loadEnvironment.ts'
import { openOrders } from '../../orders/ownerOrders.ts'
import { findGuarded, isUnprotected } from '../../protector/findGuarded.ts'
import { runProtector } from '../../protector/runProtector.ts'
import { connectSigner } from '../../signer/connectSigner.ts'
import { SignerError } from '../../signer/errors.ts'
import { endHolder, lockFolder } from '../../signer/lock.ts'
import { openLog } from '../openLog.ts'
import { createEndings } from '../start/endings.ts'
import { interruption } from '../start/interruption.ts'
import { openRpcs } from '../start/safeAgents.ts'
import type { Terminal } from '../terminal.ts'

type Options = {
  readonly config?: string
  readonly grace: bigint
  readonly takeOver?: boolean
  readonly stop?: boolean
  readonly json?: boolean
}

/** Blocks under the hard floor that the agent has before the protector acts. */
export const GRACE_BLOCKS = 1n

/** `rialto protect`: the exit without a brain, as a process of its own. `rialto start` starts one beside itself. */
export function protectCommand(terminal: Terminal): Command {
  return new Command('protect')
    .description(
      'protect the positions of the configuration by rule alone, under the hard floor, whatever else is down; needs the chain and the signer that "rialto start" runs',
    )
    .option('--config <file>', 'the configuration (default: rialto.config.ts in this folder)')
    .option('--grace <blocks>', 'blocks under the hard floor before it acts', blocks, GRACE_BLOCKS)
    .option('--take-over', 'end the protector that runs on the folder, and take its place')
    .option('--stop', 'end the protector that runs on the folder, and start none')
    .option('--json', 'print one JSON object for each block and position')
    .action(async (options: Options) => {
      const environment = loadEnvironment(process.env)
      const config = await loadConfig(options.config, environment).catch(async (error: unknown) => {
        await logEnd(error, await findDirectory(environment, options.config), terminal)
        throw error
      })
      if (options.stop === true) stop(config, terminal)
      else await protect(config, options, terminal)
    })
}

function blocks(text: string): bigint {
  if (/^\d{1,6}$/.test(text)) return BigInt(text)
  throw new InvalidArgumentError('It must be a whole number of blocks.')
}

/** Why it ends before it began: one that the runtime starts has no terminal. Where nothing was ever started, none is made. */
async function logEnd(error: unknown, directory: string, terminal: Terminal): Promise<void> {
  if (!existsSync(directory)) return
  const logger = openLog(directory, terminal)
  logger.error({ error: describeError(error) }, ENDS)
  await logger.close()
}

/** What the log says when it ends by itself. */
const ENDS = 'the protector ends'

const lockOf = (directory: string): string => join(directory, 'protector.lock')

function stop({ directory }: Config, terminal: Terminal): void {
  const pid = endHolder(lockOf(directory))
  terminal.out(
    pid === null ? `No protector runs on ${directory}.` : `The protector, process ${pid}, was told to end.`,
  )
}

async function protect(config: Config, options: Options, terminal: Terminal): Promise<void> {
  const { chain: settings, directory } = config
  if (settings.kind === 'world')
    throw new InvalidInputError('The local world is played block by block, and has no protector.', {
      fix: 'Rehearse one with "rialto drill", or name a chain in the configuration.',
    })
  const takesOver = options.takeOver === true
  // First: what keeps it from running is read there, since whoever starts it may be gone.
  const logger = openLog(directory, terminal)
  const endings = createEndings(terminal.note)
  endings.add(() => logger.close())
  const stop = interruption()
  endings.add(() => stop.dispose())
  try {
    if (!takesOver) endings.add(await lock(directory, false))
    const { guarded, keyless } = findGuarded(config)
    for (const { config: agent, error } of keyless) {
      logger.error({ agent: agent.id, error: error.toLine() }, 'not protected')
      terminal.note(`not protected: ${agent.account ?? 'the account'} (${agent.id}): ${error.toLine()}`)
    }
    const signer = await connectSigner({ directory })
    endings.add(() => signer.close())
    const chain = await openChain(settings, logger)
    const { quorum, addressBook: book } = settings
    await requireBook({ rpcs: openRpcs(settings), quorum, book, acts: true })
    // The one that runs protects until another can: it is ended last, and by none that was told to end meanwhile.
    if (stop.signal.aborted) return
    if (takesOver) endings.add(await lock(directory, true))
    terminal.note(
      `protecting ${guarded.map(({ config: { id }, policy, account, route }) => `${account} (${id}, below ${formatWad(policy.healthFactor.floor)}${route === null ? '' : `, by ${route.sender}`})`).join(', ')}`,
    )
    for (const { id, safe } of config.agents.filter(isUnprotected))
      terminal.note(`not protected: ${safe?.safe} (${id}), for which its policy reserves nothing`)
    await runProtector({
      chain,
      signer,
      orders: openOrders(directory),
      book,
      guarded,
      blockSeconds: settings.blockSeconds,
      graceBlocks: options.grace,
      logger,
      signal: stop.signal,
      onError: (error) => terminal.note(`  ${error.toLine()}`),
      onBlock(block, agent, { kind, healthFactor, reason, hash }) {
        if (options.json === true)
          terminal.out(
            JSON.stringify({
              block: block.toString(),
              agent,
              kind,
              healthFactor: healthFactor === null ? null : formatWad(healthFactor),
              reason,
              hash,
            }),
          )
        else if (kind !== 'well') terminal.note(`  block ${block}  ${agent}: ${kind}, ${reason}`)
      },
    })
  } catch (error) {
    logger.error({ error: describeError(error) }, ENDS)
    throw error
  } finally {
    await endings.run()
  }
}

/** Milliseconds that a protector which was asked to end may take: it finishes the block that it is at. */
const PATIENCE = 20_000

/** One protector a folder: two would outbid one another. */
async function lock(directory: string, takeOver: boolean): Promise<() => void> {
  const path = lockOf(directory)
  if (takeOver) endHolder(path)
  try {
    return await lockFolder(path, takeOver ? PATIENCE : 0)
  } catch (error) {
    if (!(error instanceof SignerError) || error.code !== 'SIGNER_LOCKED') throw error
    throw new InvalidInputError(`A protector runs on ${directory} already.`, {
      code: 'PROTECTOR_RUNS',
      fix: 'Leave it, or take its place with --take-over.',
      details: error.details,
    })
  }
}
