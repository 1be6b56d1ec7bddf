import { Redis } from 'ioredis'
import { type Address, type Hex, parseGwei } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { createChain } from '../../infra/chain/createChain.ts'
import { startEngine } from '../../infra/compose.ts'
import { deriveKey } from '../../infra/signer/deriveKey.ts'
import { createActors } from '../../infra/world/actors.ts'
import { createRpc } from '../../infra/world/rpc.ts'
import { BLOCK_SECONDS } from '../../infra/world/world.ts'
import type { Agent } from '../../runtime/core/agent.ts'
import { describeError, RialtoError } from '../../runtime/core/errors.ts'
import type { Journal } from '../../runtime/core/ports.ts'
import { usd, wei } from '../../runtime/core/units.ts'
import type { Verdict } from '../../runtime/core/verdict.ts'
import { type FaultProxy, startFaultProxy } from '../proxy/faultProxy.ts'
import { checkRest, type Violation } from './checkRest.ts'
import { type BlockFault, faultOf, type RequestFault, type Schedule } from './drawSchedule.ts'
import { policyOf, prepareAccount, stepper, steps, stepsDone } from './scenario.ts'
import { KEY_SEED, type Stage } from './stage.ts'
import { type Holdings, holdingsOf, minedOf } from './truth.ts'

/** A defect that is put in on purpose, to see that it is found. */
export type Defect = {
  readonly journal?: (journal: Journal) => Journal
  readonly agent?: (agent: Agent) => Agent
  /** How many blocks it is given to come to rest, since it will not. */
  readonly rest?: number
}

export type ScheduleResult = {
  readonly seed: number
  readonly violations: readonly Violation[]
  /** What the account holds at last. */
  readonly holdings: Holdings
  /** Which of the agent's steps were done; null when the wallet shows no such state. */
  readonly steps: readonly number[] | null
  readonly hits: Readonly<Partial<Record<RequestFault | BlockFault, number>>>
  readonly mined: number
  readonly blocks: number
  /** What happened, a line each. */
  readonly lines: readonly string[]
}

const BASE_FEE = wei(parseGwei('20'))
const TENFOLD = wei(parseGwei('200'))
/** Milliseconds for one request: what never answers costs that much, several times a schedule. */
const TIMEOUT = 400
/** How many blocks it may take to come to rest, and for how many all has to stay right. */
const REST = 40
const STILL = 1
/** For how many blocks an agent that is still on its way is waited for, once all is right. */
const PATIENCE = 6
/** Where the price falls to and stays, in US dollars with 8 decimals. */
const FALLEN = usd(1_960n * 10n ** 8n)

/**
 * Plays one schedule on the stage, from the state that all begin with to rest.
 *
 * @param label the account, of which no other schedule has signed anything
 */
export async function runSchedule(
  stage: Stage,
  schedule: Schedule,
  label: string,
  defect: Defect = {},
): Promise<ScheduleResult> {
  const { world, signer, services } = stage
  const rpc = createRpc(world.url)
  const actors = createActors(world)
  const account = signer.addressOf(label)
  await prepareAccount(world, account)
  const begin = BigInt(await rpc<Hex>('eth_blockNumber'))
  const journal = await stage.journalOf(label)
  const agent = stepper(world.addressBook, account, begin)
  const policy = policyOf(schedule.policy)
  const proxy = await startFaultProxy({ upstream: world.url, seed: schedule.seed })
  const lines: string[] = []
  const hits: Partial<Record<RequestFault | BlockFault, number>> = {}
  const count = (fault: RequestFault | BlockFault) => {
    hits[fault] = (hits[fault] ?? 0) + 1
  }
  const chain = await createChain({
    rpcUrl: proxy.url,
    chainId: world.chainId,
    multicall3: world.addressBook.multicall3,
    timeout: TIMEOUT,
    retries: 1,
  })
  const start = () =>
    startEngine({
      services,
      chain,
      journal: defect.journal?.(journal) ?? journal,
      signer,
      book: world.addressBook,
      blockSeconds: BLOCK_SECONDS,
      agents: [{ agent: defect.agent?.(agent) ?? agent, policy }],
    })
  let engine = await start()

  /** The engine looks at the chain once, as its watch does; what may pass does. */
  async function tick(recover: boolean): Promise<void> {
    try {
      const head = await chain.head()
      if (recover) for (const line of await engine.live.recover(head)) lines.push(`found: ${line}`)
      await engine.live.processHead(head)
    } catch (error) {
      if (!(error instanceof RialtoError) || !error.retryable) throw error
      lines.push(describeError(error))
    }
  }

  async function restart(): Promise<void> {
    await engine.live.close()
    engine = await start()
  }

  try {
    await tick(true)
    await proxy.schedule(schedule.entries)
    await proxy.behave(schedule.manners)
    for (const faults of schedule.blocks) {
      const strikes = new Set(faults)
      for (const fault of faults) lines.push(`block: ${fault}`)
      lines.push(`on block ${BigInt(await rpc<Hex>('eth_blockNumber'))}`)
      await strike({ stage, schedule, proxy, label, account, journal, begin, strikes, count })
      await actors.mineBlock({ baseFeePerGas: strikes.has('base fee times ten') ? TENFOLD : BASE_FEE })
      if (strikes.has('engine restarted')) {
        count('engine restarted')
        await restart()
      }
      await Promise.all([
        tick(strikes.has('engine restarted')),
        strikes.has('redis wiped') ? wipe(stage, journal, count) : undefined,
      ])
    }
    for (const { method, kind } of (await proxy.record()).hits) {
      const fault = faultOf(method, kind, schedule.requests)
      if (fault !== null) count(fault)
    }
    await proxy.schedule([])
    await proxy.behave({})
    let violations: readonly Violation[] = []
    let still = 0
    for (let block = 0; block < (defect.rest ?? REST) && still < STILL; block++) {
      await actors.mineBlock({ baseFeePerGas: BASE_FEE })
      await tick(false)
      violations = await checkRest({ rpc, account, begin, journal, signer, policy })
      const done = stepsDone(await holdingsOf(rpc, world.addressBook, account))
      still = violations.length === 0 && (done?.length === steps.length || block >= PATIENCE) ? still + 1 : 0
    }
    lines.push(...(await describeJournal(journal)))
    const holdings = await holdingsOf(rpc, world.addressBook, account)
    return {
      seed: schedule.seed,
      violations,
      holdings,
      steps: stepsDone(holdings),
      hits,
      mined: (await minedOf(rpc, account, begin)).length,
      blocks: Number(BigInt(await rpc<Hex>('eth_blockNumber')) - begin),
      lines,
    }
  } finally {
    await engine.live.close()
    await proxy.close()
  }
}

type Strike = {
  readonly stage: Stage
  readonly schedule: Schedule
  readonly proxy: FaultProxy
  readonly label: string
  readonly account: Address
  readonly journal: Journal
  readonly begin: bigint
  readonly strikes: ReadonlySet<BlockFault>
  readonly count: (fault: BlockFault) => void
}

/** What happens to the world before the next block. */
async function strike({ stage, schedule, proxy, label, account, begin, journal, strikes, count }: Strike) {
  const { world, signer } = stage
  const rpc = createRpc(world.url)
  const { random } = schedule
  for (const [fault, reinject] of [
    ['reorg', true],
    ['reorg: forgotten by the pools', false],
  ] as const) {
    if (!strikes.has(fault)) continue
    const head = BigInt(await rpc<Hex>('eth_blockNumber'))
    const depth = Math.min(random.between(1, 4), Number(head - begin))
    if (depth === 0) continue
    count(fault)
    await proxy.reorganise(depth, { reinject })
  }
  if (strikes.has('base fee times ten')) count('base fee times ten')
  if (strikes.has('node lags')) {
    count('node lags')
    await proxy.behave({ ...schedule.manners, staleBlocks: random.between(1, 3) })
  } else await proxy.behave(schedule.manners)
  if (strikes.has('evicted from the pools'))
    for (const { hash } of await journal.inFlight(account))
      if (hash !== null && (await proxy.evict(hash))) count('evicted from the pools')
  if (strikes.has('outside transaction')) {
    count('outside transaction')
    await sendOutside(rpc, world.chainId, label)
  }
  if (strikes.has('price falls')) {
    count('price falls')
    const actors = createActors(world)
    await actors.pushPrice(FALLEN)
    await actors.arbitrageTo(FALLEN)
  }
  if (strikes.has('signer restarted') && signer.pid !== null) {
    count('signer restarted')
    process.kill(signer.pid, 'SIGKILL')
  }
}

/** Another wallet with the same key sends something on the next nonce, for more than anyone here pays. */
async function sendOutside(rpc: ReturnType<typeof createRpc>, chainId: number, label: string): Promise<void> {
  const wallet = privateKeyToAccount(deriveKey({ label, seed: KEY_SEED }))
  const nonce = Number(await rpc<Hex>('eth_getTransactionCount', wallet.address, 'latest'))
  const raw = await wallet.signTransaction({
    type: 'eip1559',
    chainId,
    nonce,
    to: wallet.address,
    gas: 60_000n,
    maxFeePerGas: parseGwei('2000'),
    maxPriorityFeePerGas: parseGwei('10'),
  })
  await rpc('eth_sendRawTransaction', raw)
}

/** Takes away all that the queue holds of a schedule while the engine is at work. */
async function wipe(stage: Stage, { epoch }: Journal, count: (fault: BlockFault) => void): Promise<void> {
  const redis = new Redis(stage.services.queue.connection)
  const keys = await redis.keys(`rialto-${epoch.replaceAll(/[^0-9a-z]/gi, '-').slice(0, 40)}*`)
  if (keys.length > 0) {
    await redis.del(...keys)
    count('redis wiped')
  }
  await redis.quit()
}

/** What the journal holds at last. */
async function describeJournal(journal: Journal): Promise<readonly string[]> {
  const [intents, attempts] = await Promise.all([journal.intents(), journal.attempts()])
  return Promise.all([
    ...intents.map(
      async ({ id, action, status, decidedOnBlock, verdicts }) =>
        `intent ${id.slice(0, 8)} ${action.kind} of block ${decidedOnBlock}: ${status}${
          status === 'denied' ? ` (${denial(verdicts)})` : ''
        }`,
    ),
    ...attempts.map(
      async ({ id, intentId, purpose, nonce, status, blockNumber, failure }) =>
        `attempt ${id.slice(0, 8)} of ${intentId?.slice(0, 8)} to ${purpose} on ${nonce}: ${(await journal.steps(id)).map(({ to }) => to).join(' > ')}; ${status} in ${blockNumber}${failure === null ? '' : ` (${failure})`}`,
    ),
  ])
}

const denial = (verdicts: readonly Verdict[]): string =>
  verdicts
    .at(-1)
    ?.findings.filter(({ allowed }) => !allowed)
    .map(({ code }) => code)
    .join(', ') ?? 'no verdict'

/** Takes the chain back to where every schedule begins. @returns how to do it again */
export async function rewind(stage: Stage, snapshot: Hex | null): Promise<Hex> {
  const rpc = createRpc(stage.world.url)
  if (snapshot !== null) await rpc('evm_revert', snapshot)
  await rpc('anvil_dropAllTransactions')
  return rpc<Hex>('evm_snapshot')
}
