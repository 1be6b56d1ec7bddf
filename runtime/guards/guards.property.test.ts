import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Action } from '../core/intent.ts'
import type { Effects, SimulatedPlan } from '../core/lifecycle.ts'
import { bps, usd, wad, wei } from '../core/units.ts'
import { denials, type TradingState } from '../core/verdict.ts'
import type { GuardContext } from './guard.ts'
import { planOf, withHealthFactor } from './guardPlans.fixture.ts'
import {
  context,
  dollars,
  intents,
  owner,
  type policyFile,
  snapshot,
  under,
  usdc,
  weth,
} from './guardScene.fixture.ts'
import { effectGuards, intentGuards, judgeEffect, judgeIntent } from './index.ts'

const intent = fc.constantFrom<Action>(...Object.values(intents))
const upTo = (max: bigint) => fc.bigInt({ min: 0n, max })

/** A position, balances and fees anywhere around what is reasonable. */
const effects = fc.record({
  before: upTo(2n * 10n ** 18n),
  after: upTo(2n * 10n ** 18n),
  equityAfter: upTo(50_000n * 10n ** 8n),
  gasLimit: upTo(2_000_000n),
  maxFeePerGas: upTo(500n * 10n ** 9n),
  scale: fc.integer({ min: 90, max: 110 }),
})

const planWith = (
  of: Action,
  made: typeof effects extends fc.Arbitrary<infer T> ? T : never,
): SimulatedPlan => {
  const { balances } = planOf(of).effects
  const changed: Partial<Effects> = {
    position: {
      before: { ...withHealthFactor('1'), healthFactor: wad(made.before) },
      after: { ...withHealthFactor('1'), healthFactor: wad(made.after) },
    },
    equity: { before: dollars('46000'), after: usd(made.equityAfter) },
    balances: balances.map((delta) => ({
      ...delta,
      after: delta.before + ((delta.after - delta.before) * BigInt(made.scale)) / 100n,
    })),
  }
  const { gasLimit } = made
  return planOf(of, { plan: { gasLimit, maxFeePerGas: wei(made.maxFeePerGas) }, effects: changed })
}

const past = fc.record({
  spent: upTo(6_000n * 10n ** 8n).map(usd),
  inFlight: fc.integer({ min: 0, max: 1 }),
  inert: fc.constant(0),
  lastActionAt: fc.option(
    upTo(1_000n).map((ago) => snapshot.block.timestamp - ago),
    { nil: null },
  ),
  peakEquity: fc.option(upTo(100_000n * 10n ** 8n).map(usd), { nil: null }),
})

/** A world in which oracles are aged and deviate. */
const world = fc.record({
  history: past,
  tradingState: fc.constantFrom<TradingState>('active', 'active', 'reducing'),
  age: upTo(1_500n),
  deviation: upTo(700n),
  stale: fc.boolean(),
})

const contextWith = (
  made: typeof world extends fc.Arbitrary<infer T> ? T : never,
  by: GuardContext = context,
) => ({
  ...by,
  history: made.history,
  tradingState: made.tradingState,
  snapshot: {
    ...by.snapshot,
    oracles: by.snapshot.oracles.map((reading) => ({
      ...reading,
      updatedAt: by.snapshot.block.timestamp - made.age,
      poolDeviation: bps(made.deviation),
      stale: made.stale,
    })),
  },
})

describe('to fail closed', () => {
  it('is to allow nothing that moves anything while any price is missing', () => {
    fc.assert(
      fc.property(
        intent.filter(({ kind }) => kind !== 'revoke'),
        effects,
        world,
        fc.constantFrom(weth, usdc),
        fc.boolean(),
        (of, made, state, asset, zero) => {
          const whole = contextWith(state)
          const strip = <Item extends { asset: string }>(items: readonly Item[]) =>
            zero
              ? items.map((item) => (item.asset === asset ? { ...item, price: usd(0n) } : item))
              : items.filter((item) => item.asset !== asset)
          // The feed alone is enough to deny, whether or not Aave still has a price.
          const blind = { ...whole, snapshot: { ...whole.snapshot, oracles: strip(whole.snapshot.oracles) } }
          expect(judgeIntent(blind, of).allowed).toBe(false)
          expect(judgeEffect(blind, of, planWith(of, made)).allowed).toBe(false)
        },
      ),
    )
  })

  it('is to answer with every guard and never to throw, whatever is put into the context', () => {
    const keys = Object.keys(context) as (keyof GuardContext)[]
    fc.assert(
      fc.property(intent, fc.constantFrom(...keys), fc.anything(), (of, key, garbage) => {
        if (key === 'policy') return
        const broken = { ...context, [key]: garbage } as GuardContext
        const first = judgeIntent(broken, of)
        const second = judgeEffect(broken, of, planOf(of))
        expect(first.findings).toHaveLength(Object.keys(intentGuards).length)
        expect(second.findings).toHaveLength(
          Object.keys(intentGuards).length + Object.keys(effectGuards).length,
        )
        expect(second.allowed).toBe(false)
      }),
    )
  })

  it('is to deny a plan with any of its effects replaced by garbage', () => {
    const keys = Object.keys(planOf(intents.deleverage).effects) as (keyof Effects)[]
    fc.assert(
      fc.property(
        fc.constantFrom(...keys.filter((key) => key !== 'gasUsed')),
        fc.oneof(
          fc.constantFrom(undefined, null, Number.NaN, [], {}),
          fc.string().filter((text) => !(Number(text) > 0)),
          fc.object(),
        ),
        (key, garbage) => {
          const plan = planOf(intents.deleverage, { effects: { [key]: garbage } })
          expect(judgeEffect(context, intents.deleverage, plan).allowed).toBe(false)
        },
      ),
    )
  })
})

describe('limits', () => {
  /** Each way to loosen a policy, by a factor or an amount that keeps it free of contradictions. */
  const loosen: readonly ((file: typeof policyFile, by: number) => void)[] = [
    (file, by) => {
      file.spend.perTransactionUsd = String(200 + Math.min(by, 800))
    },
    (file, by) => {
      file.spend.rollingUsd = String(1_000 + by)
    },
    (file, by) => {
      file.slippage.oracleBps = 50 + Math.min(by, 250)
    },
    (file, by) => {
      file.slippage.poolBps = 50 + Math.min(by, 250)
    },
    (file, by) => {
      file.oracle.maxAgeSeconds = 600 + Math.min(by, 600)
    },
    (file, by) => {
      file.oracle.maxDeviationBps = 100 + Math.min(by, 400)
    },
    (file, by) => {
      file.gas.maxFeeGwei = String(100 + Math.min(by, 300))
    },
    (file, by) => {
      file.gas.maxCostUsd = String(150 + Math.min(by, 50))
    },
    (file, by) => {
      file.cooldownSeconds = 300 - Math.min(by, 300)
    },
    (file, by) => {
      file.drawdownStopBps = 2_000 + by
    },
    (file, by) => {
      file.healthFactor.minAfter = `1.${200 - Math.min(by, 50)}`
    },
    (file, by) => {
      file.riskReducing.spend.perTransactionUsd = String(2_000 + by)
    },
    (file, by) => {
      file.riskReducing.spend.rollingUsd = String(5_000 + by)
    },
    (file, by) => {
      file.riskReducing.slippage = { oracleBps: 300 + by, poolBps: 300 + by }
    },
    (file, by) => {
      file.riskReducing.oracle = { maxAgeSeconds: 1_200 + by, maxDeviationBps: 500 + by }
    },
    (file, by) => {
      file.riskReducing.gas = { maxFeeGwei: String(400 + by), penaltyPartBps: 5_000 + by }
    },
  ]

  it('never turn from allow to deny when one of them is raised', () => {
    fc.assert(
      fc.property(
        intent,
        effects,
        world,
        fc.constantFrom(...loosen),
        fc.integer({ min: 1, max: 2_000 }),
        (of, made, state, change, by) => {
          const looser = under((file) => change(file, by))
          const plan = planWith(of, made)
          const again = planOf(of, {
            plan: { ...plan, policyVersion: looser.policy.version },
            effects: plan.effects,
          })
          const strict = judgeEffect(contextWith(state), of, plan)
          const loose = judgeEffect(contextWith(state, looser), of, again)
          const denied = new Set(denials(loose).map(({ guard }) => guard))
          for (const { guard, allowed } of strict.findings) if (allowed) expect(denied).not.toContain(guard)
        },
      ),
      { numRuns: 250 },
    )
  })

  it('judge the same by whatever name and in whatever case addresses are written', () => {
    const lower = <Value>(value: Value): Value =>
      JSON.parse(
        JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? `${part}n` : part)),
        (_key, part) => {
          if (typeof part !== 'string') return part
          if (/^-?\d+n$/.test(part)) return BigInt(part.slice(0, -1))
          return /^0x[0-9a-fA-F]{40}$/.test(part) ? part.toLowerCase() : part
        },
      )
    for (const of of Object.values(intents)) {
      const plain = lower(of)
      expect(judgeEffect({ ...lower(context), book: context.book }, plain, planOf(of)).allowed).toBe(true)
      expect(judgeEffect(lower(context), plain, planOf(of)).allowed).toBe(true)
    }
    expect(owner).not.toBe(owner.toLowerCase())
  })
})
