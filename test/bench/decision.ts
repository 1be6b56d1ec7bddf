import { createPublicClient, createWalletClient, encodeFunctionData, http, parseAbi, parseGwei } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { foundry } from 'viem/chains'
import { encodeExecuteData } from 'viem/experimental/erc7821'
import { startEngine } from '../../infra/compose.ts'
import { createAgent } from '../../infra/createAgent.ts'
import { deriveKey } from '../../infra/signer/deriveKey.ts'
import { BLOCK_SECONDS } from '../../infra/world/world.ts'
import { agentId } from '../../runtime/core/ids.ts'
import { usd, wei } from '../../runtime/core/units.ts'
import { type Result, result, summarise, timed } from './measure.ts'
import type { Scene } from './scene.ts'

/** Under the guardian's trigger: every position calls for a rescue. */
const HUNGRY = usd(1_750n * 10n ** 8n)

/**
 * One full decision, from a new block to the broadcast of a rescue: read, think (LangGraph and the reference analyst),
 * propose, guard, simulate, guard, sign, submit, all of it in the journal and through the queue.
 *
 * The floor is a bare viem script that reads the position, signs the same kind of transaction and sends it, with no
 * guard, simulation, journal or model: what one writes who trusts everything.
 */
export async function benchDecision(scene: Scene, where: string): Promise<Result> {
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
      book: scene.world.addressBook,
      blockSeconds: BLOCK_SECONDS,
      agents: [{ agent, policy }],
    })
    full.push(await timed(() => live.processHead(head)))
    await live.close()
  }
  const sent = (await scene.journal.attempts()).length
  if (sent !== full.length) throw new TypeError(`${full.length} decisions sent ${sent} transactions`)
  return result({
    name: `block to broadcast, a full decision (${where})`,
    floor: 'a bare viem script',
    unit: 'ms',
    ours: summarise(full.slice(1)).p50,
    theirs: summarise(bare.slice(1)).p50,
  })
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
