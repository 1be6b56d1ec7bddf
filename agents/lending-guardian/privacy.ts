import { CallbackManager } from '@langchain/core/callbacks/manager'
import type { BaseChatModel } from '@langchain/core/language_models/chat_models'
import { RialtoError } from '../../runtime/core/errors.ts'

/** What makes LangChain send its prompts to LangSmith or print them, when the environment says "true". */
const SWITCHES = [
  'LANGSMITH_TRACING_V2',
  'LANGCHAIN_TRACING_V2',
  'LANGSMITH_TRACING',
  'LANGCHAIN_TRACING',
  'LANGCHAIN_VERBOSE',
] as const

/**
 * Turns LangChain's tracing and printing off in this process, whatever the environment says.
 *
 * LangChain reads the environment anew at each call and has no other switch that holds for all of it, so this
 * writes to `process.env`. It is called when an agent is made and again before each question.
 */
export function silenceTracing(): void {
  for (const name of SWITCHES) process.env[name] = 'false'
}

/** Something would hear what the model is asked, or what the graph holds. */
class OverheardError extends RialtoError {
  override readonly name = 'OverheardError'
  constructor(listeners: readonly string[]) {
    super('OVERHEARD', `Listeners are attached to the guardian's thinking: ${listeners.join(', ')}.`, {
      fix: 'Hand in a model without callbacks, tracers and verbose mode: prompts belong to the user alone.',
      details: { listeners },
    })
  }
}

/**
 * Makes sure that no callback would hear a run here and now, by asking LangChain for the very listeners that it
 * would attach: those of the environment, of the surrounding context and of the model, if one is given.
 *
 * @throws {OverheardError} naming them.
 */
export function assertNotOverheard(chat?: BaseChatModel): void {
  const manager = CallbackManager.configure(
    undefined,
    chat?.callbacks,
    undefined,
    undefined,
    undefined,
    undefined,
    { verbose: chat?.verbose ?? false },
  )
  const listeners = (manager?.handlers ?? []).map(({ name }) => name)
  if (listeners.length > 0) throw new OverheardError(listeners)
}

/** Whether a run here and now would be overheard. */
export function isOverheard(chat?: BaseChatModel): boolean {
  try {
    assertNotOverheard(chat)
    return false
  } catch (error) {
    if (error instanceof OverheardError) return true
    throw error
  }
}
