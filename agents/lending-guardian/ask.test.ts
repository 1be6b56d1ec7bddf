import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { askModel } from './ask.ts'
import { SITUATION_SCHEMA_ID, type Situation } from './schema.ts'
import { hangs, type ScriptedModel, startScriptedModel } from './testModel.ts'

let model: ScriptedModel
beforeAll(async () => {
  model = await startScriptedModel()
})
afterAll(() => model.close())

const situation: Situation = {
  schema: SITUATION_SCHEMA_ID,
  healthFactor: 1.1,
  hardFloor: 1.08,
  target: 1.3,
  horizonBlocks: 50,
  market: { volatilityBps: 20, driftBps: 0, poolDeviationBps: 0 },
  liquidation: { bonusBps: 750, closeFactorBps: 5_000 },
  candidates: [
    {
      id: 'c1',
      kind: 'protect',
      sizeBounds: [1, 100],
      projections: [{ size: 50, healthFactorAfter: 1.2, costBps: 30, debtAfter: 1 }],
    },
  ],
}

describe('askModel', () => {
  const ask = async (signal: AbortSignal, chat = model.chat) => {
    let calls = 0
    const outcome = await askModel(chat, situation, signal, () => {
      calls++
    })
    return { outcome, calls }
  }

  it('says when it makes a call, and what came of it', async () => {
    expect(await ask(new AbortController().signal)).toEqual({
      outcome: { candidate: 'c1', size: 10, reason: 'As told.' },
      calls: 1,
    })
  })

  it('makes none when the time is over', async () => {
    expect(await ask(AbortSignal.abort())).toEqual({ outcome: 'LATE', calls: 0 })
  })

  it('leaves a model that hangs', async () => {
    model.script = hangs
    const run = new AbortController()
    const asked = model.asked()
    const outcome = ask(run.signal)
    await asked
    run.abort()
    expect(await outcome).toEqual({ outcome: 'LATE', calls: 1 })
  })

  it('leaves a model that does not hear the signal', async () => {
    const deaf = Object.create(model.chat)
    deaf.withStructuredOutput = () => ({ invoke: () => new Promise(() => {}) })
    expect(await ask(AbortSignal.timeout(1), deaf)).toEqual({ outcome: 'LATE', calls: 1 })
  })
})
