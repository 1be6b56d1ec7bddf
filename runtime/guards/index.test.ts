import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { SimulatedPlan } from '../core/lifecycle.ts'
import { denialCodes, denials } from '../core/verdict.ts'
import { movingHealthFactor, planOf } from './guardPlans.fixture.ts'
import { context, intents, policy, seeing, under, withPast } from './guardScene.fixture.ts'
import { effectGuards, intentGuards, judgeEffect, judgeIntent } from './index.ts'

const names = [...Object.keys(intentGuards), ...Object.keys(effectGuards)]

describe('the registries', () => {
  it('hold every guard once, under the name of its file', () => {
    const files = new Set(readdirSync(import.meta.dirname))
    for (const name of names) {
      expect(files).toContain(`${name}.ts`)
      expect(files).toContain(`${name}.test.ts`)
    }
    expect(new Set(names).size).toBe(names.length)
  })
})

describe('judgeIntent', () => {
  it('has every guard on intents answer, in order, under the version of the policy', () => {
    const verdict = judgeIntent(context, intents.swap)
    expect(verdict).toMatchObject({ phase: 'intent', allowed: true, policyVersion: policy.version })
    expect(verdict.findings.map(({ guard }) => guard)).toEqual(Object.keys(intentGuards))
  })

  it('lets every guard answer when one denies', () => {
    const verdict = judgeIntent({ ...withPast({ inFlight: 2 }), tradingState: 'halted' }, intents.swap)
    expect(verdict.allowed).toBe(false)
    expect(verdict.findings).toHaveLength(Object.keys(intentGuards).length)
    expect(denials(verdict).map(({ code }) => code)).toEqual(['TRADING_HALTED', 'ATTEMPT_IN_FLIGHT'])
  })
})

describe('judgeEffect', () => {
  it('allows what every kind of intent does, by every guard', () => {
    for (const intent of Object.values(intents)) {
      const verdict = judgeEffect(context, intent, planOf(intent))
      expect(denials(verdict)).toEqual([])
      expect(verdict).toMatchObject({ phase: 'effect', allowed: true, policyVersion: policy.version })
      expect(verdict.findings.map(({ guard }) => guard)).toEqual(names)
      for (const { limit, observed, message } of verdict.findings)
        for (const text of [limit, observed, message]) expect(text).toMatch(/^[^\n]+$/)
    }
  })

  it('asks the guards on intents again, with what the simulation has shown', () => {
    const justActed = withPast({ lastActionAt: context.snapshot.block.timestamp })
    expect(judgeIntent(justActed, intents.repay).allowed).toBe(true)
    const useless = planOf(intents.repay, { effects: movingHealthFactor('1.1', '1.1') })
    const codes = denials(judgeEffect(justActed, intents.repay, useless)).map(({ code }) => code)
    expect(codes).toContain('COOLDOWN')
    expect(codes).toContain('HEALTH_FACTOR_NOT_IMPROVED')
  })

  it('hears an owner who halts the agent while the plan is simulated', () => {
    expect(
      judgeEffect({ ...context, tradingState: 'halted' }, intents.repay, planOf(intents.repay)).allowed,
    ).toBe(false)
  })

  it('takes a guard that throws for a denial of that guard', () => {
    const broken = { ...planOf(intents.swap), effects: undefined } as unknown as SimulatedPlan
    const verdict = judgeEffect(context, intents.swap, broken)
    expect(verdict.allowed).toBe(false)
    expect(verdict.findings.map(({ guard }) => guard)).toEqual(names)
    expect(verdict.findings.find(({ guard }) => guard === 'spendCapTransaction')).toMatchObject({
      code: 'NOT_JUDGEABLE',
      allowed: false,
    })
  })

  it('gives a code of the closed list with every denial, and none with what it allows', () => {
    const verdict = judgeEffect(
      seeing({ oracles: [], pools: [], reserves: [] }),
      intents.swap,
      planOf(intents.swap),
    )
    for (const { allowed, code } of verdict.findings)
      if (allowed) expect(code).toBeNull()
      else expect(denialCodes).toContain(code)
  })

  it('denies a plan that was made under another policy', () => {
    const other = under((file) => {
      file.confirmations = 2
    })
    const codes = denials(judgeEffect(other, intents.swap, planOf(intents.swap))).map(({ code }) => code)
    expect(codes).toEqual(['PLAN_MISMATCH'])
  })
})
