import type { Hex } from 'viem'
import type { ChainNode } from '../../infra/chain/quorum/chainNode.ts'
import { composeChain } from '../../infra/chain/quorum/composeChain.ts'
import { createHealth } from '../../infra/chain/quorum/health.ts'
import { unlimited } from '../../infra/chain/quorum/limiter.ts'
import type { Timer } from '../../infra/chain/quorum/timer.ts'
import type { LedgerEntry } from '../../infra/signer/createSigner.ts'
import type { SigningHistory } from '../../infra/signer/signingHistory.ts'
import type { AgentId } from '../../runtime/core/ids.ts'
import type { Journal } from '../../runtime/core/journal.ts'
import type { Chain, Logger, Signer } from '../../runtime/core/ports.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { startEngine } from './engine.ts'
import { createFaultPlan, type Fault } from './faults.ts'
import { createMonitor, type Violation } from './invariants.ts'
import { createJournalHost } from './journalHost.ts'
import { BLOCK_SECONDS, createNetwork } from './network.ts'
import { hashOfBytes, type Process, SignerAwayError, StoreAwayError, type Wires, wired } from './ports.ts'
import { createQueue } from './queue.ts'
import { random as randomOf } from './random.ts'
import { ACCOUNT, agents as agentsOf, book, drawPolicy } from './scene.ts'
import { createScheduler, type Scheduler } from './scheduler.ts'
import { createSignerHost } from './signerHost.ts'

/** A defect that is put in on purpose, to see that it is found. */
export type Defect = {
  readonly journal?: (journal: Journal) => Journal
  readonly signer?: (signer: Signer) => Signer
  readonly chain?: (chain: Chain) => Chain
  readonly remembers?: (ledger: readonly LedgerEntry[]) => readonly LedgerEntry[]
  readonly rules?: (history: SigningHistory) => SigningHistory
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
  const policy = drawPolicy(random.fork('policy'), network.hasFinality)
  const journal = await createJournalHost(
    book.chainId,
    chain.genesis().hash,
    () => scheduler.now(),
    defect.journal,
  )
  const signer = createSignerHost({
    book,
    account: ACCOUNT,
    policies: [policy],
    now: () => scheduler.now(),
    remembers: defect.remembers,
    rules: defect.rules,
  })
  const monitor = createMonitor({ chain, journal, signer, policy, now: () => scheduler.now() - START })
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
    onArrival(port, method, args) {
      calls += 1
      if (port === 'chain' && method === 'sendRaw') monitor.onSend(hashOfBytes(args[0] as Hex))
    },
    async onEffect(port, method) {
      if (port === 'journal' && WRITES.has(method)) await monitor.afterWrite()
    },
  }

  function kill(process: Process, why: string): void {
    if (!process.isAlive) return
    process.isAlive = false
    scheduler.note(`${process.name} dies: ${why}`)
    // Whoever watches over it starts another life.
    scheduler.at(scheduler.now() + world.between(1, 20) * SECOND, () =>
      start(process.name.split('#')[0] ?? 'a'),
    )
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
    startEngine({
      process,
      agents,
      queue,
      scheduler,
      exit: (why) => kill(process, why),
      wakes: (agent, block) => !faults.isOver && wakes(agent, block, isAwake),
      runtime: {
        chain: asOneChain(nodes, scheduler),
        journal: wired(journal.port, 'journal', process, wires),
        signer: wired(defect.signer?.(signer.port) ?? signer.port, 'signer', process, wires),
        logger: silent,
        book,
        clock: scheduler,
        holder: process.name,
        blockSeconds: BigInt(BLOCK_SECONDS),
        analyseTimeout: 30 * SECOND,
        explainRevert: (data) => `reverted with ${data.slice(0, 10)}`,
        policyOf: () => policy,
      },
    })
  }

  async function strike(): Promise<void> {
    const alive = processes.filter(({ isAlive }) => isAlive)
    const later = () => scheduler.now() + world.between(1, 20) * SECOND
    if (alive.length > 0 && faults.strikes('process killed')) kill(world.pick(alive), 'killed')
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

  let calm = 0
  let still = 0
  async function block(): Promise<void> {
    if (Number(chain.head().number) >= STORM) faults.end()
    scheduler.note(await network.tick())
    await monitor.onChain()
    await strike()
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

const WRITES: ReadonlySet<string> = new Set(['prepare', 'sign', 'adopt', 'advance', 'settle', 'supersede'])

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** Agents do not wake on every block: which ones is in the block's own hash. */
const wakes = (agent: AgentId, { hash }: BlockRef, often: number): boolean =>
  randomOf(`${agent}/${hash}`).chance(often)

/** Several nodes are one chain by the rules of the real quorum, in virtual time. */
function asOneChain(nodes: readonly Chain[], scheduler: Scheduler): Chain {
  const [only] = nodes
  if (nodes.length === 1 && only !== undefined) return only
  const timer: Timer = {
    now: () => scheduler.now(),
    sleep: (milliseconds, signal) =>
      new Promise((resolve) => {
        scheduler.at(scheduler.now() + milliseconds, resolve)
        signal?.addEventListener('abort', () => resolve(), { once: true })
      }),
  }
  return composeChain({
    nodes: nodes.map((node, index) => chainNode(`node-${index}`, node, timer)),
    quorum: Math.floor(nodes.length / 2) + 1,
    chainId: book.chainId,
    privateRoute: null,
    logger: silent,
    timer,
  })
}

/** A node that was found fit before; its port is a twin's. */
function chainNode(host: string, chain: Chain, timer: Timer): ChainNode {
  const health = createHealth(timer)
  return {
    host,
    chain,
    health,
    limiter: unlimited,
    state: () => 'healthy',
    trouble: () => null,
    simulates: () => true,
    prove: async () => undefined,
    upkeep: async () => undefined,
  }
}
