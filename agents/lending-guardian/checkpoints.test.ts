import { MemorySaver } from '@langchain/langgraph'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Agent } from '../../runtime/core/agent.ts'
import type { LendingGuardianOptions } from './options.ts'
import { analyse, testGuardian, worried } from './testGuardian.ts'
import { type ScriptedModel, says, startScriptedModel } from './testModel.ts'

let model: ScriptedModel
beforeAll(async () => {
  model = await startScriptedModel()
})
beforeEach(() => {
  model.bodies.length = 0
})
afterAll(() => model.close())

const guardianOf = (options: Partial<LendingGuardianOptions> = {}): Agent =>
  testGuardian({ model: { chat: model.chat, name: 'scripted' }, ...options })

describe('checkpoints', () => {
  /** Everything that was ever handed to the store, as text. */
  class SpyingSaver extends MemorySaver {
    readonly written: string[] = []
    constructor() {
      super()
      const { dumpsTyped } = this.serde
      this.serde.dumpsTyped = async (value) => {
        const [type, bytes] = await dumpsTyped.call(this.serde, value)
        this.written.push(new TextDecoder().decode(bytes))
        return [type, bytes]
      }
    }
  }

  it('hold the choice, and nothing of the prompt, the completion or the snapshot', async () => {
    model.script = says({ candidate: 'c1', size: 90, reason: 'Falling fast.', private: 'chain of thought' })
    const checkpointer = new SpyingSaver()
    await analyse(guardianOf({ checkpointer }), worried)
    const written = checkpointer.written.join('\n')
    expect(written).toContain('"candidate":"c2","size":40,"source":"model"')
    expect(written).not.toMatch(
      /healthFactor|projections|returnsBps|chain of thought|You guard|role|0x[0-9a-f]{40}\b/i,
    )
  })

  it('answer a run that is delivered again without asking again', async () => {
    model.script = says({ candidate: 'c1', size: 90, reason: 'Falling fast.' })
    const checkpointer = new MemorySaver()
    const first = await analyse(guardianOf({ checkpointer }), worried)
    model.script = says({ candidate: 'c2', size: 0, reason: 'Changed my mind.' })
    const second = await analyse(guardianOf({ checkpointer }), worried)
    expect(second).toEqual(first)
    expect(model.bodies).toHaveLength(1)
  })

  it.each([
    ['after the answer was stored', 'propose', 1],
    // The first answer was lost with the process, so it is asked again.
    ['while the model was asked', 'ask', 2],
  ])('let a run go on that died %s', async (_, next, calls) => {
    model.script = says({ candidate: 'c1', size: 90, reason: 'Falling fast.' })
    const whole = await analyse(guardianOf({ checkpointer: new MemorySaver() }), worried)
    model.bodies.length = 0
    const checkpointer = new DyingSaver(next)
    const died = await analyse(guardianOf({ checkpointer }), worried)
    expect(died.reason).toContain('(The graph failed: the disk is full)')
    expect(died).toMatchObject({ source: 'model', proposal: whole.proposal })
    checkpointer.isDead = false
    expect(await analyse(guardianOf({ checkpointer }), worried)).toEqual(whole)
    expect(model.bodies).toHaveLength(calls)
  })

  /** Stores everything up to the checkpoint from which the node would be next, and nothing from then on. */
  class DyingSaver extends MemorySaver {
    isDead: boolean | null = null
    readonly #last: string
    constructor(last: string) {
      super()
      this.#last = last
    }
    override async put(...[config, checkpoint, metadata]: Parameters<MemorySaver['put']>) {
      if (this.isDead) throw new RangeError('the disk is full')
      const stored = await super.put(config, checkpoint, metadata)
      if (this.isDead === null && `branch:to:${this.#last}` in checkpoint.channel_values) this.isDead = true
      return stored
    }
    override async putWrites(...writes: Parameters<MemorySaver['putWrites']>) {
      if (this.isDead) throw new RangeError('the disk is full')
      return super.putWrites(...writes)
    }
  }

  it('do not stop protection when their store fails', async () => {
    class BrokenSaver extends MemorySaver {
      override async getTuple(): Promise<never> {
        throw new RangeError('connection refused\nat secret')
      }
    }
    const analysis = await analyse(guardianOf({ checkpointer: new BrokenSaver() }), worried)
    expect(analysis).toMatchObject({
      source: 'fallback',
      fallbackReason: 'GRAPH_FAILED',
      inferenceCalls: 0,
      proposal: { kind: 'deleverage' },
    })
    expect(analysis.reason).toMatch(
      /By rule: the graph could not run\. \(The graph failed: connection refused\)$/,
    )
  })

  it('do not stop protection when their store hangs: the run’s deadline holds', async () => {
    const run = new AbortController()
    class HangingSaver extends MemorySaver {
      override getTuple(): Promise<never> {
        run.abort()
        return new Promise(() => {})
      }
    }
    const analysis = await analyse(guardianOf({ checkpointer: new HangingSaver() }), worried, run.signal)
    expect(analysis).toMatchObject({
      source: 'fallback',
      fallbackReason: 'LATE',
      proposal: { kind: 'deleverage' },
    })
  })
})
