import { RialtoError } from '../../runtime/core/errors.ts'
import { type RuntimeFile, readRuntimeFile } from './runtimeFile.ts'
import { type Status, statusSchema, type TradingOrder } from './status.ts'

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

/** Null when no runtime runs on the folder: nothing answers where it said that it would be. */
export async function fetchStatus(directory: string): Promise<Status | null> {
  const response = await ask(directory, '/status', { method: 'GET' })
  if (response === null) return null
  if (!response.ok) throw new RuntimeAnswerError(`answered ${response.status}`)
  const parsed = statusSchema.safeParse(await response.json())
  if (!parsed.success) throw new RuntimeAnswerError('is of another version')
  return parsed.data
}

/** @returns false when no runtime runs on the folder. */
export async function sendOrder(directory: string, order: TradingOrder): Promise<boolean> {
  const response = await ask(directory, '/trading-state', {
    method: 'POST',
    body: JSON.stringify(order),
    headers: { 'content-type': 'application/json' },
  })
  if (response === null) return false
  if (!response.ok) throw new RuntimeAnswerError(`refused the order (${response.status})`)
  return true
}

async function ask(directory: string, path: string, init: RequestInit): Promise<Response | null> {
  const runtime: RuntimeFile | null = await readRuntimeFile(directory)
  if (runtime === null) return null
  try {
    return await fetch(`${runtime.url}${path}`, {
      ...init,
      headers: { ...init.headers, authorization: `Bearer ${runtime.token}` },
      signal: AbortSignal.timeout(TIMEOUT),
    })
  } catch (error) {
    if (error instanceof Error && error.name === 'TimeoutError')
      throw new RuntimeAnswerError(`did not answer within ${TIMEOUT / 1000} s`)
    // Nothing listens there: it was killed and left its file behind.
    return null
  }
}
