import type { Hex } from 'viem'
import type { Ruled } from '../../agents/lending-guardian/rule.ts'
import type { OwnerOrders } from '../../infra/orders/ownerOrders.ts'
import { withOwnerOrders } from '../../infra/orders/withOwnerOrders.ts'
import type { LedgerEntry } from '../../infra/signer/createSigner.ts'
import type { SigningHistory } from '../../infra/signer/signingHistory.ts'
import type { AgentId } from '../../runtime/core/ids.ts'
import type { Journal } from '../../runtime/core/journal.ts'
import type { Chain, Logger, Signer, SubmissionRoute } from '../../runtime/core/ports.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import type { Protection } from '../../runtime/protector/createProtector.ts'
import { createApprovers } from './approvers.ts'
import { startEngine } from './engine.ts'
import { createFaultPlan, type Fault } from './faults.ts'
import { createMonitor, type Violation } from './invariants.ts'
import { createJournalHost } from './journalHost.ts'
import { BLOCK_SECONDS, createNetwork } from './network.ts'
import { createOwner } from './orders.ts'
import { hashOfBytes, type Process, SignerAwayError, StoreAwayError, type Wires, wired } from './ports.ts'
import { startProtector } from './protector.ts'
import { createQueue } from './queue.ts'
import { random as randomOf } from './random.ts'
import { createRelay } from './relay.ts'
import { type Asked, dollarsOf } from './rescues.ts'
import { ACCOUNT, agents as agentsOf, book, drawParts, drawPolicy, type Parts } from './scene.ts'
import { createScheduler } from './scheduler.ts'
import { createSignerHost } from './signerHost.ts'
import { asOneChain } from './view.ts'

/** A defect that is put in on purpose, to see that it is found. */
export type Defect = {
  readonly journal?: (journal: Journal) => Journal
  readonly signer?: (signer: Signer) => Signer
  readonly chain?: (chain: Chain) => Chain
  readonly remembers?: (ledger: readonly LedgerEntry[]) => readonly LedgerEntry[]
  readonly rules?: (history: SigningHistory) => SigningHistory
  /** What signer, protector and runtime read of the owner's orders. */
  readonly orders?: (orders: OwnerOrders) => OwnerOrders
  /** What signer, protector and runtime make of the policy. */
  readonly policy?: (policy: Policy) => Policy
  /** How many blocks the protector takes its grace for. */
  readonly graceBlocks?: (blocks: bigint) => bigint
  /** What the protector's rule makes of what it decided. */
  readonly rule?: (ruled: Ruled) => Ruled
  /** Whether somebody starts a process again that died. */
  readonly revives?: (name: string) => boolean
  /** Parts of the product that it takes to show. */
  readonly parts?: Partial<Parts>
  /** Faults that it takes to show; the seed has them in any case. */
  readonly needs?: readonly Fault[]
}

export type SeedOptions = {
  /** Keeps every line of what happened. */
  readonly verbose?: boolean
  readonly defect?: Defect
}

export type SeedResult = {
  readonly seed: number
  /** Over everything that happened: the same seed gives the same one. */
  readonly digest: string
  readonly violations: readonly Violation[]
  readonly hits: Readonly<Record<string, number>>
  /** Arrows of the state machine that were gone, as `from > to`. */
  readonly arrows: Readonly<Record<string, number>>
  readonly calls: number
  readonly blocks: number
  readonly mined: number
  readonly lines: readonly string[]
}

const SECOND = 1_000
const START = 1_700_000_000 * SECOND
/** Blocks under fire, and how many more it may take to come to rest. */
const STORM = 22
const REST = 90
/** Blocks for which all has to stay right before it counts as at rest. */
const STILL = 3

/** Runs one seed from its first block to rest. */
export async function simulateSeed(seed: number, options: SeedOptions = {}): Promise<SeedResult> {
  const { defect = {} } = options
  const random = randomOf(`rialto/${seed}`)
  const faults = createFaultPlan(random.fork('faults'), defect.needs)
  const scheduler = createScheduler(START, random.fork('order'), options.verbose === true)
  const network = createNetwork(random.fork('network'), faults, String(seed))
  const { chain } = network
  const parts: Parts = { ...drawParts(random.fork('parts')), ...defect.parts }
  const { graceBlocks } = parts
  /** As it was written, and as the product has it. */
  const written = drawPolicy(random.fork('policy'), parts, network.hasFinality)
  const policy = defect.policy?.(written) ?? written
  const journal = await createJournalHost(
    book.chainId,
    chain.genesis().hash,
    () => scheduler.now(),
    defect.journal,
  )
  const owner = createOwner(random.fork('owner'), faults, journal)
  const orders = defect.orders?.(owner.orders) ?? owner.orders
  const approvers = createApprovers(random.fork('approvers'), faults, chain)
  const relay = parts.isPrivate ? createRelay(random.fork('relay'), faults, chain) : null
  const signer = createSignerHost({
    book,
    account: ACCOUNT,
    policies: [policy],
    now: () => scheduler.now(),
    orders,
    inForce: owner.inForce,
    remembers: defect.remembers,
    rules: defect.rules,
  })
  let protection: Protection['kind'] | null = null
  /** Of the life that the protector has now: what it asked for before, it forgot. */
  let asked: Asked[] = []
  const monitor = createMonitor({
    chain,
    journal,
    signer,
    policy: written,
    approvers,
    graceBlocks,
    watched: () => ({ kind: protection, asked }),
    now: () => scheduler.now() - START,
  })
  const queue = createQueue(scheduler, faults, random.fork('queue'))
  const world = random.fork('world')
  const shape = random.fork('shape')
  const isAwake = shape.pick([0.3, 0.5, 0.8])

  let calls = 0
  let lives = 0
  let isOver = false
  const down = { journal: 0, signer: 0 }
  const agents = agentsOf(() => faults.isOver)

  const wires: Wires = {
    scheduler,
    faults,
    random: random.fork('wires'),
    kill,
    forget: network.forget,
    outage(port) {
      if (port === 'journal' && scheduler.now() < down.journal) return new StoreAwayError()
      if (port === 'signer' && scheduler.now() < down.signer) return new SignerAwayError()
      return null
    },
    onArrival(port, method, args, process) {
      calls += 1
      if (port !== 'chain' || method !== 'sendRaw') return
      const [raw, route = 'public'] = args as [Hex, SubmissionRoute?]
      monitor.onSend(hashOfBytes(raw), route, isProtector(process) ? 'protector' : 'engine')
    },
    async onEffect(port, method) {
      if (port === 'journal' && WRITES.has(method)) await monitor.afterWrite()
    },
  }

  function kill(process: Process, why: string): void {
    if (!process.isAlive) return
    process.isAlive = false
    scheduler.note(`${process.name} dies: ${why}`)
    const [name = ''] = process.name.split('#')
    if (defect.revives?.(name) === false) return
    // Whoever watches over it starts another life.
    scheduler.at(scheduler.now() + world.between(1, 20) * SECOND, () => start(name))
  }

  const processes: Process[] = []

  function start(name: string): void {
    if (isOver) return
    const process: Process = { name: `${name}#${++lives}`, isAlive: true, stalledUntil: 0 }
    processes.push(process)
    scheduler.note(`${process.name} starts`)
    const nodes = chain.nodes.map((node) =>
      wired(defect.chain?.(node.port) ?? node.port, 'chain', process, wires),
    )
    const logger = loggerOf(process)
    const shared = {
      process,
      scheduler,
      chain: asOneChain(
        nodes,
        relay === null ? null : wired(relay.port, 'chain', process, wires),
        scheduler,
        logger,
      ),
      signer: wired(defect.signer?.(signer.port) ?? signer.port, 'signer', process, wires),
      logger,
      exit: (why: string) => kill(process, why),
    }
    if (isProtector(process)) startGuarding(shared)
    else startDeciding(shared)
  }

  type Shared = Pick<
    Parameters<typeof startProtector>[0],
    'process' | 'scheduler' | 'chain' | 'logger' | 'exit'
  > & { readonly signer: Signer }

  function startGuarding(shared: Shared): void {
    const grace = graceBlocks ?? 0n
    protection = null
    asked = []
    startProtector({
      ...shared,
      signer: {
        sign(request) {
          const { nonce, plan } = request
          const cost = dollarsOf(plan.gasLimit * plan.maxFeePerGas, chain.head())
          asked.push({ nonce, cost, at: BigInt(scheduler.now()) / 1_000n })
          return shared.signer.sign(request)
        },
        signedFrom: (of, nonce) => shared.signer.signedFrom(of, nonce),
      },
      rule: defect.rule,
      policy,
      graceBlocks: defect.graceBlocks?.(grace) ?? grace,
      orders: () => orders.stateFor({ agent: 'rescuer', account: ACCOUNT }),
      onDeed: (kind) => {
        protection = kind
        if (kind === 'acted') faults.count('protector acts')
      },
    })
  }

  function startDeciding({ process, chain, signer, logger, exit }: Shared): void {
    startEngine({
      process,
      agents,
      queue,
      scheduler,
      exit,
      wakes: (agent, block) => !faults.isOver && wakes(agent, block, isAwake),
      runtime: {
        chain,
        journal: wired(withOwnerOrders(journal.port, orders, logger), 'journal', process, wires),
        signer,
        logger,
        book,
        clock: { now: () => scheduler.now() },
        holder: process.name,
        blockSeconds: BigInt(BLOCK_SECONDS),
        analyseTimeout: 30 * SECOND,
        explainRevert: (data) => `reverted with ${data.slice(0, 10)}`,
        policyOf: () => policy,
      },
    })
  }

  /** Errors are part of what happened. */
  const loggerOf = ({ name }: Process): Logger => ({
    ...silent,
    error: (fields, message) =>
      scheduler.note(`${name} ${message} ${'error' in fields ? String(fields.error) : ''}`.slice(0, 160)),
  })

  async function strike(): Promise<void> {
    const alive = processes.filter(({ isAlive }) => isAlive)
    const later = () => scheduler.now() + world.between(1, 20) * SECOND
    const engines = alive.filter((process) => !isProtector(process))
    if (engines.length > 0 && faults.strikes('process killed')) kill(world.pick(engines), 'killed')
    for (const process of alive.filter(isProtector)) {
      if (faults.strikes('protector stalled'))
        process.stalledUntil = scheduler.now() + world.between(10, 90) * SECOND
      if (faults.strikes('protector killed')) kill(process, 'killed')
    }
    if (faults.strikes('database restarted')) down.journal = later()
    if (faults.strikes('signer restarted')) {
      signer.restart()
      down.signer = later()
    }
    if (faults.strikes('redis wiped')) queue.wipe()
    const isThrownBack = faults.strikes('power cut, journal thrown back')
    if (!isThrownBack && !faults.strikes('power cut')) return
    // One machine: everything on it goes at once, and the queue with it.
    for (const process of alive) kill(process, 'power cut')
    queue.wipe()
    signer.restart()
    if (!isThrownBack) return
    const lost = world.between(1, 40)
    scheduler.note(`the journal loses its last ${lost} writes of ${journal.writes}`)
    await journal.throwBack(lost)
    await monitor.afterThrowBack()
  }

  /** What people do at their terminals, which are of no use while the database is down. */
  async function people(): Promise<void> {
    const isDown = scheduler.now() < down.journal
    const ordered = await owner.tick(isDown)
    if (ordered !== null) scheduler.note(ordered)
    if (!parts.hasApprovers || isDown) return
    for (const line of await approvers.tick(journal.port)) scheduler.note(line)
    await monitor.afterWrite()
  }

  let calm = 0
  let still = 0
  async function block(): Promise<void> {
    if (Number(chain.head().number) >= STORM) faults.end()
    relay?.tick()
    scheduler.note(await network.tick())
    await monitor.onChain()
    await strike()
    await people()
    if (faults.isOver) {
      calm += 1
      const wrong = await monitor.atRest()
      still = wrong.length === 0 ? still + 1 : 0
      if (still >= STILL || calm >= REST || monitor.violations.length > 0) {
        isOver = true
        return
      }
    }
    scheduler.at(scheduler.now() + BLOCK_SECONDS * SECOND, block)
  }

  start('a')
  if (faults.strikes('two workers at once')) start('b')
  if (graceBlocks !== null) start(PROTECTOR)
  scheduler.at(START + BLOCK_SECONDS * SECOND, block)
  await scheduler.run(() => isOver)
  const unrest = (await monitor.atRest()).map((one) => ({ ...one, at: scheduler.now() - START }))
  return {
    seed,
    digest: scheduler.digest(),
    violations: [...monitor.violations, ...unrest],
    hits: Object.fromEntries([...faults.hits].map(([fault, count]): [Fault, number] => [fault, count])),
    arrows: Object.fromEntries(monitor.arrows),
    calls,
    blocks: Number(chain.head().number),
    mined: chain.minedOf(ACCOUNT).length,
    lines: scheduler.lines,
  }
}

/** The protector's process; the others are engines. */
export const PROTECTOR = 'p'
const isProtector = ({ name }: Process): boolean => name.startsWith(PROTECTOR)

const WRITES: ReadonlySet<string> = new Set(['prepare', 'sign', 'adopt', 'advance', 'settle', 'supersede'])

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** Agents do not wake on every block: which ones is in the block's own hash. */
const wakes = (agent: AgentId, { hash }: BlockRef, often: number): boolean =>
  randomOf(`${agent}/${hash}`).chance(often)
