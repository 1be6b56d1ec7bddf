import type { Price, Usage } from '../protocol/network/price.ts'
import { costOf } from '../protocol/network/price.ts'

/**
 * UTF-8 bytes that are taken to be a token before a run. English has about four, code and JSON three, and most
 * scripts beside the Latin one two to three: so this errs on the side of more tokens.
 */
const bytesPerToken = 3
/** The same behind a run, where the upstream did not say what was used: it errs on the side of fewer. */
const bytesPerTokenUnsaid = 4
/** Tokens of an image, a sound, a film or a file, beside those for its size. */
const mediaTokens = 1_000
/** Parts of a message that no tokenizer reads as text, and the bytes of base64 that are taken to be a further token. */
const mediaTypes: ReadonlyMap<string, number> = new Map([
  ['image_url', 1_024],
  ['input_audio', 1_024],
  ['audio_url', 1_024],
  ['video_url', 1_024],
  // Pages of text, most of them.
  ['file', 64],
])

/**
 * How many tokens a request's prompt is taken to have, before it runs. Every string and every name counts by its
 * bytes, since chat templates write names and marks of their own; every number is a token, since that is how
 * embeddings are asked for tokens; media count by piece and size.
 *
 * @param body as `JSON.parse` gave it
 * @param context of the model: what is longer is refused by its server, and costs nothing
 */
export function estimatePrompt(body: object, context: number): number {
  const { text, numbers, media } = measure(body)
  return Math.min(Math.ceil(text / bytesPerToken) + numbers + Math.ceil(media), context)
}

/** How many tokens an answer is taken to have had whose server does not say. */
export const estimateAnswer = (said: unknown): number => Math.ceil(measure(said).text / bytesPerTokenUnsaid)

/**
 * The same for a stream, of which only the lengths of the events are known: what each has beyond the shortest is
 * text, and each is a token at least.
 */
export const estimateEvents = ({ count, bytes, shortest }: EventLengths): number =>
  count === 0 ? 0 : Math.max(count, Math.ceil((bytes - count * shortest) / bytesPerTokenUnsaid))

export type EventLengths = { readonly count: number; readonly bytes: number; readonly shortest: number }

/**
 * Walks a JSON value without recursion, since it may be nested as deep as it is long.
 */
function measure(value: unknown) {
  const sizes = { text: 0, numbers: 0, media: 0 }
  const rest: unknown[] = [value]
  while (rest.length > 0) {
    const next = rest.pop()
    if (typeof next === 'string') sizes.text += Buffer.byteLength(next)
    else if (typeof next === 'number') sizes.numbers++
    else if (Array.isArray(next)) for (const each of next) rest.push(each)
    else if (typeof next === 'object' && next !== null) {
      const medium = mediumOf(next)
      for (const [name, each] of Object.entries(next)) {
        sizes.text += name.length
        if (name !== medium) rest.push(each)
        else {
          sizes.media += mediaTokens
          for (const text of Object.values(each))
            if (typeof text === 'string') sizes.media += Buffer.byteLength(text) / (mediaTypes.get(name) ?? 1)
        }
      }
    }
  }
  return sizes
}

/** The member that holds an image or the like: `{"type": "image_url", "image_url": {...}}`. */
function mediumOf(part: object): string | undefined {
  const { type } = part as { type?: unknown }
  if (typeof type !== 'string' || !mediaTypes.has(type)) return undefined
  const held = (part as Record<string, unknown>)[type]
  return typeof held === 'object' && held !== null && !Array.isArray(held) ? type : undefined
}

/** The usage that an answer states, in OpenAI's form. Anything but two counts is none. */
export function readUsage(value: unknown): Usage | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { prompt_tokens: prompt, completion_tokens } = value as Record<string, unknown>
  // An embedding has no completion.
  const completion = completion_tokens ?? 0
  return isCount(prompt) && isCount(completion) ? { prompt, completion } : undefined
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

/**
 * What is charged, in payment tokens: what the usage costs, and never more than was paid.
 *
 * @example chargeOf({ prompt: 250, completion: 1_000 }, { prompt: 2_000_000, completion: 0 }, 4) // 4
 */
export function chargeOf(price: Price, usage: Usage, ceiling: number): number {
  // A count beyond what the ceiling pays for changes nothing, and would overflow: a server may say anything.
  const bound = (count: number, each: number) =>
    each === 0 ? 0 : Math.min(count, Math.ceil((ceiling * 1_000_000) / each))
  const cost = costOf(price, {
    prompt: bound(usage.prompt, price.prompt),
    completion: bound(usage.completion, price.completion),
  })
  return Math.min(cost, ceiling)
}
