import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import { describeError, InvalidInputError } from '../../../runtime/core/errors.ts'
import type { Chain, Logger, Signer } from '../../../runtime/core/ports.ts'
import { isOfValue } from '../../../runtime/evacuation/nextStep.ts'
import { rehearse } from '../../../runtime/evacuation/rehearse.ts'
import { sendOrder } from '../../api/client.ts'
import { openChain } from '../../chain/openChain.ts'
import { type ChainConfig, type Config, loadConfig } from '../../config/loadConfig.ts'
import { loadEnvironment } from '../../config/loadEnvironment.ts'
import { prepareDirectory } from '../../directory.ts'
import { findEvacuees } from '../../evacuation/findEvacuees.ts'
import { readArrivals } from '../../evacuation/readArrivals.ts'
import {
  type EvacuationEnd,
  type Evacuee,
  evacuationOf,
  type RunEvacuationOptions,
  runEvacuation,
} from '../../evacuation/runEvacuation.ts'
import { searchApprovals } from '../../evacuation/searchApprovals.ts'
import { giveOwnerOrder, openOrders } from '../../orders/ownerOrders.ts'
import { connectSigner } from '../../signer/connectSigner.ts'
import { SignerError } from '../../signer/errors.ts'
import { lockFolder } from '../../signer/lock.ts'
import { canAsk } from '../askSecret.ts'
import { openLog } from '../openLog.ts'
import {
  type PassphraseOptions,
  passphraseFdOption,
  passphraseFileOption,
  passphraseSource,
  refusePassphraseVariable,
} from '../passphrase.ts'
import { createEndings, type Endings } from '../start/endings.ts'
import { interruption } from '../start/interruption.ts'
import { openRpcs } from '../start/safeAgents.ts'
import { keystoreLabels, signerAccounts } from '../start/signerAccounts.ts'
import { findPassphrase, openChainSigner } from '../start/signerPassphrase.ts'
import { paint, type Terminal } from '../terminal.ts'
import { describeEnd, describePlan, type EvacuationPlan, endAsJson, planAsJson } from './evacuate/describe.ts'
import { scopeOf } from './scope.ts'

type Options = PassphraseOptions & {
  readonly agent?: string
  readonly account?: string
  readonly plan?: boolean
  readonly yes?: boolean
  readonly patience: number
  readonly firstBlock: bigint
  readonly config?: string
  readonly json?: boolean
}

/** Blocks without progress after which an evacuation gives up: ten minutes of Ethereum's. */
const PATIENCE = 50

/** `rialto evacuate`: unwinds positions, revokes allowances, and moves everything to the owner. */
export function evacuateCommand(terminal: Terminal): Command {
  return new Command('evacuate')
    .description(
      'unwind the positions of all agents, one, or all on one account, revoke every allowance, and move everything to evacuateTo of the configuration; everybody else is halted until "rialto resume"',
    )
    .addOption(new Option('--agent <id>', 'only the account of this agent').conflicts('account'))
    .option('--account <address>', 'only this account')
    .option('--plan', 'simulate the whole sequence and print it; nothing is ordered, signed or sent')
    .option('--yes', 'do not ask')
    .option('--patience <blocks>', 'blocks without progress before it gives up', blocks, PATIENCE)
    .option(
      '--first-block <number>',
      'the block from which on to look for approvals: one before which the account did nothing',
      blockNumber,
      0n,
    )
    .option('--config <file>', 'the configuration (default: rialto.config.ts in this folder)')
    .addOption(passphraseFileOption())
    .addOption(passphraseFdOption())
    .option('--json', 'print the result as one JSON object')
    .action(async (options: Options) => {
      refusePassphraseVariable(process.env)
      const config = await loadConfig(options.config, loadEnvironment(process.env))
      process.exitCode = await evacuate(config, options, terminal)
    })
}

function blocks(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number of blocks, from 1.')
}

function blockNumber(text: string): bigint {
  if (/^\d{1,12}$/.test(text)) return BigInt(text)
  throw new InvalidArgumentError('It must be the number of a block.')
}

/** Everything is moved, and not everybody who may take something was looked for. */
const UNSEARCHED = 3

/** 0 only if nothing of value is left, or would be, and everybody was looked for who may take something. */
const exitCodeOf = (isClean: boolean, ends: readonly Pick<EvacuationEnd, 'unsearched'>[]): number =>
  isClean ? (ends.every(({ unsearched }) => unsearched === null) ? 0 : UNSEARCHED) : 1

/** @returns the exit code */
async function evacuate(config: Config, options: Options, terminal: Terminal): Promise<number> {
  const { chain: settings, directory } = config
  if (settings.kind === 'world')
    throw new InvalidInputError('The local world has nothing to evacuate.', {
      fix: 'Name a chain in the configuration.',
    })
  const scope = scopeOf(options)
  const evacuees = findEvacuees(config, settings.addressBook, scope)
  const isAsked = options.yes !== true && options.plan !== true
  if (isAsked && !canAsk())
    throw new InvalidInputError('There is no terminal to ask on whether to evacuate.', {
      code: 'NO_TERMINAL',
      fix: 'Look at it with --plan, and do it with --yes.',
    })
  const endings = createEndings(terminal.note)
  const stop = interruption()
  endings.add(() => stop.dispose())
  try {
    await prepareDirectory(directory)
    const logger = openLog(directory, terminal)
    endings.add(() => logger.close())
    // Whoever says yes is heard before anything that could fail is asked: everybody else stops here and now.
    if (options.yes === true && options.plan !== true) orderIt(directory, scope, terminal)
    const chain = await openChain(settings, logger)
    const { number: head } = await chain.head()
    const searchFor = ({ account }: Pick<Evacuee, 'account'>) =>
      searchApprovals({
        nodes: openRpcs(settings),
        book: settings.addressBook,
        account,
        head,
        first: options.firstBlock,
      })
    if (options.yes !== true) {
      const plans = await planAll(evacuees, chain, settings, searchFor)
      if (options.plan === true && options.json === true)
        terminal.out(JSON.stringify(plans.map((plan) => planAsJson(plan, settings.addressBook))))
      else
        for (const plan of plans)
          for (const line of describePlan(plan, settings.addressBook))
            (options.plan === true ? terminal.out : terminal.note)(line)
      const isClean = plans.every(({ rehearsal }) => rehearsal.stopped === null)
      if (options.plan === true) return exitCodeOf(isClean, plans)
      await confirm()
      orderIt(directory, scope, terminal)
    }
    const unlock = await lockOnly(directory)
    endings.add(() => unlock())
    const signer = await signerFor(config, settings, options, { chain, logger, endings, terminal })
    const ends = await runEvacuation({
      chain,
      signer,
      orders: openOrders(directory),
      book: settings.addressBook,
      evacuees,
      blockSeconds: settings.blockSeconds,
      patience: options.patience,
      logger,
      signal: stop.signal,
      searchFor,
      onError: (error) => terminal.note(`  ${error.toLine()}`),
      onProgress(block, { config: { id } }, progress) {
        const what = 'reason' in progress ? `${progress.kind}, ${progress.reason}` : progress.kind
        terminal.note(`  block ${block}  ${id}: ${what}`)
      },
    })
    await report(ends, { chain, signer, settings, json: options.json === true, terminal })
    const isClean = ends.every(({ stopped, remains }) => stopped === null && !remains.some(isOfValue))
    return exitCodeOf(isClean, ends)
  } finally {
    await endings.run()
  }
}

type Rpc = Extract<ChainConfig, { kind: 'rpc' }>

async function planAll(
  evacuees: readonly Evacuee[],
  chain: Chain,
  { addressBook: book, blockSeconds }: Rpc,
  searchFor: RunEvacuationOptions['searchFor'],
): Promise<readonly EvacuationPlan[]> {
  const plans: EvacuationPlan[] = []
  for (const evacuee of evacuees) {
    const search = searchFor(evacuee)
    const unsearched = await search.end
    const head = await chain.head()
    const rehearsal = await rehearse(evacuationOf(evacuee, { chain, book, blockSeconds }, search), head)
    plans.push({ evacuee, rehearsal, block: head.number, unsearched })
  }
  return plans
}

async function confirm(): Promise<void> {
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await asking.question('Evacuate now? Type yes: ')
    if (answer.trim() === 'yes') return
  } finally {
    asking.close()
  }
  throw new InvalidInputError('It was not confirmed: nothing was ordered.', {
    code: 'NOT_CONFIRMED',
    fix: 'Type yes, or give --yes.',
  })
}

/** The file is what signer and guards obey; a runtime that runs is told as well, for workers elsewhere and its status. */
function orderIt(directory: string, scope: ReturnType<typeof scopeOf>, terminal: Terminal): void {
  const reason = `ordered by ${process.env.USER ?? 'the owner'} on the command line`
  giveOwnerOrder(directory, { scope, state: 'evacuating', reason })
  sendOrder(directory, { scope, state: 'halted', reason }).catch((error: unknown) =>
    terminal.note(`  the runtime could not be told, which changes nothing here: ${describeError(error)}`),
  )
}

/** The signer that runs, whoever started it; else one of our own. */
async function signerFor(
  config: Config,
  settings: Rpc,
  options: Options,
  parts: {
    readonly chain: Chain
    readonly logger: Logger
    readonly endings: Endings
    readonly terminal: Terminal
  },
): Promise<Signer> {
  const { directory, agents } = config
  const { chain, logger, endings, terminal } = parts
  try {
    const signer = await connectSigner({ directory })
    endings.add(() => signer.close())
    return signer
  } catch (error) {
    if (!(error instanceof SignerError) || error.code !== 'SIGNER_GONE') throw error
  }
  const source = passphraseSource(options, config.signer.passphrase)
  const passphrase = await findPassphrase(directory, keystoreLabels(agents), source)
  const signer = await openChainSigner(
    {
      directory,
      chainId: settings.chainId,
      genesisHash: await chain.genesisHash(),
      book: settings.addressBook,
      logger,
      accounts: signerAccounts(agents),
    },
    passphrase,
    (line) => terminal.note(`  ${paint('yellow', '!')} ${line}`),
  )
  endings.add(() => signer.close())
  return signer
}

/** Two would outbid one another. */
async function lockOnly(directory: string): Promise<() => void> {
  try {
    return await lockFolder(join(directory, 'evacuation.lock'), 0)
  } catch (error) {
    if (!(error instanceof SignerError) || error.code !== 'SIGNER_LOCKED') throw error
    throw new InvalidInputError(`An evacuation runs on ${directory} already.`, {
      code: 'EVACUATION_RUNS',
      fix: 'Leave it: it goes on until nothing of value is left.',
      details: error.details,
    })
  }
}

async function report(
  ends: readonly EvacuationEnd[],
  {
    chain,
    signer,
    settings,
    json,
    terminal,
  }: {
    readonly chain: Chain
    readonly signer: Signer
    readonly settings: Rpc
    readonly json: boolean
    readonly terminal: Terminal
  },
): Promise<void> {
  const book = settings.addressBook
  const told = await Promise.all(
    ends.map(async (end) => ({ end, arrivals: await readArrivals(end.evacuee, { chain, signer, book }) })),
  )
  if (json) terminal.out(JSON.stringify(told.map(({ end, arrivals }) => endAsJson(end, arrivals, book))))
  else
    for (const { end, arrivals } of told)
      for (const line of describeEnd(end, arrivals, book)) terminal.out(line)
}
