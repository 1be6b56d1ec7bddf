import { z } from 'zod'
import { RialtoError } from '../../runtime/core/errors.ts'
import { type RuntimeFile, readRuntimeFile } from './runtimeFile.ts'
import {
  type OrderAnswer,
  orderAnswerSchema,
  type Status,
  StrangerError,
  statusSchema,
  type TradingOrder,
} from './status.ts'

/** The runtime answered, but not with what was asked for. */
export class RuntimeAnswerError extends RialtoError {
  override readonly name = 'RuntimeAnswerError'
  constructor(what: string) {
    super('RUNTIME_ANSWER', `The running runtime ${what}.`, {
      fix: 'Stop it with Ctrl-C and start it again.',
    })
  }
}

const TIMEOUT = 10_000

/** The status code of an order that cannot be meant. */
const UNPROCESSABLE = 422

export type Answer = { readonly status: number; readonly body: unknown }

/**
 * @returns null when no runtime runs on the folder: nothing answers where it said that it would be.
 * @throws {RuntimeAnswerError} when one runs, but does not answer in time or as it should.
 * @example (await fetchStatus('/home/ann/bots/.rialto'))?.phase // 'playing'
 */
export async function fetchStatus(directory: string): Promise<Status | null> {
  const answer = await ask(directory, '/status', { method: 'GET' })
  if (answer === null) return null
  if (answer.status !== 200) throw refusal('did not say how it is', answer)
  const parsed = statusSchema.safeParse(answer.body)
  if (!parsed.success) throw new RuntimeAnswerError('is of another version')
  return parsed.data
}

/**
 * @returns what holds for each agent from now on; null when no runtime runs on the folder.
 * @throws {StrangerError} when it has no such agent, or nobody acts on that account.
 * @throws {RuntimeAnswerError} when it does not take the order, or does not answer in time or as it should.
 * @example await sendOrder(directory, { agent: null, state: 'halted', reason: 'a bad feeling' })
 */
export async function sendOrder(directory: string, order: TradingOrder): Promise<OrderAnswer | null> {
  const answer = await ask(directory, '/trading-state', {
    method: 'POST',
    body: JSON.stringify(order),
    headers: { 'content-type': 'application/json' },
  })
  if (answer === null) return null
  if (answer.status === UNPROCESSABLE) throw new StrangerError(explanation(answer) ?? 'No such order.')
  if (answer.status !== 200) throw refusal('did not take the order', answer)
  const parsed = orderAnswerSchema.safeParse(answer.body)
  if (!parsed.success) throw new RuntimeAnswerError('is of another version')
  return parsed.data
}

/** What the runtime of a folder answers; null when none runs on it. */
export async function ask(directory: string, path: string, init: RequestInit): Promise<Answer | null> {
  const runtime = await readRuntimeFile(directory)
  if (runtime === null) return null
  const answer = await request(runtime, path, init)
  // Killed, it left its file behind, and somebody else may have its port by now.
  return answer === null || (answer.status !== 200 && !isAlive(runtime.pid)) ? null : answer
}

async function request(runtime: RuntimeFile, path: string, init: RequestInit): Promise<Answer | null> {
  try {
    const response = await fetch(`${runtime.url}${path}`, {
      ...init,
      headers: { ...init.headers, authorization: `Bearer ${runtime.token}` },
      signal: AbortSignal.timeout(TIMEOUT),
    })
    return { status: response.status, body: await response.json().catch(() => null) }
  } catch (error) {
    if (error instanceof Error && error.name === 'TimeoutError')
      throw new RuntimeAnswerError(`did not answer within ${TIMEOUT / 1000} s`)
    // Nothing listens there: it was killed and left its file behind.
    return null
  }
}

const errorBody = z.object({ error: z.string() })

const explanation = ({ body }: Answer): string | undefined => errorBody.safeParse(body).data?.error

export const refusal = (what: string, answer: Answer): RuntimeAnswerError =>
  new RuntimeAnswerError(`${what} (${explanation(answer) ?? `it answered ${answer.status}`})`)

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // EPERM: it lives, but is somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
