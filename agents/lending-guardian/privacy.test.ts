import { BaseCallbackHandler } from '@langchain/core/callbacks/base'
import { awaitAllCallbacks } from '@langchain/core/callbacks/promises'
import { registerConfigureHook } from '@langchain/core/context'
import { ChatOpenAI } from '@langchain/openai'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { assertNotOverheard, silenceTracing } from './privacy.ts'
import { analyse, testGuardian, worried } from './testGuardian.ts'
import { type ScriptedModel, says, startScriptedModel } from './testModel.ts'

let model: ScriptedModel
beforeAll(async () => {
  model = await startScriptedModel()
})
afterAll(() => model.close())
afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

const TRACING = [
  'LANGSMITH_TRACING',
  'LANGSMITH_TRACING_V2',
  'LANGCHAIN_TRACING_V2',
  'LANGCHAIN_TRACING',
  'LANGCHAIN_VERBOSE',
]
const turnTracingOn = () => {
  for (const name of TRACING) vi.stubEnv(name, 'true')
  vi.stubEnv('LANGSMITH_API_KEY', 'ls-key')
  vi.stubEnv('LANGSMITH_ENDPOINT', 'http://127.0.0.1:1')
}
const guardianOf = (chat: ChatOpenAI) => testGuardian({ model: { chat, name: 'scripted' } })

describe('tracing', () => {
  it('is off whatever the environment says, and said again after the agent was made', async () => {
    turnTracingOn()
    const printed = vi.spyOn(console, 'log').mockImplementation(() => {})
    const hosts: string[] = []
    const { fetch } = globalThis
    vi.stubGlobal('fetch', (input: string | URL | Request, init?: RequestInit) => {
      hosts.push(new URL(input instanceof Request ? input.url : input).host)
      return fetch(input, init)
    })
    // The client takes the global fetch when it is made.
    const chat = new ChatOpenAI({
      model: 'scripted',
      apiKey: 'none',
      maxRetries: 0,
      configuration: { baseURL: model.url },
    })
    model.script = says({ candidate: 'c1', size: 40, reason: 'Private.' })
    const guardian = guardianOf(chat)
    turnTracingOn()
    expect(await analyse(guardian, worried)).toMatchObject({ source: 'model', fallbackReason: null })
    await awaitAllCallbacks()
    expect(new Set(hosts)).toEqual(new Set([new URL(model.url).host]))
    expect(printed).not.toHaveBeenCalled()
    for (const name of TRACING) expect(process.env[name]).toBe('false')
  })

  it('would be on without that: the test above can fail', () => {
    turnTracingOn()
    expect(() => assertNotOverheard(model.chat)).toThrow('langchain_tracer')
    silenceTracing()
    expect(() => assertNotOverheard(model.chat)).not.toThrow()
  })
})

describe('listeners', () => {
  const callback = BaseCallbackHandler.fromMethods({ handleLLMStart: () => {} })

  it.each([
    ['a callback', { callbacks: [callback] }],
    ['verbose mode', { verbose: true }],
  ])('make a model refused: %s', (_, fields) => {
    const chat = new ChatOpenAI({ model: 'scripted', apiKey: 'none', ...fields })
    expect(() => guardianOf(chat)).toThrow('Listeners are attached')
  })

  it('that come later keep the model from being asked', async () => {
    const chat = new ChatOpenAI({ model: 'scripted', apiKey: 'none', configuration: { baseURL: model.url } })
    const guardian = guardianOf(chat)
    chat.callbacks = [callback]
    model.bodies.length = 0
    expect(await analyse(guardian, worried)).toMatchObject({
      source: 'fallback',
      fallbackReason: 'OVERHEARD',
      inferenceCalls: 0,
      proposal: { kind: 'deleverage' },
    })
    expect(model.bodies).toEqual([])
  })

  it('that a hook would add through the environment count as well', async () => {
    let heard = 0
    class Spy extends BaseCallbackHandler {
      override name = 'spy'
      override handleChainStart() {
        heard++
      }
    }
    registerConfigureHook({ handlerClass: Spy, envVar: 'SPY_ON_MODELS' })
    const guardian = guardianOf(model.chat)
    vi.stubEnv('SPY_ON_MODELS', 'true')
    expect(() => guardianOf(model.chat)).toThrow('spy')
    expect(await analyse(guardian, worried)).toMatchObject({
      fallbackReason: 'OVERHEARD',
      inferenceCalls: 0,
    })
    expect(heard).toBe(0)
  })
})
