import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Address, parseEther, parseGwei } from 'viem'
import { createChain } from '../../infra/chain/createChain.ts'
import { startEngine } from '../../infra/compose.ts'
import { createActors } from '../../infra/world/actors.ts'
import { fundAccounts } from '../../infra/world/fundAccounts.ts'
import { openPositions } from '../../infra/world/openPositions.ts'
import { POSITION } from '../../infra/world/setStage.ts'
import { BLOCK_SECONDS } from '../../infra/world/world.ts'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { Agent } from '../../runtime/core/agent.ts'
import { agentId } from '../../runtime/core/ids.ts'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { tokenAmount, wei } from '../../runtime/core/units.ts'
import { type Policy, parsePolicy } from '../../runtime/guards/policy.ts'
import { openStage } from '../faults/stage.ts'
import { checkSoak } from './checkSoak.ts'
import { growthOf, type Sample } from './growth.ts'

export type SoakOptions = {
  /** How many intents are carried out in all, at least. */
  readonly intents: number
  /** After how many the memory is looked at. */
  readonly sampleEvery: number
  readonly onSample?: (sample: Sample, intentsPerSecond: number) => void
  /** Sees every snapshot that an agent is given: a leak on purpose keeps them. */
  readonly onSnapshot?: (snapshot: Snapshot) => void
}

export type SoakResult = {
  readonly samples: readonly Sample[]
  readonly intents: number
  readonly intentsPerSecond: number
  /** Bytes of heap per intent, from the samples after the warm-up. */
  readonly growth: number
  /** How many of the snapshots that agents were given are still held by somebody at last. */
  readonly retained: number
  /** What is wrong between journal, ledger and chain at last; empty when nothing is. */
  readonly wrong: readonly string[]
}

/** Accounts that act in every block. */
const ACCOUNTS = 10
const BASE_FEE = wei(parseGwei('1'))
const AMOUNT = tokenAmount(parseEther('0.001'))

/**
 * Carries out many intents on a stage of real things: anvil, PGlite, Valkey, a signer process. In every block each of ten
 * accounts gives a little to Aave or takes it back.
 */
export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const policy = soakPolicy()
  const labels = Array.from({ length: ACCOUNTS }, (_, index) => `soaked-${index}`)
  const stage = await openStage(labels.map((label) => ({ label, policies: [policy] })))
  const { world, signer, services } = stage
  try {
    const accounts = labels.map((label) => signer.addressOf(label))
    await openPositions(
      world,
      accounts.map((account) => ({ account, ...POSITION })),
    )
    await fundAccounts(
      world,
      accounts.map((account) => ({
        account,
        eth: wei(parseEther('50')),
        weth: tokenAmount(parseEther('1')),
      })),
    )
    const chain = await createChain({
      rpcUrl: world.url,
      chainId: world.chainId,
      multicall3: world.addressBook.multicall3,
    })
    const journal = await stage.journalOf('soak')
    const given: WeakRef<Snapshot>[] = []
    const onSnapshot = (snapshot: Snapshot) => {
      given.push(new WeakRef(snapshot))
      options.onSnapshot?.(snapshot)
    }
    const agents = accounts.map((account, index) => ({
      agent: soaked(labels[index] ?? '', account, world.addressBook, onSnapshot),
      policy,
    }))
    const begin = (await chain.head()).number
    const { live } = await startEngine({
      services,
      chain,
      journal,
      signer,
      book: world.addressBook,
      blockSeconds: BLOCK_SECONDS,
      agents,
    })
    const actors = createActors(world)
    const samples: Sample[] = [sampleAt(0)]
    const startedAt = performance.now()
    const rate = (count: number) => (count / (performance.now() - startedAt)) * 1_000
    let intents = 0
    let due = options.sampleEvery
    while (intents < options.intents) {
      await actors.mineBlock({ baseFeePerGas: BASE_FEE })
      await live.processHead(await chain.head())
      intents = (await journal.counts()).intents
      if (intents < due) continue
      due += options.sampleEvery
      const sample = sampleAt(intents)
      samples.push(sample)
      options.onSample?.(sample, rate(intents))
    }
    const intentsPerSecond = rate(intents)
    // What the last block wanted is mined and settled, and nothing more is wanted.
    await actors.mineBlock({ baseFeePerGas: BASE_FEE })
    await live.processHead(await chain.head())
    sampleAt(intents)
    const retained = given.filter((snapshot) => snapshot.deref() !== undefined).length
    await live.close()
    const wrong = await checkSoak({ url: world.url, accounts, begin, journal, signer })
    return { samples, intents, intentsPerSecond, growth: growthOf(samples), retained, wrong }
  } finally {
    await stage.close()
  }
}

/** Gives a little in one block and takes it back in the next. */
function soaked(
  label: string,
  account: Address,
  book: AddressBook,
  onSnapshot: (snapshot: Snapshot) => void,
): Agent {
  return {
    id: agentId(label),
    account,
    watch: () => ({
      positions: [account],
      assets: book.aaveV3.reserves.map(({ asset }) => asset),
      pools: book.uniswapV3.pools.map(({ address }) => address),
    }),
    analyse: async (snapshot) => {
      onSnapshot(snapshot)
      const { number } = snapshot.block
      return {
        proposal: {
          kind: number % 2n === 0n ? 'supply' : 'withdraw',
          asset: book.wrappedNative,
          amount: AMOUNT,
          expiresAtBlock: number + 4n,
        },
        reason: 'soaked',
        source: 'rule',
        fallbackReason: null,
        candidates: 1,
        inferenceCalls: 0,
        model: null,
      }
    },
  }
}

let collect: (() => void) | null = null

/** Collects garbage first: what is left is held by somebody. */
function sampleAt(intents: number): Sample {
  if (collect === null) {
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as () => void
  }
  collect()
  const { heapUsed, rss } = process.memoryUsage()
  return { intents, heapUsed, rss }
}

function soakPolicy(): Policy {
  const spend = { perTransactionUsd: '1000.00', rollingUsd: '1000000.00' }
  return parsePolicy({
    name: 'soak',
    mode: 'execute',
    intents: ['supply', 'withdraw'],
    contracts: {
      'erc20:WETH': ['approve'],
      'aave-v3.pool': ['supply', 'withdraw'],
      'rialto.assert': ['minHealthFactor', 'minBalance', 'zeroAllowance', 'notAfter'],
    },
    recipients: [],
    spend: { ...spend, windowSeconds: 86_400 },
    slippage: { oracleBps: 50, poolBps: 50 },
    oracle: { maxAgeSeconds: 900_000, maxDeviationBps: 200, withoutReferencePool: [] },
    healthFactor: { floor: '1.02', trigger: '1.10', minAfter: '1.15', target: '1.35' },
    gas: { maxFeeGwei: '100', maxCostUsd: '100.00' },
    cooldownSeconds: 0,
    drawdownStopBps: 9_000,
    lastValidBlocks: 3,
    intentExpiryBlocks: 10,
    confirmations: 1,
    replacement: { afterBlocks: 2, bumpBps: 1_250 },
    submission: { route: 'public', publicAfterBlocks: 'never' },
    allowances: { WETH: '10000', native: '10000' },
    protector: 'none',
    maxDeviationBps: 5_000,
    approvals: { personAboveUsd: 'none', owners: [], threshold: 1, expirySeconds: 3_600 },
    graduation: 'none',
    riskReducing: {
      spend,
      slippage: { oracleBps: 300, poolBps: 300 },
      oracle: { maxAgeSeconds: 900_000, maxDeviationBps: 500 },
      gas: { maxFeeGwei: '400', penaltyPartBps: 9_000 },
    },
  })
}
