import { costOf, type Price } from '../protocol/network/price.ts'
import { TokenError } from '../tokens/errors.ts'
import type { AskedFor } from './readFetch.ts'

/** Prompt tokens, from two sides. */
export type PromptEstimate = {
  /** To rule out a context that is too small: a quarter of the bytes, the usual rule of thumb for English. */
  readonly likely: number
  /** To choose a payment: half of the bytes, twice the rule of thumb, and what CJK and code come to. */
  readonly cautious: number
}

/** What an image, a sound or a file counts as, since its bytes say nothing of its tokens. */
const mediaTokens = 2_048
/** OpenAI's own limit of `n`. */
const mostChoices = 128
/** Of each message, for what surrounds its text. */
const messageTokens = 8

/**
 * How many tokens a request's prompt may have. The client has no tokenizer of the model; a node that counts more than
 * was paid for refuses with `ceiling_too_low`, and the client pays the next class.
 *
 * Everything in the body that a model may be shown counts, tools and schemas too, escaped as JSON has it.
 *
 * @param fields of the body
 * @param length of the body in bytes
 * @example estimatePrompt({ messages: [{ role: 'user', content: 'Hello' }] }, 49) // { likely: 21, cautious: 33 }
 */
export function estimatePrompt(fields: Readonly<Record<string, unknown>>, length: number): PromptEstimate {
  const media = { bytes: 0, count: 0 }
  for (const value of [fields.messages, fields.input]) countMedia(value, media)
  const messages = Array.isArray(fields.messages) ? fields.messages.length : 1
  const text = Math.max(0, length - media.bytes)
  const extra = messages * messageTokens + media.count * mediaTokens
  return { likely: Math.ceil(text / 4) + extra, cautious: Math.ceil(text / 2) + extra }
}

/** Finds what is in a body as base64: data URLs, and the `data` of sounds and files. */
function countMedia(value: unknown, media: { bytes: number; count: number }): void {
  if (Array.isArray(value)) {
    for (const each of value) countMedia(each, media)
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, each] of Object.entries(value)) {
      if (typeof each === 'string' && (each.startsWith('data:') || key === 'data' || key === 'file_data')) {
        media.bytes += each.length
        media.count += 1
      } else countMedia(each, media)
    }
  }
}

/**
 * The most that a request is reckoned to cost, in payment tokens.
 *
 * @param defaultCompletion tokens for a body that names no limit
 */
export function worstCost(
  asked: AskedFor,
  { price, context, defaultCompletion }: { price: Price; context: number; defaultCompletion: number },
): number {
  const prompt = Math.min(asked.prompt.cautious, context)
  const completion =
    asked.resource === '/v1/embeddings'
      ? 0
      : Math.min(asked.maxTokens ?? defaultCompletion, context) * Math.min(asked.choices, mostChoices)
  return costOf(price, { prompt, completion })
}

/**
 * The ceiling class that a request pays: the smallest that covers its worst cost, or the largest. A node asks its model
 * for no more than was paid for, so that too small a class cuts an answer short and never costs more.
 *
 * @param ceilings of the directory, in any order
 * @param above the class that was too low
 * @returns undefined when there is no class above
 */
export function chooseCeiling(ceilings: readonly number[], cost: number, above = 0): number | undefined {
  const classes = ceilings.filter((each) => each > above).sort((left, right) => left - right)
  return classes.find((each) => each >= cost) ?? classes.at(-1)
}

/** Whether an error says that the wallet has too few tokens. */
export const isWalletEmpty = (error: unknown): error is TokenError =>
  error instanceof TokenError && error.code === 'WALLET_EMPTY'
