import { describe, expect, it } from 'vitest'
import type { SimulatedPlan } from '../core/lifecycle.ts'
import { planOf } from './guardPlans.fixture.ts'
import { book, context, intents, seeing, snapshot, stranger, under } from './guardScene.fixture.ts'
import { planBinding } from './planBinding.ts'

const judge = (plan: SimulatedPlan, by = context) => planBinding(by, intents.swap, plan)

describe('planBinding', () => {
  it('allows the plan of this account, chain, block and policy', () => {
    expect(judge(planOf(intents.swap)).allowed).toBe(true)
  })

  it('denies a plan for another account, chain, block or policy', () => {
    for (const plan of [
      { account: stranger },
      { chainId: 1 },
      { block: { number: 1_000n, hash: snapshot.block.parentHash } },
      { block: { number: 999n, hash: snapshot.block.hash } },
      { policyVersion: 'another' },
    ])
      expect(judge(planOf(intents.swap, { plan }))).toMatchObject({ code: 'PLAN_MISMATCH' })
  })

  it('denies a plan that changed after it was hashed', () => {
    const plan = { ...planOf(intents.swap), gasLimit: 1n } as SimulatedPlan
    expect(judge(plan)).toMatchObject({ code: 'PLAN_MISMATCH' })
  })

  it('denies a context that does not fit together', () => {
    const plan = planOf(intents.swap)
    expect(judge(plan, { ...context, book: { ...book, chainId: 1 } }).allowed).toBe(false)
    expect(judge(plan, seeing({ chainId: 1 })).allowed).toBe(false)
    expect(judge(plan, seeing({ wallet: { ...snapshot.wallet, account: stranger } })).allowed).toBe(false)
    const stricter = under((file) => {
      file.cooldownSeconds = 301
    })
    expect(judge(plan, stricter)).toMatchObject({ code: 'PLAN_MISMATCH' })
  })
})
