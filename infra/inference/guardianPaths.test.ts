import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLendingGuardian, type LendingGuardianOptions } from '../../agents/lending-guardian/index.ts'
import { account, assets, pool, snapshotOf } from '../../agents/lending-guardian/testSnapshot.ts'
import { agentId, runId } from '../../runtime/core/ids.ts'
import type { Intent } from '../../runtime/core/intent.ts'
import { type Usd, wad } from '../../runtime/core/units.ts'
import { quoteExactOut } from '../../runtime/protocols/uniswap-v3/quote.ts'
import { blackThursday } from '../world/scenarios/blackThursday.ts'
import type { Scenario } from '../world/scenarios/scenario.ts'
import { slowBleed } from '../world/scenarios/slowBleed.ts'
import { type ReferenceAnalyst, startReferenceAnalyst } from './analyst/server.ts'
import { createChatModel } from './createChatModel.ts'

// The built-in scenarios on paper: prices as they are played, positions by plain arithmetic, each decision carried
// out one block after it was made. What the whole engine does with them is tested elsewhere; this is about the
// mind: it must act early enough, and not so much that acting costs more than it saves.

let analyst: ReferenceAnalyst
beforeAll(async () => {
  analyst = await startReferenceAnalyst()
})
afterAll(() => analyst.close())

const START = { supplied: 10n * 10n ** 18n, owed: 12_692_000_000n, usdc: 380_000_000n }
type Holdings = typeof START

const healthFactorOf = ({ supplied, owed }: Holdings, price: Usd): bigint =>
  (supplied * price * 825n) / (owed * 10n ** 5n)
const equityOf = ({ supplied, owed, usdc }: Holdings, price: Usd): bigint =>
  (supplied * price) / 10n ** 18n + (usdc - owed) * 100n

async function play(scenario: Scenario, model: LendingGuardianOptions['model']) {
  const id = agentId('guardian')
  const guardian = createLendingGuardian({
    id,
    account,
    thresholds: {
      floor: wad(105n * 10n ** 16n),
      trigger: wad(115n * 10n ** 16n),
      target: wad(135n * 10n ** 16n),
    },
    assets: [assets.weth, assets.usdc],
    pools: [pool],
    wrappedNative: assets.weth,
    model,
  })
  const prices = scenario.path({ seed: 1, blocks: scenario.defaultBlocks }).map(({ oracle }) => oracle)
  let guarded = START
  let twin = START
  let intent: Intent | undefined
  let lowest = healthFactorOf(guarded, prices[0] as Usd)
  let actions = 0
  const sources = new Set<string>()
  for (const [index, price] of prices.entries()) {
    const worst = healthFactorOf(guarded, price)
    if (worst < lowest) lowest = worst
    if (healthFactorOf(twin, price) < 10n ** 18n) twin = liquidated(twin, price)
    const at = { price, supplied: guarded.supplied, owed: guarded.owed, wallet: { usdc: guarded.usdc } }
    if (intent !== undefined && intent.kind !== 'nothing') {
      guarded = carriedOut(guarded, intent, at)
      actions++
    }
    const snapshot = snapshotOf({
      ...at,
      supplied: guarded.supplied,
      owed: guarded.owed,
      wallet: { usdc: guarded.usdc },
      block: BigInt(index + 1),
      answers: prices.slice(Math.max(0, index - 64), index + 1),
    })
    const run = runId(id, snapshot.block.hash)
    const signal = new AbortController().signal
    const analysis = await guardian.analyse(snapshot, { runId: run, threadId: run, signal })
    sources.add(analysis.source)
    intent = analysis.proposal
  }
  const last = prices.at(-1) as Usd
  // Each action is charged 40 dollars of gas, more than it takes at these prices.
  const equity = equityOf(guarded, last) - BigInt(actions) * 40n * 10n ** 8n
  return { lowest, actions, equity, twinEquity: equityOf(twin, last), sources }
}

/** Half of the debt, at a bonus of 5 %. */
function liquidated({ supplied, owed, usdc }: Holdings, price: Usd): Holdings {
  const covered = owed / 2n
  return { supplied: supplied - (covered * 105n * 10n ** 18n) / price, owed: owed - covered, usdc }
}

function carriedOut(holdings: Holdings, intent: Intent, at: Parameters<typeof snapshotOf>[0]): Holdings {
  const { supplied, owed, usdc } = holdings
  if (intent.kind === 'repay') return { supplied, owed: owed - intent.amount, usdc: usdc - intent.amount }
  if (intent.kind !== 'deleverage') throw new RangeError(`No ${intent.kind} was expected.`)
  const [state] = snapshotOf(at).pools
  if (state === undefined) throw new RangeError('no pool')
  const spent = quoteExactOut(state, assets.weth, intent.repayAmount).amountIn
  return { supplied: supplied - spent, owed: owed - intent.repayAmount, usdc }
}

describe.each([blackThursday, slowBleed])('$name', (scenario) => {
  it('is survived with the reference analyst, which acts before it must', async () => {
    const { model, name } = await createChatModel({ url: analyst.url })
    const { lowest, equity, twinEquity, actions, sources } = await play(scenario, { chat: model, name })
    expect(sources).toEqual(new Set(['quiet', 'model']))
    expect(lowest).toBeGreaterThan(1_100_000_000_000_000_000n)
    expect(equity).toBeGreaterThan(twinEquity)
    expect(actions).toBeLessThan(20)
  })

  it('is survived by rule alone', async () => {
    const { lowest, equity, twinEquity, actions, sources } = await play(scenario, null)
    expect(sources).toEqual(new Set(['quiet', 'rule']))
    expect(lowest).toBeGreaterThan(1_050_000_000_000_000_000n)
    expect(equity).toBeGreaterThan(twinEquity)
    expect(actions).toBeLessThan(12)
  })
})
