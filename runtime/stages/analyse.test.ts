import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Agent, Analysis } from '../core/agent.ts'
import { agentId, runId } from '../core/ids.ts'
import { sampleSnapshot } from '../protocols/sampleSnapshot.fixture.ts'
import { analyse } from './analyse.ts'
import { AnalysisOverdueError } from './errors.ts'
import type { Runtime } from './runtime.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const id = agentId('agent')
const snapshot = sampleSnapshot(10_000n, 10n ** 18n)
const runtime = { analyseTimeout: 30_000, journal: { epoch: 'epoch' } } as unknown as Runtime
const think = (thought: Agent['analyse']) =>
  analyse(runtime, { id, analyse: thought } as Agent, snapshot, runId(id, '0x01'))

it('gives what the agent makes of it, and leaves no timer behind', async () => {
  const analysis = { reason: 'all is well' } as Analysis
  expect(await think(async () => analysis)).toBe(analysis)
  expect(vi.getTimerCount()).toBe(0)
})

it('fails the run of an agent that does not answer even when its time is over', async () => {
  const overdue = expect(think(() => new Promise<never>(() => {}))).rejects.toThrow(AnalysisOverdueError)
  await vi.advanceTimersByTimeAsync(35_000)
  await overdue
})
