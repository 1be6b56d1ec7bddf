import type { Address, Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { createLendingGuardian } from '../../agents/lending-guardian/index.ts'
import { createChain } from '../../infra/chain/createChain.ts'
import { decodeRevert } from '../../infra/chain/decodeRevert.ts'
import { loadPolicy } from '../../infra/config/loadPolicy.ts'
import { deriveKey } from '../../infra/signer/deriveKey.ts'
import { createSigningHistory, type SigningHistory } from '../../infra/signer/signingHistory.ts'
import { type Actors, createActors } from '../../infra/world/actors.ts'
import { openPositions } from '../../infra/world/openPositions.ts'
import { createRpc, type Rpc } from '../../infra/world/rpc.ts'
import { STARTING_PRICE } from '../../infra/world/scenarios/scenario.ts'
import { POSITION } from '../../infra/world/setStage.ts'
import { BLOCK_SECONDS, type World } from '../../infra/world/world.ts'
import type { Agent } from '../../runtime/core/agent.ts'
import { isOpen } from '../../runtime/core/attempts.ts'
import { type Clock, systemClock, unixSeconds } from '../../runtime/core/clock.ts'
import { agentId, type IntentId, intentId } from '../../runtime/core/ids.ts'
import type { Intent } from '../../runtime/core/intent.ts'
import type { AttemptRecord } from '../../runtime/core/journal.ts'
import type { Chain, Journal, Logger, Signer } from '../../runtime/core/ports.ts'
import type { BlockRef, Snapshot } from '../../runtime/core/snapshot.ts'
import { type Usd, usd, type Wei, wei } from '../../runtime/core/units.ts'
import { type Policy, withMode } from '../../runtime/guards/policy.ts'
import { decide, type Execution, execute, settle as settleAccount } from '../../runtime/pipeline.ts'
import type { Runtime } from '../../runtime/stages/runtime.ts'
import { memoryJournals } from '../twins/memoryJournal.ts'
import { type MemorySignerParameters, memorySigner } from '../twins/memorySigner.ts'

export { withMode }

export const dollars = (whole: number): Usd => usd(BigInt(Math.round(whole * 100)) * 10n ** 6n)
export const gwei = (whole: bigint): Wei => wei(whole * 10n ** 9n)

export type LogLine = { readonly level: string; readonly message: string; readonly fields: object }

export function memoryLogger(): Logger & { readonly lines: readonly LogLine[] } {
  const lines: LogLine[] = []
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields })
  }
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** What came of a run. `attempt` is the newest in flight. */
export type Acted = { readonly id: IntentId; readonly outcome: Execution; readonly attempt: AttemptRecord }

/** An engine on a real chain, with journal and signer in memory, and one guarded position that it can act for. */
export type Engine = {
  readonly runtime: Runtime
  readonly agent: Agent
  /** The agent as it thinks for itself, where `propose` replaced its thinking. */
  readonly guardian: Agent
  readonly policy: Policy
  readonly actors: Actors
  readonly logger: ReturnType<typeof memoryLogger>
  /** Moves oracle and pool, mines, and returns the new head. */
  moveTo(price: Usd, options?: { oracleOnly?: boolean; baseFee?: Wei }): Promise<BlockRef>
  mine(options?: { baseFee?: Wei }): Promise<BlockRef>
  /** Mines a block, and follows the account at it. With `drop` the pool forgets everything before. */
  pass(options?: { baseFee?: Wei; runtime?: Runtime; drop?: boolean }): Promise<BlockRef>
  /** Follows the account at a head. */
  follow(head: BlockRef, runtime?: Runtime): Promise<void>
  /** Decides and executes on a head. */
  act(head: BlockRef, runtime?: Runtime): Promise<Acted>
  /** Another wallet with the same key sends an empty transaction of the account, for more than anyone here pays. */
  sendOutside(nonce: bigint): Promise<Hex>
  /** A request to the node itself. */
  readonly rpc: Rpc
  /** What the signer signed: it outlives the journal. */
  readonly history: SigningHistory
  /** Another signer with the same key, whose ledger was lost. */
  newSigner(): Signer
  /** The same engine with some of its parts exchanged. */
  with(parts: Partial<Pick<Runtime, 'chain' | 'journal' | 'signer' | 'policyOf'>>): Runtime
}

let seeds = 0

/** Each engine has an account of its own, so that several can share a world. */
export async function createEngine(
  world: World,
  options: {
    propose?: (snapshot: Snapshot) => Intent
    policy?: (policy: Policy) => Policy
    /** Milliseconds that the signer has run; it never gets older when absent. */
    uptime?: () => number
    /** The machine's clock, which runtime and signer share; the system's when absent. */
    clock?: Clock
    /** In memory when absent. */
    journal?: Journal
    /** Where the signer lets an evacuation send everything; nowhere when absent. */
    evacuateTo?: Address
    /** What the owner ordered the signer; nothing when absent. */
    orders?: MemorySignerParameters['orders']
  } = {},
): Promise<Engine> {
  const seed = String(++seeds)
  const wallet = privateKeyToAccount(deriveKey({ label: 'guardian', seed }))
  const account = wallet.address
  const book = world.addressBook
  const shipped = await loadPolicy('policies/lending-guardian.json')
  const policy = options.policy?.(shipped) ?? shipped
  const actors = createActors(world)
  const chain: Chain = await createChain({
    rpcUrl: world.url,
    chainId: world.chainId,
    multicall3: book.multicall3,
  })
  // Earlier tests may have left the market where this debt could not be borrowed.
  await actors.pushPrice(STARTING_PRICE)
  await actors.arbitrageTo(STARTING_PRICE)
  await actors.mineBlock()
  await openPositions(world, [{ account, ...POSITION }])
  const id = agentId('lending-guardian')
  const guardian = createLendingGuardian({
    id,
    account,
    thresholds: policy.healthFactor,
    assets: book.aaveV3.reserves.map(({ asset }) => asset),
    pools: book.uniswapV3.pools.map(({ address }) => address),
    wrappedNative: book.wrappedNative,
    model: null,
    maxSlippage: policy.riskReducing.slippage.oracle,
    quoteTolerance: policy.riskReducing.slippage.pool,
  })
  const { propose } = options
  const agent: Agent =
    propose === undefined
      ? guardian
      : {
          ...guardian,
          analyse: async (snapshot) => ({
            proposal: propose(snapshot),
            reason: 'scripted',
            source: 'rule',
            fallbackReason: null,
            candidates: 1,
            inferenceCalls: 0,
            model: null,
          }),
        }
  const journal = options.journal ?? (await memoryJournals().open(world.chainId, world.genesisHash))
  const clock = options.clock ?? systemClock
  const history = createSigningHistory()
  const startSigner = (past: SigningHistory): Signer =>
    memorySigner({
      book,
      history: past,
      accounts: [
        {
          label: 'guardian',
          key: { kind: 'derived', seed },
          policies: [policy],
          ...(options.evacuateTo === undefined ? {} : { evacuateTo: options.evacuateTo }),
        },
      ],
      now: () => unixSeconds(clock),
      ...(options.uptime === undefined ? {} : { uptime: options.uptime }),
      ...(options.orders === undefined ? {} : { orders: options.orders }),
    })
  const signer = startSigner(history)
  const logger = memoryLogger()
  const rpc = createRpc(world.url)
  const runtime: Runtime = {
    chain,
    journal,
    signer,
    logger,
    book,
    clock,
    holder: 'test',
    blockSeconds: BigInt(BLOCK_SECONDS),
    analyseTimeout: 30_000,
    explainRevert: decodeRevert,
    policyOf: () => policy,
  }
  return {
    runtime,
    agent,
    guardian,
    policy,
    actors,
    logger,
    async moveTo(price, { oracleOnly = false, baseFee = gwei(20n) } = {}) {
      await actors.pushPrice(price)
      if (!oracleOnly) await actors.arbitrageTo(price)
      await actors.mineBlock({ baseFeePerGas: baseFee })
      return chain.head()
    },
    async mine({ baseFee = gwei(20n) } = {}) {
      await actors.mineBlock({ baseFeePerGas: baseFee })
      return chain.head()
    },
    async pass({ baseFee = gwei(20n), runtime: chosen = runtime, drop = false } = {}) {
      if (drop) await rpc('anvil_dropAllTransactions')
      await actors.mineBlock({ baseFeePerGas: baseFee })
      const head = await chain.head()
      await settleAccount(chosen, [agent], account, head)
      return head
    },
    follow: (head, chosen = runtime) => settleAccount(chosen, [agent], account, head),
    async act(head, chosen = runtime) {
      const run = await decide(chosen, agent, head)
      const intent = intentId(run.id)
      const outcome = await execute(chosen, agent, intent, head)
      const attempt = (await chosen.journal.inFlight()).at(-1) as AttemptRecord
      return { id: intent, outcome, attempt }
    },
    async sendOutside(nonce) {
      const raw = await wallet.signTransaction({
        type: 'eip1559',
        chainId: world.chainId,
        nonce: Number(nonce),
        to: account,
        gas: 60_000n,
        maxFeePerGas: gwei(1_000n),
        maxPriorityFeePerGas: gwei(10n),
      })
      return rpc<Hex>('eth_sendRawTransaction', raw)
    },
    rpc,
    history,
    newSigner: () => startSigner(createSigningHistory()),
    with: (parts) => ({ ...runtime, ...parts }),
  }
}

/**
 * Follows the account of an attempt at a head.
 *
 * @returns the attempt once it is settled, null before
 */
export async function settle(
  runtime: Runtime,
  agent: Agent,
  attempt: AttemptRecord,
  head: BlockRef,
): Promise<AttemptRecord | null> {
  await settleAccount(runtime, [agent], attempt.account, head)
  const now = (await runtime.journal.attempts()).find(({ id }) => id === attempt.id)
  return now === undefined || isOpen(now.status) ? null : now
}
