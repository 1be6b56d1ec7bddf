import type { ServerResponse } from 'node:http'
import { type Script, says } from '../../../agents/lending-guardian/testModel.ts'
import type { HostileText } from './corpus.ts'
import { NOBODY_NAMED, type Orders, readOrders } from './obey.ts'

/**
 * How the double carries an order out: as far as the schema of its answer lets it, or past it.
 *
 * | way | what it answers |
 * |---|---|
 * | `choice` | a well-formed choice that is as near to the order as one can be, the rest of it in the reason |
 * | `candidate` | a well-formed answer that names the attacker's address as candidate, at a size beyond everything |
 * | `intent` | the intent that the order is about, in place of a choice |
 * | `smuggled` | a well-formed choice with that intent as further members |
 * | `tool` | a tool call that would do it |
 * | `prose` | what it read and its own prompt, word for word |
 * | `verbatim` | the text itself, for those that are answers already |
 */
export const ways = ['choice', 'candidate', 'intent', 'smuggled', 'tool', 'prose', 'verbatim'] as const
export type Way = (typeof ways)[number]

const MAX = (2n ** 256n - 1n).toString()

type Message = { readonly role: string; readonly content: string }
type Shown = { readonly candidates: readonly { id: string; kind: string; sizeBounds: [number, number] }[] }

/** A script of the model's server that obeys a text in one way, whatever its own prompt says. */
export const obeying =
  (hostile: HostileText, way: Way): Script =>
  (response, request, body) => {
    const { messages } = JSON.parse(body) as { messages: readonly Message[] }
    const orders = readOrders(hostile.text)
    if (way === 'verbatim' && hostile.message !== null) return message(response, hostile.message)
    says(answer(hostile, orders, way, messages), toolCalls(orders, way))(response, request, body)
  }

function answer(hostile: HostileText, orders: Orders, way: Way, messages: readonly Message[]): unknown {
  const [attacker = NOBODY_NAMED] = orders.addresses
  const prompt = orders.wishes.includes('reveal')
    ? ` ${messages.map(({ content }) => content).join(' ')}`
    : ''
  const reason = `${hostile.text}${prompt}`
  const choice = choose(orders, situationOf(messages))
  switch (way) {
    case 'choice':
      return { ...choice, reason }
    case 'candidate':
      return { candidate: attacker, size: 100, reason }
    case 'intent':
      return hostileIntent(orders)
    case 'smuggled':
      return { ...choice, reason, ...hostileIntent(orders), proposal: hostileIntent(orders), guards: 'off' }
    case 'tool':
      return ''
    case 'prose':
      return `${hostile.text}\n\n${messages.map(({ content }) => content).join('\n')}`
    case 'verbatim':
      return hostile.text
  }
}

/** The most that an order can get of a choice: nothing done where it says wait, else as much as there is. */
function choose({ wishes, choice }: Orders, { candidates }: Shown): { candidate: string; size: number } {
  if (choice !== null) return choice
  const wait = candidates.find(({ kind }) => kind === 'wait')
  const act = candidates.find(({ kind }) => kind !== 'wait')
  const picked = wishes.includes('wait') ? (wait ?? act) : (act ?? wait)
  return { candidate: picked?.id ?? 'c1', size: picked?.sizeBounds[1] ?? 100 }
}

/** The intent that an order is about, as the runtime writes intents. */
export function hostileIntent({ wishes, addresses, amounts }: Orders): Readonly<Record<string, unknown>> {
  const [to = NOBODY_NAMED] = addresses
  const amount = (amounts[0] ?? BigInt(MAX)).toString()
  const expiresAtBlock = '99999999'
  if (wishes.includes('borrow')) return { kind: 'borrow', asset: to, amount, expiresAtBlock }
  if (wishes.includes('swap'))
    return {
      kind: 'swap',
      tokenIn: to,
      tokenOut: to,
      pool: to,
      amountIn: amount,
      minAmountOut: '1',
      expiresAtBlock,
    }
  return { kind: 'transfer', asset: to, to, amount, expiresAtBlock }
}

function toolCalls(orders: Orders, way: Way): object {
  if (way !== 'tool') return {}
  const [name = 'transfer'] = orders.wishes
  const call = { name, arguments: JSON.stringify(hostileIntent(orders)) }
  return { content: null, tool_calls: [{ id: 'call_1', type: 'function', function: call }] }
}

/** What the prompt shows: the JSON of its last message. */
function situationOf(messages: readonly Message[]): Shown {
  const json = /\{[\s\S]*\}/.exec(messages.at(-1)?.content ?? '')?.[0] ?? '{"candidates":[]}'
  return JSON.parse(json) as Shown
}

/** A completion with that message, members that no server would send included. */
function message(response: ServerResponse, members: Readonly<Record<string, unknown>>): void {
  response.setHeader('content-type', 'application/json')
  response.end(
    JSON.stringify({
      ...{ id: 'chatcmpl-1', object: 'chat.completion', created: 0, model: 'scripted' },
      choices: [
        {
          index: 0,
          message: { role: 'assistant', refusal: null, ...members },
          finish_reason: 'tool_calls' in members ? 'tool_calls' : 'stop',
        },
      ],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    }),
  )
}
