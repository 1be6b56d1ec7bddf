import type { BaseChatModel } from '@langchain/core/language_models/chat_models'
import { type FallbackReason, judgeAnswer } from './choice.ts'
import { isOverheard } from './privacy.ts'
import { buildPrompt } from './prompt.ts'
import { type Answer, answerSchema, type Situation } from './schema.ts'

/**
 * Asks the model once, and resolves to a usable answer or to why there is none. Whatever the model does, this
 * does not reject, and it resolves at the latest when the signal aborts, with a model that ignores signals too.
 *
 * Errors of a model's client quote prompts and completions, so none of them leaves this function: a closed list
 * of reasons does.
 *
 * @param onCall called when a call is about to be made
 */
export async function askModel(
  chat: BaseChatModel,
  situation: Situation,
  signal: AbortSignal,
  onCall: () => void,
): Promise<Answer | FallbackReason> {
  if (signal.aborted) return 'LATE'
  if (isOverheard(chat)) return 'OVERHEARD'
  onCall()
  const outcome = await Promise.race([aborted(signal), call(chat, situation, signal)])
  if (typeof outcome !== 'string') return judgeAnswer(situation, outcome) ?? outcome
  return outcome
}

async function call(
  chat: BaseChatModel,
  situation: Situation,
  signal: AbortSignal,
): Promise<Answer | FallbackReason> {
  try {
    const structured = chat.withStructuredOutput(answerSchema, {
      name: 'choice',
      method: 'jsonSchema',
      includeRaw: true,
    })
    const { parsed } = await structured.invoke(buildPrompt(situation), { signal })
    const result = answerSchema.safeParse(parsed)
    return result.success ? result.data : 'UNREADABLE'
  } catch (error) {
    return isUnreadable(error) ? 'UNREADABLE' : 'NO_ANSWER'
  }
}

const UNREADABLE = /^(SyntaxError|\$?ZodError|OutputParserException|\w*FinishReasonError)$/

/**
 * Whether an answer came and could not be read, told by the error's class: LangChain and the OpenAI client have no
 * other mark for it. All else is taken for no answer.
 */
function isUnreadable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  // A completion without choices trips the client itself; a connection that breaks is a TypeError with a cause.
  if (error instanceof TypeError) return error.cause === undefined
  return UNREADABLE.test(error.name) || UNREADABLE.test(error.constructor.name)
}

function aborted(signal: AbortSignal): Promise<'LATE'> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve('LATE'), { once: true })
  })
}
