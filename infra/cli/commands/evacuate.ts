import { Command, InvalidArgumentError, Option } from 'commander'
import { InvalidInputError, RialtoError } from '../../../runtime/core/errors.ts'
import type { Chain, Logger } from '../../../runtime/core/ports.ts'
import { isOfValue } from '../../../runtime/evacuation/nextStep.ts'
import { rehearse } from '../../../runtime/evacuation/rehearse.ts'
import { openChain } from '../../chain/openChain.ts'
import { type ChainConfig, type Config, loadConfig } from '../../config/loadConfig.ts'
import { loadEnvironment } from '../../config/loadEnvironment.ts'
import { prepareDirectory } from '../../directory.ts'
import { findEvacuees } from '../../evacuation/findEvacuees.ts'
import { prepareSafe, type SafeEvacuee } from '../../evacuation/prepareSafe.ts'
import { readArrivals } from '../../evacuation/readArrivals.ts'
import {
  type EvacuationEnd,
  type Evacuee,
  evacuationOf,
  type RunEvacuationOptions,
  runEvacuation,
} from '../../evacuation/runEvacuation.ts'
import { type RunningSearch, searchApprovals } from '../../evacuation/searchApprovals.ts'
import { openOrders } from '../../orders/ownerOrders.ts'
import { canAsk } from '../askSecret.ts'
import { openLog } from '../openLog.ts'
import {
  type PassphraseOptions,
  passphraseFdOption,
  passphraseFileOption,
  refusePassphraseVariable,
} from '../passphrase.ts'
import { createEndings, type Endings } from '../start/endings.ts'
import { interruption } from '../start/interruption.ts'
import { openRpcs } from '../start/safeAgents.ts'
import type { Terminal } from '../terminal.ts'
import { describeEnd, describePlan, type EvacuationPlan, endAsJson, planAsJson } from './evacuate/describe.ts'
import { confirm, lockOnly, NOT_CONFIRMED, orderIt, stayHalted } from './evacuate/order.ts'
import { describeSafe, isWhole, safeAsJson, sendSafe, writeSafe } from './evacuate/safe.ts'
import { signerFor } from './evacuate/signerFor.ts'
import { openRpc } from './policy/policyTarget.ts'
import { scopeOf } from './scope.ts'

type Options = PassphraseOptions & {
  readonly agent?: string
  readonly account?: string
  readonly plan?: boolean
  readonly yes?: boolean
  readonly patience: number
  readonly firstBlock: bigint
  readonly validBlocks: bigint
  readonly out?: string
  readonly ownerLabel?: string
  readonly config?: string
  readonly json?: boolean
}

/** Blocks without progress after which an evacuation gives up: ten minutes of Ethereum's. */
const PATIENCE = 50

/** Blocks that the owners of a Safe are given to sign: a day of Ethereum's. */
const VALID_BLOCKS = 7_200n

/** `rialto evacuate`: unwinds positions, revokes allowances, and moves everything to the owner. */
export function evacuateCommand(terminal: Terminal): Command {
  return new Command('evacuate')
    .description(
      'unwind the positions of all agents, one, or all on one account, take back every allowance, and move everything to evacuateTo of the configuration; everybody else is halted until "rialto resume". For a Safe: make the one transaction in which its owners do so',
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
    .option('--out <file>', "for a Safe: write its owners' transaction for Safe's Transaction Builder")
    .option(
      '--owner-label <label>',
      'for a Safe that asks for one owner: sign with this key of the keystore, and send',
    )
    .option(
      '--valid-blocks <blocks>',
      'for a Safe: within how many blocks its owners sign',
      (text) => BigInt(blocks(text)),
      VALID_BLOCKS,
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
  const { own, safes } = findEvacuees(config, settings.addressBook, scope)
  const isPlan = options.plan === true
  requireAim(options, own, safes)
  const endings = createEndings(terminal.note)
  const stop = interruption()
  endings.add(() => stop.dispose())
  const orders: Given = { isHalted: false }
  let code = 1
  try {
    await prepareDirectory(directory)
    const logger = openLog(directory, terminal)
    endings.add(() => logger.close())
    // Whoever says yes is heard before anything that could fail is asked: everybody else stops here and now.
    if (own.length > 0 && options.yes === true && !isPlan) {
      orderIt(directory, scope, 'evacuating', terminal)
      orders.isHalted = true
    }
    const chain = await openChain(settings, logger)
    const { number: head } = await chain.head()
    const searchFor = ({ account }: Pick<Evacuee, 'account'>) =>
      searchApprovals({
        nodes: openRpcs(settings),
        quorum: settings.quorum,
        book: settings.addressBook,
        account,
        head,
        first: options.firstBlock,
      })
    const parts: Parts = {
      ...{ config, settings, options, scope, terminal, chain, logger, endings, searchFor, orders },
    }
    const done: Done[] = []
    /** What was done before is told all the same, and the next one tried. */
    const attempt = async (work: () => Promise<Done>, whose: readonly object[], ids: readonly string[]) => {
      try {
        done.push(await work())
      } catch (error) {
        const isOnly = safes.length + (own.length > 0 ? 1 : 0) === 1
        const isNo = error instanceof RialtoError && error.code === NOT_CONFIRMED && done.length === 0
        if (!(error instanceof RialtoError) || isNo || isOnly) throw error
        terminal.note(`  ${ids.join(', ')}: ${error.toLine()}`)
        done.push({ code: 1, json: whose.map((each) => ({ ...each, stopped: error.toLine() })) })
      }
    }
    if (own.length > 0)
      await attempt(
        () => evacuateOwn(own, parts, stop.signal),
        own.map(({ config: { id }, account }) => ({ agent: id, account })),
        own.map(({ config: { id } }) => id),
      )
    for (const safe of safes) {
      const { id } = safe.config
      await attempt(() => evacuateSafe(safe, parts), [{ agent: id, safe: safe.account }], [id])
    }
    if (options.json === true) terminal.out(JSON.stringify(done.flatMap(({ json }) => json)))
    code = worst(done.map((each) => each.code))
    return code
  } finally {
    await endings.run()
    if (orders.isHalted && code !== 0) terminal.note(stayHalted(scope))
  }
}

/** What this command ordered so far. */
type Given = { isHalted: boolean }

/** What came of one part, and what is said of it with --json. */
type Done = { readonly code: number; readonly json: readonly object[] }

/** What failed counts most, then what nobody looked at. */
const worst = (codes: readonly number[]): number =>
  codes.includes(1) ? 1 : codes.includes(UNSEARCHED) ? UNSEARCHED : 0

type Parts = {
  readonly config: Config
  readonly settings: Rpc
  readonly options: Options
  readonly scope: ReturnType<typeof scopeOf>
  readonly terminal: Terminal
  readonly chain: Chain
  readonly logger: Logger
  readonly endings: Endings
  readonly orders: Given
  readonly searchFor: (evacuee: Pick<Evacuee, 'account'>) => RunningSearch
}

/** @throws {InvalidInputError} when it is not said what is to become of it, before anything is ordered. */
function requireAim(options: Options, own: readonly Evacuee[], safes: readonly SafeEvacuee[]): void {
  const { plan, yes, out, ownerLabel } = options
  const aims = [
    plan === true ? '--plan' : null,
    out === undefined ? null : '--out',
    ownerLabel === undefined ? null : '--owner-label',
  ]
  const given = aims.filter((aim) => aim !== null)
  if (safes.length === 0 && (out !== undefined || ownerLabel !== undefined))
    throw new InvalidInputError('No account that is meant is a Safe.', {
      fix: 'Leave --out and --owner-label out.',
    })
  if (given.length > 1) throw new InvalidInputError(`It is either ${given.join(' or ')}.`)
  if (safes.length > 1 && out !== undefined)
    throw new InvalidInputError('A file holds the transaction of one Safe.', {
      fix: `Name one with --agent: ${safes.map(({ config }) => config.id).join(', ')}.`,
    })
  if (own.length === 0 && given.length === 0)
    throw new InvalidInputError('A Safe is evacuated by its owners.', {
      code: 'SAFE_OWNERS',
      fix: 'Look at it with --plan, write it for their app with --out, or sign it with --owner-label.',
    })
  const isAsked = yes !== true && plan !== true && (own.length > 0 || ownerLabel !== undefined)
  if (isAsked && !canAsk())
    throw new InvalidInputError('There is no terminal to ask on whether to evacuate.', {
      code: 'NO_TERMINAL',
      fix: 'Look at it with --plan, and do it with --yes.',
    })
}

async function evacuateOwn(own: readonly Evacuee[], parts: Parts, signal: AbortSignal): Promise<Done> {
  const { config, settings, options, scope, terminal, chain, logger, endings, orders, searchFor } = parts
  const { directory } = config
  const book = settings.addressBook
  if (options.yes !== true) {
    const plans = await planAll(own, chain, settings, searchFor)
    const isPlan = options.plan === true
    if (!isPlan || options.json !== true)
      for (const plan of plans)
        for (const line of describePlan(plan, book)) (isPlan ? terminal.out : terminal.note)(line)
    const isClean = plans.every(({ rehearsal }) => rehearsal.stopped === null)
    if (isPlan) return { code: exitCodeOf(isClean, plans), json: plans.map((plan) => planAsJson(plan, book)) }
    await confirm()
    orderIt(directory, scope, 'evacuating', terminal)
    orders.isHalted = true
  }
  const unlock = await lockOnly(directory)
  endings.add(() => unlock())
  const signer = await signerFor(config, settings, options, { chain, logger, endings, terminal })
  const ends = await runEvacuation({
    chain,
    signer,
    orders: openOrders(directory),
    book,
    evacuees: own,
    blockSeconds: settings.blockSeconds,
    patience: options.patience,
    logger,
    signal,
    searchFor,
    onError: (error) => terminal.note(`  ${error.toLine()}`),
    onProgress(block, { config: { id } }, progress) {
      const what = 'reason' in progress ? `${progress.kind}, ${progress.reason}` : progress.kind
      terminal.note(`  block ${block}  ${id}: ${what}`)
    },
  })
  const isClean = ends.every(({ stopped, remains }) => stopped === null && !remains.some(isOfValue))
  const told = await Promise.all(
    ends.map(async (end) => ({ end, arrivals: await arrivalsOf(end, { chain, signer, book }, terminal) })),
  )
  if (options.json !== true)
    for (const { end, arrivals } of told)
      for (const line of describeEnd(end, arrivals, book)) terminal.out(line)
  return {
    code: exitCodeOf(isClean, ends),
    json: told.map(({ end, arrivals }) => endAsJson(end, arrivals, book)),
  }
}

/** Null when nobody can tell, which changes nothing of how it ended. */
async function arrivalsOf(
  { evacuee }: EvacuationEnd,
  parts: Parameters<typeof readArrivals>[1],
  terminal: Terminal,
): Promise<Awaited<ReturnType<typeof readArrivals>> | null> {
  try {
    return await readArrivals(evacuee, parts)
  } catch (error) {
    if (!(error instanceof RialtoError)) throw error
    terminal.note(`  ${evacuee.config.id}: what arrived cannot be told: ${error.toLine()}`)
    return null
  }
}

/** Prepares the transaction of a Safe's owners, and writes or sends it where that is asked for. */
async function evacuateSafe(evacuee: SafeEvacuee, parts: Parts): Promise<Done> {
  const { config, settings, options, terminal, chain, searchFor } = parts
  const { plan, yes, out, ownerLabel, json, validBlocks } = options
  const { addressBook: book, blockSeconds } = settings
  const { id } = evacuee.config
  const isActing = plan !== true && (out !== undefined || ownerLabel !== undefined)
  const order = () => orderReducing(evacuee, config.directory, terminal)
  const search = searchFor(evacuee)
  const rpc = openRpc(settings)
  const prepared = await prepareSafe(evacuee, { chain, rpc, book, blockSeconds, validBlocks, search })
  if (json !== true) for (const line of describeSafe(prepared, book)) terminal.out(line)
  const isNothing = prepared.transaction === null
  if (isActing && !isNothing && out !== undefined) {
    writeSafe(out, prepared, book)
    order()
    terminal.note(`${prepared.plan.calls.length} calls are in ${out}: open it in Safe's Transaction Builder.`)
  }
  let sent: string | null = null
  if (isActing && !isNothing && ownerLabel !== undefined) {
    if (yes !== true) await confirm()
    sent = await sendSafe(ownerLabel, prepared, options, settings, order)
    terminal.note(`Transaction ${sent} is mined. "rialto resume --agent ${id}" lets its agent go on.`)
  }
  if (!isActing && plan !== true && !isNothing)
    terminal.note(
      `Nothing of the Safe was moved: run this again with --agent ${id} and --out or --owner-label.`,
    )
  const isDone = isWhole(prepared) && (isActing || plan === true || isNothing)
  return { code: exitCodeOf(isDone, [prepared]), json: [safeAsJson(prepared, book, sent)] }
}

/** Until the owners' transaction is mined, whoever reduces risk may; an order that is stricter stays. */
function orderReducing(
  { config: { id }, account }: SafeEvacuee,
  directory: string,
  terminal: Terminal,
): void {
  const state = openOrders(directory).stateFor({ agent: id, account })
  if (state === 'active') orderIt(directory, { agent: id }, 'reducing', terminal)
  const what =
    state === 'active' ? 'it is ordered to reduce risk only' : `the order holds that it is ${state}`
  terminal.note(`${id}: ${what}, whatever comes of this; "rialto resume --agent ${id}" lifts it.`)
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
