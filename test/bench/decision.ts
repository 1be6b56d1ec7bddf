import { createPublicClient, createWalletClient, encodeFunctionData, http, parseAbi, parseGwei } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { foundry } from 'viem/chains'
import { encodeExecuteData } from 'viem/experimental/erc7821'
import { startEngine } from '../../infra/compose.ts'
import { createAgent } from '../../infra/createAgent.ts'
import { deriveKey } from '../../infra/signer/deriveKey.ts'
import { BLOCK_SECONDS } from '../../infra/world/world.ts'
import { agentId } from '../../runtime/core/ids.ts'
import type { Journal } from '../../runtime/core/ports.ts'
import { usd, wei } from '../../runtime/core/units.ts'
import { type Result, result, summarise, timed } from './measure.ts'
import type { Scene } from './scene.ts'

/** Under the guardian's trigger: every position calls for a rescue. */
const HUNGRY = usd(1_750n * 10n ** 8n)

/**
 * Full decisions, each from a new block to the broadcast of a rescue: read, think (LangGraph and the reference analyst),
 * propose, guard, simulate, guard, sign, submit, all of it in the journal and through the queue.
 *
 * The floor is a bare viem script that reads the position, signs the same kind of transaction and sends it, with no
 * guard, simulation, journal or model: what one writes who trusts everything.
 */
export async function benchDecision(scene: Scene, where: string): Promise<Result[]> {
  const { actors, chain, labels, policy } = scene
  await actors.pushPrice(HUNGRY)
  await actors.arbitrageTo(HUNGRY)
  await actors.mineBlock({ baseFeePerGas: wei(parseGwei('20')) })
  const head = await chain.head()
  // Half of the borrowers each, all on the same block; the first of each warms up.
  const half = Math.floor(labels.length / 2)
  const bare: number[] = []
  for (const label of labels.slice(0, half)) bare.push(await timed(() => bareRescue(scene, label)))

  const full: number[] = []
  const journal = timedJournal(scene.journal)
  const inJournal: number[] = []
  for (const label of labels.slice(half)) {
    const agent = createAgent({
      config: {
        id: agentId(label),
        role: 'lending-guardian',
        policy,
      },
      account: scene.signer.addressOf(label),
      book: scene.world.addressBook,
      model: scene.services.model,
      checkpointer: scene.services.checkpointer,
      blockSeconds: BLOCK_SECONDS,
      users: [],
    })
    const { live } = await startEngine({
      ...scene,
      journal: journal.port,
      book: scene.world.addressBook,
      blockSeconds: BLOCK_SECONDS,
      agents: [{ agent, policy }],
    })
    journal.reset()
    full.push(await timed(() => live.processHead(head)))
    inJournal.push(journal.busy())
    await live.close()
  }
  const sent = (await scene.journal.attempts()).length
  if (sent !== full.length) throw new TypeError(`${full.length} decisions sent ${sent} transactions`)
  const [ours, floor, ofJournal] = [full, bare, inJournal].map((all) => summarise(all.slice(1)))
  if (ours === undefined || floor === undefined || ofJournal === undefined)
    throw new TypeError('there are three')
  const name = `block to broadcast, a full decision (${where})`
  const shared = { floor: 'a bare viem script', unit: 'ms' } as const
  return [
    result({ name: `${name}, p50`, ...shared, ours: ours.p50, theirs: floor.p50 }),
    result({ name: `${name}, p99`, ...shared, ours: ours.p99, theirs: floor.p99 }),
    result({
      name: `of that, waiting for the journal (${where}), p50`,
      floor: 'the whole decision',
      unit: 'ms',
      ours: ofJournal.p50,
      theirs: ours.p50,
    }),
  ]
}

/** A journal that tells for how long anybody waited for it: calls that overlap count once. */
function timedJournal(journal: Journal) {
  let waiting = 0
  let since = 0
  let total = 0
  const timedCall =
    <Arguments extends readonly unknown[], Answer>(call: (...given: Arguments) => Promise<Answer>) =>
    async (...given: Arguments): Promise<Answer> => {
      if (waiting === 0) since = performance.now()
      waiting += 1
      try {
        return await call(...given)
      } finally {
        waiting -= 1
        if (waiting === 0) total += performance.now() - since
      }
    }
  const port = Object.fromEntries(
    Object.entries(journal).map(([name, member]) => [
      name,
      typeof member === 'function' ? timedCall(member as () => Promise<unknown>) : member,
    ]),
  ) as unknown as Journal
  return {
    port,
    reset() {
      total = 0
    },
    /** Milliseconds since the last reset. */
    busy: () => total,
  }
}

const poolAbi = parseAbi([
  'function getUserAccountData(address) view returns (uint256, uint256, uint256, uint256, uint256, uint256)',
  'function repay(address asset, uint256 amount, uint256 mode, address onBehalfOf) returns (uint256)',
])
const tokenAbi = parseAbi(['function approve(address, uint256) returns (bool)'])

/** Reads, signs, sends. */
async function bareRescue({ world }: Scene, label: string): Promise<void> {
  const { addressBook: book } = world
  const account = privateKeyToAccount(deriveKey({ label, seed: 'bench' }))
  const transport = http(world.url)
  const reader = createPublicClient({ chain: foundry, transport })
  const wallet = createWalletClient({ account, chain: foundry, transport })
  const [, debt] = await reader.readContract({
    address: book.aaveV3.pool,
    abi: poolAbi,
    functionName: 'getUserAccountData',
    args: [account.address],
  })
  const usdc = book.tokens.find(({ symbol }) => symbol === 'USDC')?.address
  if (usdc === undefined || book.rialto === undefined) throw new TypeError('the world has both')
  const amount = debt / 100n / 100n
  const authorization = await wallet.signAuthorization({
    contractAddress: book.rialto.batchAccount,
    executor: 'self',
  })
  await wallet.sendTransaction({
    to: account.address,
    authorizationList: [authorization],
    gas: 600_000n,
    maxFeePerGas: parseGwei('60'),
    maxPriorityFeePerGas: parseGwei('3'),
    data: encodeExecuteData({
      calls: [
        {
          to: usdc,
          data: encodeFunctionData({
            abi: tokenAbi,
            functionName: 'approve',
            args: [book.aaveV3.pool, amount],
          }),
        },
        {
          to: book.aaveV3.pool,
          data: encodeFunctionData({
            abi: poolAbi,
            functionName: 'repay',
            args: [usdc, amount, 2n, account.address],
          }),
        },
      ],
    }),
  })
}
