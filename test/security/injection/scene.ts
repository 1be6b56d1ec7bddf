import type { BaseChatModel } from '@langchain/core/language_models/chat_models'
import { MemorySaver } from '@langchain/langgraph'
import { enumerateCandidates } from '../../../agents/lending-guardian/candidates.ts'
import { createLendingGuardian } from '../../../agents/lending-guardian/index.ts'
import { type LendingGuardianOptions, settle } from '../../../agents/lending-guardian/options.ts'
import { nothing } from '../../../agents/lending-guardian/propose.ts'
import { gather } from '../../../agents/lending-guardian/scene.ts'
import { requirePosition } from '../../../agents/lending-guardian/thoughts.ts'
import { createRpc, type Rpc } from '../../../infra/world/rpc.ts'
import type { World } from '../../../infra/world/world.ts'
import type { Agent } from '../../../runtime/core/agent.ts'
import { type Canonical, canonicalHash } from '../../../runtime/core/canonical.ts'
import { InvariantError } from '../../../runtime/core/errors.ts'
import type { Intent } from '../../../runtime/core/intent.ts'
import type { BlockRef, Snapshot } from '../../../runtime/core/snapshot.ts'
import { observe } from '../../../runtime/stages/observe.ts'
import type { Runtime } from '../../../runtime/stages/runtime.ts'
import { createEngine, dollars, type Engine } from '../../engine/engine.fixture.ts'
import { memoryJournals } from '../../twins/memoryJournal.ts'
import { memorySigner } from '../../twins/memorySigner.ts'

/** A position on the real contracts at two heads: one where the guardian may wait, and one where nobody may. */
export type Scene = Awaited<ReturnType<typeof openScene>>

/** A head with what follows from it. */
export type Moment = {
  readonly head: BlockRef
  readonly snapshot: Snapshot
  /** Whether the health factor is under the hard floor. */
  readonly urgent: boolean
  /** Everything that the guardian may propose here, by its hash. */
  readonly feasible: ReadonlySet<string>
}

/** Under the trigger and over the floor; under the floor. Dollars of an ether. */
const WORRIED = dollars(1_700)
const URGENT = dollars(1_570)

export const intentHash = (intent: Intent): string => canonicalHash(intent as unknown as Canonical)

export async function openScene(world: World) {
  const engine = await createEngine(world)
  const { runtime, policy, agent } = engine
  const rpc = createRpc(world.url)
  const options: LendingGuardianOptions = {
    id: agent.id,
    account: agent.account,
    thresholds: policy.healthFactor,
    assets: world.addressBook.aaveV3.reserves.map(({ asset }) => asset),
    pools: world.addressBook.uniswapV3.pools.map(({ address }) => address),
    wrappedNative: world.addressBook.wrappedNative,
    model: null,
    maxSlippage: policy.riskReducing.slippage.oracle,
    quoteTolerance: policy.riskReducing.slippage.pool,
  }

  async function moment(head: BlockRef): Promise<Moment> {
    const snapshot = await observe(runtime, agent, head)
    const settings = settle(options)
    const found = gather(snapshot, requirePosition(snapshot, settings), settings)
    if ('obstacle' in found) throw new InvariantError(`Nothing can be decided: ${found.obstacle}.`)
    const actions = enumerateCandidates(found, settings).flatMap(({ steps }) =>
      steps.map(({ action }) => action ?? nothing(snapshot, settings)),
    )
    return {
      head,
      snapshot,
      urgent: found.healthFactor < policy.healthFactor.floor,
      feasible: new Set(actions.map(intentHash)),
    }
  }

  return {
    world,
    engine,
    rpc,
    worried: async () => moment(await engine.moveTo(WORRIED)),
    urgent: async () => moment(await engine.moveTo(URGENT)),
    /** A guardian that asks a model, and remembers nothing of earlier ones. */
    guardian: (chat: BaseChatModel, checkpointer = new MemorySaver()): Agent =>
      createLendingGuardian({ ...options, model: { chat, name: 'obeying double' }, checkpointer }),
    /** The engine with a journal and a signer that have seen nothing, which act for the same account. */
    fresh: () => freshRuntime(engine, world),
    /** Runs something and takes the chain back to where it was, what was sent included. */
    undone: <T>(work: () => Promise<T>): Promise<T> => undone(rpc, work),
  }
}

async function freshRuntime(engine: Engine, world: World): Promise<Runtime> {
  const journal = await memoryJournals().open(world.chainId, world.genesisHash)
  // The fixture derives its first account from this seed; `accounts` below holds it to that.
  const signer = memorySigner({
    book: world.addressBook,
    accounts: [{ label: 'guardian', key: { kind: 'derived', seed: '1' }, policies: [engine.policy] }],
  })
  const [account] = await signer.accounts()
  if (account !== engine.agent.account)
    throw new InvariantError('The signer holds another account.', { account })
  return engine.with({ journal, signer })
}

async function undone<T>(rpc: Rpc, work: () => Promise<T>): Promise<T> {
  const id = await rpc<string>('evm_snapshot')
  try {
    return await work()
  } finally {
    await rpc('anvil_dropAllTransactions')
    await rpc('evm_revert', id)
  }
}
