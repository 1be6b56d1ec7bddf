/**
 * For tests: a process that asks the reference analyst for a decision, as the environment of whoever starts it says.
 *
 * - `guardian <url>`: the lending guardian's graph, with the model of `createChatModel`.
 * - `model <url>`: the same question by a model of LangChain's own, as a program that knows nothing of this would ask.
 * - `defaults`: a model that is told no URL.
 *
 * It prints every address that its sockets connected to, every name that it looked up, and what came of it, as JSON.
 * No name is found, so that whatever it does stays on this machine.
 */
import { subscribe } from 'node:diagnostics_channel'
import dns from 'node:dns'
import type { Socket } from 'node:net'
import { awaitAllCallbacks } from '@langchain/core/callbacks/promises'
import { ChatOpenAI } from '@langchain/openai'
import { enumerateCandidates } from '../../agents/lending-guardian/candidates.ts'
import { settle } from '../../agents/lending-guardian/options.ts'
import { buildPrompt } from '../../agents/lending-guardian/prompt.ts'
import { gather } from '../../agents/lending-guardian/scene.ts'
import { describeSituation } from '../../agents/lending-guardian/situation.ts'
import { analyse, testGuardian, testOptions, worried } from '../../agents/lending-guardian/testGuardian.ts'
import { REFERENCE_ANALYST } from './analyst/reply.ts'
import { createChatModel } from './createChatModel.ts'

const connected = new Set<string>()
subscribe('net.client.socket', (message) => {
  const { socket } = message as { socket: Socket }
  socket.once('connect', () => connected.add(`${socket.remoteAddress}:${socket.remotePort}`))
})
dns.lookup = ((name: string, _: unknown, done: (error: Error) => void) => {
  connected.add(name)
  done(Object.assign(new RangeError(`${name} is not looked up in a test.`), { code: 'ENOTFOUND' }))
}) as typeof dns.lookup

async function askAsGuardian(url: string): Promise<string> {
  const { model, name } = await createChatModel({ url })
  const { source, fallbackReason } = await analyse(testGuardian({ model: { chat: model, name } }), worried)
  return fallbackReason ?? source
}

function question() {
  const [position] = worried.positions
  if (position === undefined) throw new RangeError('no position')
  const settings = settle(testOptions)
  const scene = gather(worried, position, settings)
  if ('obstacle' in scene) throw new RangeError(scene.obstacle)
  return buildPrompt(describeSituation(scene, enumerateCandidates(scene, settings), settings))
}

async function askAsOthersDo(url: string | undefined): Promise<string> {
  const chat = new ChatOpenAI({
    model: REFERENCE_ANALYST,
    apiKey: 'none',
    maxRetries: 0,
    timeout: 5_000,
    ...(url !== undefined && { configuration: { baseURL: url } }),
  })
  try {
    await chat.invoke(question())
    return 'answered'
  } catch (error) {
    return error instanceof Error ? error.constructor.name : 'failed'
  }
}

const [mode, url = ''] = process.argv.slice(2)
const outcome =
  mode === 'guardian' ? await askAsGuardian(url) : await askAsOthersDo(mode === 'model' ? url : undefined)
await awaitAllCallbacks()
// What was put off to the background is sent before a process ends by itself: this one is never made to.
process.once('beforeExit', () => {
  process.stdout.write(JSON.stringify({ outcome, connected: [...connected].sort() }))
})
